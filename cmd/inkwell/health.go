package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"inkwell/internal/conf"
	"inkwell/internal/status"
)

// levels are the verdicts of health from the best to the worst, with the codes and words of Nagios. An unknown state is
// worse than a warning, because it may hide anything, but better than one that is known to be critical.
var levels = []struct {
	level status.Level
	code  int
	word  string
}{{status.Good, 0, "OK"}, {status.Warning, 1, "WARNING"}, {unknown, 3, "UNKNOWN"}, {status.Critical, 2, "CRITICAL"}}

// levelRank returns the severity of a level.
func levelRank(l status.Level) int {
	for i, x := range levels {
		if x.level == l {
			return i
		}
	}
	return 2 // a level of a later version
}

// healthOptions are the flags of health.
type healthOptions struct {
	format  string
	timeout time.Duration
	limits  status.Thresholds
}

// usageCode is the annotation of a command whose exit code for a wrong command line is not 2, which Nagios takes for
// "critical".
const usageCode = "usage code"

func (a *app) health() *cobra.Command {
	o := &healthOptions{limits: status.DefaultThresholds()}
	cmd := &cobra.Command{
		Use:   "health [HOST[:PORT]|STATE...]",
		Short: "check the health of daemons, for monitoring",
		Long: `health queries the status of each daemon, of a collector by its address and of a forwarder or pipe
by its state or spool directory, and compares it with thresholds. It prints what is wrong and what
to do about it, the worst first.

The exit code is 0 if all is well, 1 for a warning (nothing is lost or refused yet), 2 if
something is critical or a daemon does not answer, and 3 if the state is not known or the command
line is wrong. These are the codes of Nagios, Icinga and other programs that run Nagios plugins;
--format nagios is their output format, with performance data. (The exit codes of inkwell ctl
status are different: they are those of scribe_ctrl.)

A threshold is WARNING or WARNING,CRITICAL. A daemon reports all of its figures to its own
machine, to the owner of its state directory, and to peers of an <allow> block with status=yes.
Others get only its own verdict, to which thresholds do not apply.`,
		Example: `  inkwell health
  inkwell health --backlog-age 5m,30m --spool 80% --disk 10% logs1 logs2 /var/lib/inkwell-forward
  inkwell health --format json logs.example.com | jq -r .text`,
		Annotations: map[string]string{usageCode: "3"},
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := a.prober(args, o.timeout)
			if err != nil {
				return err
			}
			p.thresholds = o.limits
			answers := p.ask(cmd.Context())
			worst := slices.MaxFunc(answers, func(a,
				b probe) int {
				return levelRank(a.verdict.Level) - levelRank(b.verdict.Level)
			})
			if o.format == "json" {
				err = printHealth(a.output(), answers, worst)
			} else {
				err = printNagios(a.output(), answers, worst, o.limits)
			}
			if err != nil {
				return err
			}
			return exitCode(levels[levelRank(worst.verdict.Level)].code)
		},
	}
	flags := cmd.Flags()
	limit := func(to *status.Limit, name, text, usage string, parse func(string) (float64, error), high bool) {
		was := *to
		flags.Var(conf.Value(to, text, "limit",
			func(s string) (status.Limit, error) { return parseLimit(s, parse, was, high) }), name, usage)
	}
	limit(&o.limits.Backlog, "backlog-age", "5m,1h",
		"how long the oldest entry may wait for its store or next hop", parseSeconds, true)
	limit(&o.limits.Store, "spool", "80%,95%", "how full a journal or spool may be", parsePercent, true)
	limit(&o.limits.Disk, "disk", "10%,3%", "how much of a disk must be free", parsePercent, false)
	limit(&o.limits.Certificate, "certificate", "14d,2d", "how long certificates must be valid", parseSeconds, false)
	flags.Var(conf.Value(&o.format, "nagios", "word", parseHealthFormat), "format", "nagios, or json: one object")
	flags.Var(conf.Value(&o.timeout, "10s", "duration", parsePeriod), "timeout", "how long a daemon may take to answer")
	tlsFlags(flags, &a.tls)
	return cmd
}

// parseSeconds parses a duration.
func parseSeconds(s string) (float64, error) {
	d, err := conf.ParseDuration(s)
	return d.Seconds(), err
}

func parseHealthFormat(s string) (string, error) {
	if s != "nagios" && s != "json" {
		return "", fmt.Errorf("%q: must be nagios or json", s)
	}
	return s, nil
}

