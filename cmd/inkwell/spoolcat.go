package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"inkwell/internal/faultfs"
	"inkwell/proto"
	"inkwell/store/spool"
)

func (a *app) spoolCat() *cobra.Command {
	return a.spoolReader(&cobra.Command{
		Use:   "cat DIR",
		Short: "print the messages that wait",
		Long: `cat prints the messages that wait in a spool or journal, byte for byte, oldest first. What is
damaged is skipped and reported on standard error, and the exit code is then 1.`,
		Example: "  inkwell spool cat /var/spool/inkwell/mydaemon",
	}, func(w io.Writer) entryPrinter {
		return func(_ uint64, c *proto.Cursor) error {
			_, err := w.Write(c.Message())
			return err
		}
	})
}

func (a *app) spoolExport() *cobra.Command {
	return a.spoolReader(&cobra.Command{
		Use:   "export DIR",
		Short: "print the entries that wait as JSON lines",
		Long: `export prints the entries that wait in a spool or journal, oldest first, as JSON lines with
category, message and offset. If category or message is not valid UTF-8, category_base64 or
message_base64 takes its place. What is damaged is skipped and reported on standard error, and the
exit code is then 1.`,
		Example: `  inkwell spool export /var/spool/inkwell/mydaemon | jq -r 'select(.category == "web") | .message'`,
	}, func(w io.Writer) entryPrinter {
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		return func(offset uint64, c *proto.Cursor) error { return enc.Encode(newExported(offset, c)) }
	})
}

// entryPrinter prints the entry at the cursor c, which begins at offset.
type entryPrinter func(offset uint64, c *proto.Cursor) error

// spoolReader completes cmd: it passes every waiting entry to the function that printer returns.
func (a *app) spoolReader(cmd *cobra.Command, printer func(io.Writer) entryPrinter) *cobra.Command {
	cmd.Args = exactly("DIR")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		dir, err := openSpool(args[0])
		if err != nil {
			return err
		}
		defer dir.Close()
		w := bufio.NewWriterSize(a.output(), 64<<10)
		damaged, err := a.printEntries(dir, printer(w))
		if err = errors.Join(err, w.Flush()); err == nil && damaged > 0 {
			err = fmt.Errorf("%s: %d damaged places were passed over", dir.Path(), damaged)
		}
		return err
	}
	return cmd
}

// printEntries prints every waiting entry, and says how many damaged places there are between them.
func (a *app) printEntries(dir *faultfs.Dir, print entryPrinter) (damaged int, err error) {
	segments, err := spool.List(dir)
	if err != nil {
		return 0, fmt.Errorf("list %s: %w", dir.Path(), err)
	}
	bar := a.printingProgress(0)
	defer bar.end()
	var batch proto.Batch
	var from uint64
	for rec, err := range spool.Records(dir) {
		if from == 0 {
			from = rec.Start
		}
		if n := len(segments); n > 0 {
			bar.at(int64(rec.Start-from), int64(max(segments[n-1].End, rec.Start)-from))
		}
		if err == nil {
			err = batch.SetRecord(rec.Data)
		}
		if err != nil {
			damaged++
			if _, err := fmt.Fprintf(a.screen, "damaged: %v\n", err); err != nil {
				return damaged, err
			}
			continue
		}
		c := batch.Cursor()
		for offset := rec.Start; c.Next(); offset = rec.Start + uint64(c.End()) {
			if err := print(offset, &c); err != nil {
				return damaged, err
			}
		}
	}
	return damaged, nil
}

// exported is a line of export. A JSON string cannot hold bytes that are not UTF-8, so there is a second form for
// those.
type exported struct {
	Category       *string `json:"category,omitempty"`
	CategoryBase64 []byte  `json:"category_base64,omitempty"`
	Message        *string `json:"message,omitempty"`
	MessageBase64  []byte  `json:"message_base64,omitempty"`
	Offset         uint64  `json:"offset"`
}

func newExported(offset uint64, c *proto.Cursor) exported {
	e := exported{Offset: offset}
	e.Category, e.CategoryBase64 = textOrBytes(c.Category())
	e.Message, e.MessageBase64 = textOrBytes(c.Message())
	return e
}

func textOrBytes(b []byte) (*string, []byte) {
	if utf8.Valid(b) {
		s := string(b)
		return &s, nil
	}
	return nil, b
}
