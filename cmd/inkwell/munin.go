package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"inkwell/internal/status"
)

// muninPrefix begins the names under which the program is a plugin of munin: a link inkwell_FIGURE, inkwell_FIGURE_HOST
// or inkwell_FIGURE_HOST_PORT to it. FIGURE is one of muninGraphs.
const muninPrefix = "inkwell_"

// muninGraph is one graph that munin draws.
type muninGraph struct {
	name, title, label string
	args               string // graph_args
	values             func(s *status.Status, t status.Thresholds) []muninValue
}

// muninValue is one line of a graph.
type muninValue struct {
	field, label      string
	value             float64
	derive            bool // it only grows: munin draws how fast
	warning, critical string
}

// muninGraphs are all graphs, in the order of the help.
var muninGraphs = []muninGraph{
	{"entries", "entries", "entries per ${graph_period}", "--base 1000 -l 0",
		func(s *status.Status, _ status.Thresholds) []muninValue {
			refused := int64(0)
			for _, r := range s.Refused {
				refused += r.Count
			}
			return []muninValue{{field: "received", label: "received", value: float64(s.Received.Entries),
				derive: true},
				{field: "refused", label: "refused or lost", value: float64(refused), derive: true}}
		}},
	{"bytes", "bytes", "bytes per ${graph_period}", "--base 1024 -l 0",
		func(s *status.Status, _ status.Thresholds) []muninValue {
			return []muninValue{{field: "received", label: "received", value: float64(s.Received.Bytes), derive: true}}
		}},
	{"backlog", "backlog", "bytes that wait", "--base 1024 -l 0",
		func(s *status.Status, t status.Thresholds) (list []muninValue) {
			add := func(field, label string, store *status.Store) {
				if store == nil {
					return
				}
				v := muninValue{field: field, label: label, value: float64(store.Bytes)}
				if store.Limit > 0 {
					v.warning = muninNumber(float64(store.Limit) * t.Store.Warning)
					v.critical = muninNumber(float64(store.Limit) * t.Store.Critical)
				}
				list = append(list, v)
			}
			add("journal", "in the journal", s.Journal)
			add("spool", "in the spool", s.Spool)
			if s.Inputs != nil {
				list = append(list, muninValue{field: "files", label: "not read yet", value: float64(s.Inputs.Lag)})
			}
			return list
		}},
	{"age", "age of the oldest entry that waits", "seconds", "--base 1000 -l 0",
		func(s *status.Status, t status.Thresholds) []muninValue {
			return []muninValue{{field: "oldest", label: "oldest", value: oldest(s),
				warning: muninNumber(t.Backlog.Warning), critical: muninNumber(t.Backlog.Critical)}}
		}},
	{"disk", "free disk", "% free", "--base 1000 -l 0 -u 100",
		func(s *status.Status, t status.Thresholds) (list []muninValue) {
			for i, d := range s.Disks {
				list = append(list, muninValue{field: fmt.Sprintf("disk%d", i), label: d.Path,
					value:   100 * d.Fraction(),
					warning: muninNumber(100*t.Disk.Warning) + ":", critical: muninNumber(100*t.Disk.Critical) + ":"})
			}
			return list
		}},
	{"problems", "problems", "reasons", "--base 1000 -l 0", func(s *status.Status, t status.Thresholds) []muninValue {
		warnings, criticals := 0.0, 0.0
		for _, r := range s.Judge(t).Reasons {
			if r.Level == status.Critical {
				criticals++
			} else {
				warnings++
			}
		}
		return []muninValue{{field: "warning", label: "warnings", value: warnings, warning: "0:0"},
			{field: "critical", label: "critical", value: criticals, critical: "0:0"}}
	}},
}

// muninNumber formats a number with three decimals at most.
func muninNumber(v float64) string { return strconv.FormatFloat(math.Round(v*1000)/1000, 'f', -1, 64) }

