package main

import (
	"fmt"
	"io"
	"os"

	"github.com/dustin/go-humanize/english"
	"github.com/spf13/cobra"

	"inkwell/internal/config"
)

func (a *app) check() *cobra.Command {
	var show, start bool
	cmd := &cobra.Command{
		Use:   "check [--print] [--start] FILE | --print|--start -- COMMAND FLAGS...",
		Short: "find mistakes in a configuration, and show what it means",
		Long: `check reads a configuration, of scribed or of Inkwell, and prints every problem with its line and
the cure. It ends with 0 if there is no error, however many warnings there are, and otherwise with
1.

With --start it also checks what a start depends on: the user, certificates, ports, directories,
the inputs, and whether the next hop answers. Run it as the user that starts the daemon. It
changes nothing.

With --print it shows the resulting stores with every default, and which categories go where.
CATEGORY in a path stands for the category of the messages. With -- and the flags of collect,
forward or pipe it prints the configuration that these stand for, or, with --start, checks whether
they would start.`,
		Example: `  inkwell check /etc/scribe/scribe.conf
  inkwell check --print /etc/scribe/scribe.conf
  inkwell check --start /etc/inkwell/collect.conf
  inkwell check --print -- collect --dir /srv/logs --rotate hourly > collect.conf`,
		Args: func(cmd *cobra.Command, args []string) error {
			if cmd.ArgsLenAtDash() == 0 {
				return several("COMMAND")(cmd, args)
			}
			return exactly("FILE")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.ArgsLenAtDash() != 0 {
				return a.checkFile(a.output(), args[0], checks{show: show, start: start})
			}
			text, err := a.linesOf(args)
			if err == nil && (show || !start) {
				_, err = io.WriteString(a.output(), text)
			}
			if err == nil && start {
				err = a.checkStart(a.output(), config.Load("flags", []byte(text)), "flags")
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&show, "print", false, "show the resulting stores, or the configuration that flags stand for")
	cmd.Flags().BoolVar(&start, "start", false,
		"check users, certificates, ports, directories and the next hop, as a start would")
	return cmd
}

// checks says what check does besides reading the configuration.
type checks struct{ show, start bool }

// checkFile prints the mistakes in a configuration and, if asked to, the stores that result from it and whether a
// daemon would start with it.
func (a *app) checkFile(w io.Writer, name string, do checks) error {
	data, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	c := config.Load(name, data)
	for _, p := range c.Problems {
		if _, err := fmt.Fprintln(w, p); err != nil {
			return err
		}
	}
	if do.show {
		if _, err := io.WriteString(w, drawing(c)); err != nil {
			return err
		}
	}
	usable := 0
	for _, s := range c.Stores {
		if s.Status == "" {
			usable++
		}
	}
	bad := c.Errors()
	summary := fmt.Sprintf("%s: %d of %s usable, %s, %s", name, usable, english.Plural(len(c.Stores), "store", ""),
		english.Plural(bad, "error", ""), english.Plural(len(c.Problems)-bad, "warning", ""))
	if c.Status != "" {
		summary += "\n" + name + ": nothing of it is used: " + c.Status
	}
	if _, err := fmt.Fprintln(w, summary); err != nil {
		return err
	}
	if bad > 0 || c.Status != "" {
		return fmt.Errorf("%s has errors", name)
	}
	if do.start {
		return a.checkStart(w, c, name)
	}
	return nil
}
