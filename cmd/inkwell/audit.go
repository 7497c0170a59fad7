package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"inkwell/internal/conf"
	"inkwell/store/audit"
	"inkwell/store/kafka"
)

func (a *app) audit() *cobra.Command {
	var o auditOptions
	cmd := &cobra.Command{
		Use:   "audit DIR | FILE...",
		Short: "check that everything that was sent is in the files",
		Long: `audit finds out whether entries are missing. Per category and hour it adds up, from the manifests
beside the files, what collectors received, wrote, passed on, dropped as duplicates and refused,
and reports the numbers of a stream that are in no file, journal or spool. It changes nothing, and
the collectors may be running.

Each DIR is the directory of a collector's files, or a depot (s3://BUCKET/PREFIX?…,
hdfs://NAMENODE:PORT/PATH). A topic that is the journal of collectors (kafka://BROKER/TOPIC?…) is
given beside their depot: what it has and the depot has not waits in the journal. Each FILE is the
configuration of a collector or forwarder, which says where everything is. Of several collectors
it also reports what more than one of them has. With
the state of a forwarder, or the spool of a pipe, it knows how far each stream must have arrived
and what still waits. Hours are UTC, by the collector's clock.

Behind a forwarder, give every collector that it can reach: what only another one has counts as
missing.

The exit code is 1 if something is missing, is twice in the files of one collector, or differs
from the manifest.`,
		Example: `  inkwell audit /srv/logs
  inkwell audit /etc/inkwell/collect.conf /etc/inkwell/forward.conf
  inkwell audit /srv/a/logs /srv/b/logs --state /var/lib/inkwell --since 24h
  inkwell audit 's3://logs/prod?region=eu-central-1' kafka://k1,k2,k3/logs --state /var/lib/inkwell
  inkwell audit --problems /srv/logs
  inkwell audit --json /srv/logs | jq '.categories.web.sums'`,
		Args: several("DIR or FILE"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.runAudit(cmd, args, &o) },
	}
	f := cmd.Flags()
	f.StringArrayVar(&o.states, "state", nil,
		"state directory of a forwarder, or spool of a pipe, whose entries must have arrived; can be repeated")
	f.StringArrayVar(&o.beside, "collector-state", nil, "where the collector of a DIR or FILE keeps its state, as "+
		"DIR=STATE, if that is neither DIR/.inkwell nor what "+
		"FILE says; can be repeated")
	f.Var(conf.Value(&o.since, "", "time", parseSince), "since",
		"show only the hours since then: a day (2026-11-25), a time (2026-11-25T14:00, UTC) or a duration before now "+
			"(24h)")
	f.BoolVar(&o.problems, "problems", false,
		"print only the hours and findings in which something is missing, refused, dropped or wrong")
	f.BoolVar(&o.json, "json", false, "print everything that was found as one JSON object")
	f.BoolVar(&o.verify, "verify", false, "also read every file, and compare it with its manifest")
	return cmd
}

// auditOptions are the flags.
type auditOptions struct {
	states, beside []string
	since          time.Time
	json, verify   bool
	problems       bool
}

// parseSince parses a day, a time or a duration before now; "" gives the zero time.
func parseSince(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.DateOnly, "2006-01-02T15:04", time.DateTime, "2006-01-02 15:04",
		time.RFC3339} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), nil
		}
	}
	d, err := conf.ParseDuration(s)
	if err != nil {
		return time.Time{}, fmt.Errorf(
			"time %q: want a day as 2026-11-25, a time as 2026-11-25T14:00, or a duration before now as 24h or 7d", s)
	}
	return time.Now().UTC().Add(-d), nil
}

