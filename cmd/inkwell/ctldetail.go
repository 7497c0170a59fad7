package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"inkwell/forwarder"
	"inkwell/forwarder/ctl"
	"inkwell/internal/faultfs"
	"inkwell/internal/fleet"
	"inkwell/proto/gen/fb303"
)

// longSocket is the longest path of a socket that is used directly; a longer one is shortened.
const longSocket = 100

// stateSocket returns the socket of the process that owns the directory to, a state or spool. A directory is named by a
// path with a slash; anything else is returned as the address that it is.
func stateSocket(to string) (string, error) {
	info, err := os.Stat(to)
	if !strings.Contains(to, "/") || err != nil || !info.IsDir() {
		return to, nil
	}
	dir, err := filepath.Abs(to)
	if err != nil {
		return "", err
	}
	for _, below := range []string{dir, filepath.Join(dir, "forward")} { // where a configuration has its state_dir
		if _, err := os.Lstat(filepath.Join(below, ctl.Name)); err == nil {
			dir = below
			break
		}
	}
	path := filepath.Join(dir, ctl.Name)
	if len(path) <= longSocket {
		return "unix:" + path, nil
	}
	open, err := os.Open(dir) // until the program ends
	if err != nil {
		return "", err
	}
	return "unix:" + faultfs.SocketBeneath(open, ctl.Name), nil
}

// detail returns the server's detailed status, empty if it has none.
func (c *control) detail(ctx context.Context) (json.RawMessage, error) {
	quiet := *c
	quiet.reason = nil // not to know the question is no failure
	text, err := ask(ctx, &quiet, func(client *fb303.FacebookServiceClient, ctx context.Context) (string, error) {
		return client.GetOption(ctx, ctl.Detail)
	})
	if err != nil || !json.Valid([]byte(text)) { // other servers have no such option
		return nil, err
	}
	return json.RawMessage(text), nil
}

// statusInDetail prints the status and all further details.
func (c *control) statusInDetail(ctx context.Context) (int, error) {
	code := c.status(ctx)
	text, err := c.detail(ctx)
	if err != nil || text == nil {
		return code, nil // which has been reported
	}
	var d struct {
		forwarder.Detail
		Fleet fleet.Status `json:"fleet"` // of a collector
	}
	if err := json.Unmarshal(text, &d); err != nil {
		return code, fmt.Errorf("read what %s tells: %w", c.addr, err)
	}
	var out bytes.Buffer
	now := time.Now()
	if err := errors.Join(printDetail(&out, &d.Detail, now), printFleet(&out, &d.Fleet, now)); err != nil {
		return code, err
	}
	say(c.out, "%s", out.String())
	return code, nil
}

// printDetail prints the details of a forwarder or a pipe as tables.
func printDetail(to io.Writer, d *forwarder.Detail, now time.Time) error {
	for _, h := range d.Hops {
		fmt.Fprintf(to, "next hop %s: ", printable(h.Address))
		if h.Connected != nil {
			fmt.Fprintf(to, "connected for %s", short(now.Sub(*h.Connected)))
		} else {
			fmt.Fprint(to, "not connected")
		}
		if h.Failed != nil {
			fmt.Fprintf(to, ", last error %s ago: %s", short(now.Sub(*h.Failed)), printable(h.LastError))
		}
		fmt.Fprintln(to)
	}
	if s := d.Spool; s != nil {
		fmt.Fprintf(to, "spool %s: %d entries, %d bytes", printable(s.Dir), s.Entries, s.Bytes)
		if s.Entries > 0 {
			fmt.Fprintf(to, ", for %s", short(s.Age))
		}
		fmt.Fprintln(to)
	}
	for _, mount := range d.Hanging {
		fmt.Fprintf(to, "file system %s does not answer\n", printable(mount))
	}
	if d.Matched == 0 {
		return nil
	}
	fmt.Fprintf(to, "%d files, %d bytes unsent, the oldest for %s\n", d.Matched, d.Lag, short(d.Oldest))
	t := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "STATE\tUNSENT\tFOR\tPOSITION\tSIZE\tCATEGORY\tFILE\n")
	for _, f := range d.Files {
		path := printable(f.Path)
		if f.Error != "" {
			path += ": " + printable(f.Error)
		}
		fmt.Fprintf(t, "%s\t%d\t%s\t%d\t%d\t%s\t%s\n",
			f.State, f.Lag, short(f.Age), f.Position, f.Size, printable(f.Category), path)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if more := d.Matched - len(d.Files); more > 0 {
		fmt.Fprintf(to, "and %d more\n", more)
	}
	return nil
}

// short formats a duration for a person.
func short(d time.Duration) string {
	switch {
	case d <= 0:
		return "0s"
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}
