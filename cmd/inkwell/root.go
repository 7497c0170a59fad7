package main

import (
	"github.com/spf13/cobra"

	"inkwell/internal/conf"
)

// root builds the tree of commands.
func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "inkwell",
		Short: "ship log lines into rotated, compressed files per category",
		Long: `inkwell ships log lines: it reads files, pipes, the systemd journal and syslog, sends the lines
over the Scribe protocol, and writes them into rotated, compressed files, one directory per
category.

Every flag can also be set by an environment variable: INKWELL_ and the name of the flag in
capitals, with _ for - (INKWELL_MAX_SIZE for --max-size). A flag overrides the variable. Sizes are
written as plain bytes, 1GB (decimal) or 256MiB (binary), durations as 90s, 15m or 1h30m.

Exit codes: 0 done, 1 failed, 2 the command line is wrong, 75 some of the input is still in the
spool (the next run delivers it), 111 another process uses the state or spool.`,
		Example: `  inkwell collect --dir /srv/logs
  inkwell forward --to localhost:1463 --state /var/lib/inkwell apache.access=/var/log/apache2/access.log
  inkwell cat -f /srv/logs/apache.access`,
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          unknownCommand,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			a.warnOfVariables(cmd.Root())
			return conf.FromEnvironment(cmd.Flags(), a.lookup)
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetOut(a.stdout)
	root.SetErr(a.screen)
	root.SetVersionTemplate("inkwell {{.Version}}\n")
	a.log.flags(root.PersistentFlags())
	root.AddCommand(a.collect(), a.scribed(), a.forward(), a.pipe(), a.cat(), a.spool(), a.version(), a.man())
	root.AddCommand(a.init(), a.migrate(), a.check(), a.audit())
	root.AddCommand(a.health(), a.top(), a.munin())
	root.AddCommand(a.ls(), a.grep(), a.stats(), a.convert(), a.wait(), a.verify(), a.repair(), a.journal())
	root.AddCommand(a.catTo(), a.ctl(), a.rotatelogs(), a.completion())
	root.SetHelpCommand(a.help())
	completes(root)
	a.markRunning(root)
	return root
}

// markRunning lets a distinguish errors of the command line from those of the work.
func (a *app) markRunning(cmd *cobra.Command) {
	if work := cmd.RunE; work != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			a.running = true
			return work(cmd, args)
		}
	}
	for _, sub := range cmd.Commands() {
		a.markRunning(sub)
	}
}