func (a *app) runAudit(cmd *cobra.Command, args []string, o *auditOptions) error {
	what, err := a.audited(args, o)
	if err != nil {
		return err
	}
	bar := a.progress(0)
	defer bar.end()
	sum := audit.New(audit.Options{Since: o.since, Progress: bar.step, Destinations: what.destinations})
	for _, s := range what.senders {
		if err := s.add(sum); err != nil {
			return err
		}
	}
	for _, s := range what.sources {
		if err := sum.Collector(s); err != nil {
			return err
		}
	}
	for _, address := range what.depots {
		if err := auditDepot(cmd.Context(), sum, address, what.topics[address]); err != nil {
			return err
		}
	}
	if o.verify {
		if err := sum.Verify(cmd.Context()); err != nil {
			return err
		}
	}
	r := sum.Report()
	bar.end()
	if o.json {
		out := json.NewEncoder(a.output())
		out.SetEscapeHTML(false)
		err = out.Encode(r)
	} else {
		err = printAudit(a.output(), r, o.problems)
	}
	if err == nil && r.Fault {
		err = exitCode(exitFailed)
	}
	return err
}

// audited resolves the arguments to the directories, states and spools to audit.
func (a *app) audited(args []string, o *auditOptions) (*audited, error) {
	what, err := separate(args)
	if err != nil {
		return nil, err
	}
	if o.verify && len(what.depots) > 0 {
		return nil, usagef("--verify reads files of directories, not those of %s: leave it out", what.depots[0])
	}
	args = slices.DeleteFunc(slices.Clone(args), func(arg string) bool {
		return slices.Contains(what.depots, arg) || kafka.IsAddress(arg)
	})
	states, err := collectorStates(args, o.beside)
	if err != nil {
		return nil, err
	}
	for _, path := range o.states {
		what.senders = append(what.senders, sender{path: path})
	}
	for _, arg := range args {
		state := states[filepath.Clean(arg)]
		if isDir(arg) {
			what.sources = append(what.sources, audit.Source{Dirs: []string{arg}, State: state})
			continue
		}
		if err := what.configured(arg, state, a.lookup); err != nil {
			return nil, err
		}
	}
	if len(what.sources)+len(what.depots) == 0 {
		return nil, usagef("no collector is given (give the directory of its files, or its configuration)")
	}
	return what, nil
}

// separate returns the depots among the arguments, and the topic, which belongs to the only depot. Beside a topic a
// directory is a depot, in which there may be nothing yet.
func separate(args []string) (*audited, error) {
	what := &audited{topics: make(map[string]*kafka.Address)}
	var topics []string
	for _, arg := range args {
		if kafka.IsAddress(arg) {
			topics = append(topics, arg)
		}
	}
	for _, arg := range args {
		if isDepot(arg) || len(topics) > 0 && isDir(arg) {
			what.depots = append(what.depots, arg)
		}
	}
	if len(topics) == 0 {
		return what, nil
	}
	if len(topics) > 1 || len(what.depots) != 1 {
		return nil, usagef("%s: give one topic, and the depot into which its collectors bring files (or their "+
			"configuration)",
			strings.Join(topics, ", "))
	}
	topic, err := kafka.ParseAddress(topics[0])
	if err != nil {
		return nil, usagef("%w", err)
	}
	what.topics[what.depots[0]] = &topic
	return what, nil
}

// collectorStates parses the values of --collector-state. Each directory must exist and may be given only once.
func collectorStates(dirs, beside []string) (states map[string]string, err error) {
	states = make(map[string]string)
	known := make([]os.FileInfo, 0, len(dirs))
	for _, dir := range dirs {
		st, err := os.Stat(dir)
		if err != nil {
			return nil, err
		}
		for i, other := range known {
			if os.SameFile(st, other) {
				return nil, usagef("%s and %s are the same", dirs[i], dir)
			}
		}
		known = append(known, st)
		states[filepath.Clean(dir)] = ""
	}
	for _, b := range beside {
		dir, state, two := strings.Cut(b, "=")
		if _, given := states[filepath.Clean(dir)]; !two || !given || state == "" {
			return nil, usagef("--collector-state %q: want DIR=STATE, with one of the directories or configurations "+
				"that are audited", b)
		}
		if _, err := os.Stat(state); err != nil {
			return nil, usagef("--collector-state %q: %v (give the directory with the journal)", b, err)
		}
		states[filepath.Clean(dir)] = state
	}
	return states, nil
}

func isDir(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.IsDir()
}