func (a *app) munin() *cobra.Command {
	timeout := 10 * time.Second
	cmd := &cobra.Command{
		Use:   "munin FIGURE [HOST[:PORT]|STATE] [config|autoconf]",
		Short: "plugin for munin: print one figure of a daemon",
		Long: `munin prints a figure of a daemon, or with config how to draw it, as munin-node asks its plugins.
FIGURE is entries, bytes, backlog (bytes that wait), age (of the oldest entry that waits), disk
(free) or problems.

munin-node needs no wrapper: a link to inkwell whose name is inkwell_FIGURE, inkwell_FIGURE_HOST
or inkwell_FIGURE_HOST_PORT is such a plugin, so that there can be one for each figure and daemon.
For what a name cannot express, such as a state directory, set env.address in the plugin's section
of munin's plugin-conf.d.`,
		Example: `  inkwell munin entries localhost:1463
  ln -s /usr/bin/inkwell /etc/munin/plugins/inkwell_backlog_logs.example.com_1463
  inkwell munin age /var/lib/inkwell-forward config`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 3 {
				return exactly("FIGURE", "HOST", "config")(cmd, args)
			}
			return several("FIGURE")(cmd, args)
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) (names []cobra.Completion,
			_ cobra.ShellCompDirective) {
			for _, g := range muninGraphs {
				names = append(names, g.name)
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			figure, rest := args[0], args[1:]
			word := ""
			if n := len(rest); n > 0 && (rest[n-1] == "config" || rest[n-1] == "autoconf") {
				word, rest = rest[n-1], rest[:n-1]
			}
			if len(rest) > 1 {
				return usagef("%q: want config, autoconf or nothing", rest[1])
			}
			for i := range muninGraphs {
				if muninGraphs[i].name == figure {
					return a.runMunin(cmd.Context(), &muninGraphs[i],
						muninQuestion{to: rest, word: word, timeout: timeout})
				}
			}
			return usagef("%q is no figure: want entries, bytes, backlog, age, disk or problems", figure)
		},
	}
	tlsFlags(cmd.Flags(), &a.tls)
	return cmd
}

// muninQuestion is a request of munin-node.
type muninQuestion struct {
	to      []string // the daemon, or nothing
	word    string   // config, autoconf, or nothing: the values
	timeout time.Duration
}

func (a *app) runMunin(ctx context.Context, g *muninGraph, q muninQuestion) error {
	p, err := a.prober(q.to, q.timeout)
	if err != nil {
		return err
	}
	answer := p.ask(ctx)[0]
	w := a.output()
	switch {
	case q.word == "autoconf" && answer.status == nil:
		_, err = fmt.Fprintf(w, "no (%s)\n", printable(answer.verdict.Text))
	case q.word == "autoconf":
		_, err = fmt.Fprintln(w, "yes")
	case answer.status == nil:
		return fmt.Errorf("%s: %s", answer.name, answer.verdict.Text)
	case q.word == "config":
		err = g.config(w, answer.name, g.values(answer.status, p.thresholds))
	default:
		for _, v := range g.values(answer.status, p.thresholds) {
			text := muninNumber(v.value)
			if v.derive {
				text = strconv.FormatInt(int64(v.value), 10)
			}
			if _, err := fmt.Fprintf(w, "%s.value %s\n", v.field, text); err != nil {
				return err
			}
		}
	}
	return err
}

// config prints how the graph is drawn.
func (g *muninGraph) config(to io.Writer, name string, values []muninValue) error {
	var out strings.Builder
	fmt.Fprintf(&out, "graph_title Inkwell %s of %s\ngraph_category inkwell\ngraph_vlabel %s\ngraph_args %s\n", g.title,
		printable(name), g.label, g.args)
	for _, v := range values {
		fmt.Fprintf(&out, "%s.label %s\n", v.field, printable(v.label))
		if v.derive {
			fmt.Fprintf(&out, "%s.type DERIVE\n%[1]s.min 0\n", v.field)
		}
		if v.warning != "" {
			fmt.Fprintf(&out, "%s.warning %s\n", v.field, v.warning)
		}
		if v.critical != "" {
			fmt.Fprintf(&out, "%s.critical %s\n", v.field, v.critical)
		}
	}
	_, err := io.WriteString(to, out.String())
	return err
}

// muninPlugin is `inkwell munin` under the name of a link. The address comes from env.address or from that name. Only
// the first argument counts, as munin-node gives no other.
func (a *app) muninPlugin(ctx context.Context, name string, args []string) int {
	figure, place, _ := strings.Cut(strings.TrimPrefix(name, muninPrefix), "_")
	line := []string{"munin", "--", figure}
	if address, ok := a.lookup("address"); ok && address != "" {
		line = append(line, address)
	} else if place != "" {
		line = append(line, strings.ReplaceAll(place, "_", ":"))
	}
	if len(args) > 0 {
		line = append(line, args[0])
	}
	return a.main(ctx, line)
}
