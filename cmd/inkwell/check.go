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
	var show bool
	cmd := &cobra.Command{
		Use:   "check [--print] FILE | --print -- COMMAND FLAGS...",
		Short: "say what is wrong with a configuration, and what it comes to",
		Long: `check reads a configuration, of scribed or of our own style, and prints every problem with its line and the cure. It ends with 0 when
there is no error, whatever the warnings, and with 1 when there is one.

With --print it shows the stores that result, with every default: what categories go where. CATEGORY in a path stands for the category
of the messages. With -- and the flags of collect, forward or pipe it prints the configuration that these stand for.`,
		Example: `  inkwell check /etc/scribe/scribe.conf
  inkwell check --print /etc/scribe/scribe.conf
  inkwell check --print -- collect --dir /srv/logs --rotate hourly > collect.conf`,
		Args: func(cmd *cobra.Command, args []string) error {
			if cmd.ArgsLenAtDash() == 0 {
				return several("COMMAND")(cmd, args)
			}
			return exactly("FILE")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.ArgsLenAtDash() == 0 {
				return a.printLines(args)
			}
			return checkFile(a.output(), args[0], show)
		},
	}
	cmd.Flags().BoolVar(&show, "print", false, "show what the configuration comes to")
	return cmd
}

// checkFile prints what is wrong with a configuration and, if asked to, what it comes to.
func checkFile(w io.Writer, name string, show bool) error {
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
	if show {
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
	summary := fmt.Sprintf("%s: %d of %s usable, %s, %s", name, usable, english.Plural(len(c.Stores), "store", ""), english.Plural(bad, "error", ""), english.Plural(len(c.Problems)-bad, "warning", ""))
	if c.Status != "" {
		summary += "\n" + name + ": nothing of it is used: " + c.Status
	}
	if _, err := fmt.Fprintln(w, summary); err != nil {
		return err
	}
	if bad > 0 || c.Status != "" {
		return fmt.Errorf("%s has errors", name)
	}
	return nil
}
