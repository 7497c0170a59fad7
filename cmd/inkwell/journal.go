package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"inkwell/collector"
	"inkwell/store/audit"
	"inkwell/store/depot"
	"inkwell/store/kafka"
)

func (a *app) journal() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "journal",
		Short: "move what a journal has to another one",
		Long: `journal works on the journal of a collector that is not running. To look into one use
inkwell spool.`,
		Example: `  inkwell journal move /srv/logs kafka://k1,k2,k3/logs`,
		Args:    unknownCommand,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.journalMove())
	return cmd
}

func (a *app) journalMove() *cobra.Command {
	var publish string
	cmd := &cobra.Command{
		Use:   "move (DIR TOPIC | TOPIC DIR)",
		Short: "move acknowledged entries between a local journal and a topic",
		Long: `move brings what the first journal has acknowledged, and not written to files yet, into the
second one. DIR is the directory of a collector's files or its state directory, and TOPIC is the
address of a topic as in --journal. Each entry is moved once. If the command is interrupted, or
fails, run it again: until it succeeds the collector of DIR does not start, and no collector
drains the partitions that are not complete.

Stop the collector of DIR first; from a topic also stop all collectors of the topic, and name its
depot with --publish. To a topic its collectors may be running. Files that the collector of DIR
has open, or has not brought into its depot, are not moved: its next start goes on with them.

Run it as the user of the collector. The exit code is 0 when everything was moved, and 1 when
not, also when places in the journal are damaged: those are passed over, and their segments kept
as .corrupt. It is 111 while the collector of DIR runs.`,
		Example: `  inkwell journal move /srv/logs kafka://k1,k2,k3/logs
  inkwell journal move 'kafka://k1,k2,k3/logs' /srv/logs --publish 's3://logs/prod?region=eu-central-1'`,
		Args: exactly("the first journal (DIR or TOPIC)", "the second journal (DIR or TOPIC)"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.moveJournal(cmd, args, publish) },
	}
	cmd.Flags().StringVar(&publish, "publish", "", "`ADDRESS` of the depot of the topic, to move from a topic")
	return cmd
}

// moveJournal moves what the journal args[0] has to the journal args[1].
func (a *app) moveJournal(cmd *cobra.Command, args []string, publish string) error {
	from, to := args[0], args[1]
	back := kafka.IsAddress(from)
	if back == kafka.IsAddress(to) {
		return usagef("%s and %s: one must be a directory and the other a topic, kafka://BROKER,BROKER/TOPIC", from, to)
	}
	if back != (publish != "") {
		return usagef("--publish names the depot of a topic from which entries are moved; it is needed for that only")
	}
	if back {
		from, to = to, from
		if _, err := depot.ParseAddress(publish); err != nil {
			return usagef("--publish: %w", err)
		}
	}
	address, err := kafka.ParseAddress(to)
	if err != nil {
		return usagef("%w", err)
	}
	state, err := journalState(from, back)
	if err != nil {
		return err
	}
	log, err := a.log.open(a.screen)
	if err != nil {
		return err
	}
	ctx, stop := a.untilSignal(cmd.Context(), log, func() {})
	defer stop()
	o := collector.MoveOptions{StateDir: state, Address: address, Depot: publish, Logger: log}
	move := collector.MoveToTopic
	if back {
		move = collector.MoveFromTopic
	}
	moved, err := move(ctx, o)
	switch {
	case err != nil:
		return fmt.Errorf("move %s to %s: %w (nothing is lost or moved twice: run this again)", args[0], args[1], err)
	case moved.Damaged > 0:
		return fmt.Errorf("moved %s from %s to %s; %s of the journal could not be read (inkwell spool verify names "+
			"them)", entries(moved.Entries), args[0], args[1], count(moved.Damaged, "place"))
	}
	_, err = fmt.Fprintf(a.output(), "moved %s from %s to %s\n", entries(moved.Entries), args[0], args[1])
	return err
}

// journalState returns the state directory of a collector, given it or the directory of its files. A new one is that of
// inkwell collect --dir.
func journalState(dir string, mayBeNew bool) (string, error) {
	for _, state := range []string{dir, filepath.Join(dir, audit.StateName)} {
		is, err := isSpool(filepath.Join(state, "journal"))
		if is || err != nil {
			return state, err
		}
	}
	if _, err := os.Stat(dir); err != nil || mayBeNew {
		return filepath.Join(dir, audit.StateName), err
	}
	return "", fmt.Errorf("%s: there is no journal (give the --dir or --state of a collector)", dir)
}