// printNagios writes a line with the verdict and performance data, and one line for each reason.
func printNagios(to io.Writer, answers []probe, worst probe, t status.Thresholds) error {
	var out strings.Builder
	text := worst.verdict.Text
	if len(answers) > 1 {
		bad := 0
		for _, p := range answers {
			if p.verdict.Level != status.Good {
				bad++
			}
		}
		if text = fmt.Sprintf("%d daemons, all is well", len(answers)); bad > 0 {
			text = fmt.Sprintf("%d of %d daemons: %s: %s", bad, len(answers), worst.name, worst.verdict.Text)
		}
	} else {
		text = worst.name + ": " + text
	}
	fmt.Fprintf(&out, "INKWELL %s - %s", levels[levelRank(worst.verdict.Level)].word, nagiosText(text))
	data := make([]string, 0, 8*len(answers))
	for _, p := range answers {
		prefix := ""
		if len(answers) > 1 {
			prefix = p.name + " "
		}
		data = append(data, performance(prefix, p.status, t)...)
	}
	if len(data) > 0 {
		out.WriteString(" | " + strings.Join(data, " "))
	}
	out.WriteByte('\n')
	for _, p := range answers {
		for _, r := range p.verdict.Reasons {
			fmt.Fprintf(&out, "%s: %s: %s (%s)\n", levels[levelRank(r.Level)].word, nagiosText(p.name),
				nagiosText(r.Text), nagiosText(r.Cure))
		}
	}
	_, err := io.WriteString(to, out.String())
	return err
}

// nagiosText makes a daemon's text safe for a plugin's output, where a | would begin the performance data.
func nagiosText(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(printable(s), "|", "/"), "\n", " ")
}

// performance formats the performance data of a daemon: 'label'=value[unit];warning;critical.
func performance(prefix string, s *status.Status, t status.Thresholds) (data []string) {
	if s == nil {
		return nil
	}
	add := func(label, value string) {
		data = append(data, "'"+strings.ReplaceAll(prefix+label, "'", "")+"'="+value)
	}
	number := func(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
	high := func(v float64, l status.Limit, unit string, scale float64) string {
		crit := ""
		if l.Critical < 1e300 {
			crit = number(l.Critical * scale)
		}
		return strconv.FormatFloat(v*scale, 'f', 1, 64) + unit + ";" + number(l.Warning*scale) + ";" + crit
	}
	add("entries", strconv.FormatInt(s.Received.Entries, 10)+"c")
	add("bytes", strconv.FormatInt(s.Received.Bytes, 10)+"c")
	add("backlog_age", high(oldest(s), t.Backlog, "s", 1))
	for _, x := range []struct {
		name  string
		store *status.Store
	}{{"journal", s.Journal}, {"spool", s.Spool}} {
		if x.store != nil {
			add(x.name, high(x.store.Fraction(), t.Store, "%", 100))
			add(x.name+"_bytes", strconv.FormatInt(x.store.Bytes, 10)+"B")
		}
	}
	for _, d := range s.Disks {
		l := t.Disk
		add("free "+d.Path, fmt.Sprintf("%.1f%%;%s:;%s:", 100*d.Fraction(), number(100*l.Warning),
			number(max(100*l.Critical, 0))))
	}
	refused := int64(0)
	for _, r := range s.Refused {
		refused += r.Count
	}
	add("refused", strconv.FormatInt(refused, 10)+"c")
	return data
}

// oldest returns how long the oldest entry has waited anywhere in a daemon, in seconds.
func oldest(s *status.Status) (age float64) {
	for _, store := range []*status.Store{s.Journal, s.Spool} {
		if store != nil {
			age = max(age, store.Oldest)
		}
	}
	for i := range s.Categories {
		age = max(age, s.Categories[i].Oldest)
	}
	if s.Inputs != nil {
		age = max(age, s.Inputs.Oldest)
	}
	return age
}

// healthDocument is the output of --format json.
type healthDocument struct {
	Level   status.Level   `json:"level"` // good, warning, unknown or critical: of the worst
	Text    string         `json:"text"`
	Daemons []healthDaemon `json:"daemons"`
}

// healthDaemon is the part of one daemon in it.
type healthDaemon struct {
	Address string `json:"address"` // as it was asked for
	status.Verdict
	Role    string `json:"role,omitempty"`
	Host    string `json:"host,omitempty"`
	Version string `json:"version,omitempty"`
}

func printHealth(to io.Writer, answers []probe, worst probe) error {
	d := healthDocument{Level: worst.verdict.Level, Text: worst.name + ": " + worst.verdict.Text,
		Daemons: []healthDaemon{}}
	for _, p := range answers {
		h := healthDaemon{Address: p.name, Verdict: p.verdict}
		if p.status != nil {
			h.Role, h.Host, h.Version = p.status.Daemon.Role, p.status.Daemon.Host, p.status.Daemon.Version
		}
		d.Daemons = append(d.Daemons, h)
	}
	out := json.NewEncoder(plainWriter{to})
	out.SetEscapeHTML(false)
	return out.Encode(d)
}
