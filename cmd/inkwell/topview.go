package main

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/dustin/go-humanize"

	"inkwell/internal/status"
)

// topView is the output of top for a set of answers. It is built anew from each set and keeps no other state.
type topView struct {
	answers []probe
	now     time.Time
}

// verdicts lists the reasons of all daemons, the worst first, or says that all is well.
func (v *topView) verdicts() (list []string) {
	type told struct {
		rank int
		text string
	}
	var all []told
	for _, p := range v.answers {
		for _, r := range p.verdict.Reasons {
			text := fmt.Sprintf("%s %s: %s (%s)", levels[levelRank(r.Level)].word, p.name, r.Text, r.Cure)
			all = append(all, told{levelRank(r.Level), printable(text)})
		}
	}
	slices.SortStableFunc(all, func(a, b told) int { return b.rank - a.rank })
	for _, t := range all {
		list = append(list, t.text)
	}
	if len(list) == 0 {
		list = []string{"OK all is well"}
	}
	return list
}

// body returns everything below the verdicts: tables of daemons, categories, partitions, senders and next hops, with
// only the rows that contain word.
func (v *topView) body(word string) (list []string) {
	for i, table := range []*cells{v.daemons(), v.categories(), v.partitions(), v.senders(), v.hops()} {
		if lines := table.lines(word); len(lines) > 0 {
			if i > 0 && len(list) > 0 {
				list = append(list, "")
			}
			list = append(list, lines...)
		}
	}
	return list
}

func (v *topView) daemons() *cells {
	c := &cells{title: []string{"entries/s", "bytes/s", "waits", "oldest", "free", "senders", "up", "level", "DAEMON"}}
	for _, p := range v.answers {
		level := levels[levelRank(p.verdict.Level)].word
		s := p.status
		if s == nil {
			c.rows = append(c.rows, []string{"-", "-", "-", "-", "-", "-", "-", level, printable(p.name)})
			continue
		}
		free := "-"
		if len(s.Disks) > 0 {
			free = fmt.Sprintf("%.0f%%", 100*lowest(s))
		}
		c.rows = append(c.rows, []string{rate(s.Received.EntriesPerSecond), size(int64(s.Received.BytesPerSecond)),
			size(waiting(s)), ages(oldest(s)), free,
			humanize.Comma(int64(len(s.Senders))), ages(s.Daemon.Uptime), level, printable(fmt.Sprintf("%s (%s on %s)",
				p.name, s.Daemon.Role, s.Daemon.Host))})
	}
	return c
}

// lowest returns the free share of the fullest disk.
func lowest(s *status.Status) float64 {
	free := 1.0
	for i := range s.Disks {
		free = min(free, s.Disks[i].Fraction())
	}
	return free
}

// waiting returns the number of bytes that have not reached their destination.
func waiting(s *status.Status) (n int64) {
	for _, store := range []*status.Store{s.Journal, s.Spool} {
		if store != nil {
			n += store.Bytes
		}
	}
	if s.Inputs != nil {
		n += s.Inputs.Lag
	}
	return n
}

// topRow is one line with its sort key.
type topRow struct {
	weight float64
	cells  []string
}

// sorted returns the rows, those with the largest key first.
func sorted(rows []topRow) (list [][]string) {
	slices.SortStableFunc(rows, func(a, b topRow) int { return cmp.Compare(b.weight, a.weight) })
	for _, r := range rows {
		list = append(list, r.cells)
	}
	return list
}

// qualify returns "NAME on DAEMON" if there are several daemons, else the name.
func (v *topView) qualify(name, daemon string) string {
	if len(v.answers) > 1 {
		name += " on " + daemon
	}
	return printable(name)
}

func (v *topView) categories() *cells {
	var rows []topRow
	for _, p := range v.answers {
		if p.status == nil {
			continue
		}
		for i := range p.status.Categories {
			g := &p.status.Categories[i]
			name := v.qualify(g.Name, p.name)
			if g.Trouble != "" {
				name += ": " + printable(g.Trouble)
			}
			rows = append(rows, topRow{g.BytesPerSecond,
				[]string{rate(g.EntriesPerSecond), size(int64(g.BytesPerSecond)), humanize.Comma(g.Entries),
					size(g.Bytes), size(g.Backlog),
					ages(g.Oldest), v.ago(g.LastEntry), name}})
		}
	}
	return &cells{[]string{"entries/s", "bytes/s", "entries", "bytes", "waits", "oldest", "last", "CATEGORY"},
		sorted(rows)}
}

// partitions lists the partitions of each topic once: all collectors that share it report the same.
func (v *topView) partitions() *cells {
	var rows []topRow
	seen := make(map[string]bool)
	for _, p := range v.answers {
		if p.status == nil || p.status.Topic == nil {
			continue
		}
		t := p.status.Topic
		if seen[t.Group+" "+t.Name] {
			continue
		}
		seen[t.Group+" "+t.Name] = true
		for _, one := range t.Partitions {
			rows = append(rows, topRow{float64(one.Lag),
				[]string{humanize.Comma(one.Lag), humanize.Comma(one.Committed),
					humanize.Comma(one.End), cmp.Or(printable(one.Owner), "nobody"),
					printable(fmt.Sprintf("%s %d", t.Name, one.Number))}})
		}
	}
	return &cells{[]string{"lag", "committed", "end", "owner", "PARTITION"}, sorted(rows)}
}

func (v *topView) senders() *cells {
	var rows []topRow
	for _, p := range v.answers {
		if p.status == nil {
			continue
		}
		for _, s := range p.status.Senders {
			name := s.Host
			if s.Path != "" {
				name += ":" + s.Path
			}
			if s.Category != "" {
				name += " (" + s.Category + ")"
			}
			name = v.qualify(name, p.name)
			if s.Via != "" {
				name += " via " + printable(s.Via)
			}
			if s.Trouble != "" {
				name += ": " + printable(s.Trouble)
			}
			rows = append(rows, topRow{s.Oldest,
				[]string{size(s.Lag), ages(s.Oldest), humanize.Comma(s.Entries), v.ago(s.LastSeen),
					cmp.Or(printable(s.Version), "-"), name}})
		}
	}
	return &cells{[]string{"behind", "oldest", "entries", "seen", "version", "SENDER"}, sorted(rows)}
}

func (v *topView) hops() *cells {
	var rows []topRow
	for _, p := range v.answers {
		if p.status == nil {
			continue
		}
		for _, h := range p.status.Hops {
			state, weight := "up", 0.0
			if !h.Up {
				state, weight = "down", 1
			}
			name := v.qualify(h.Address, p.name)
			if h.LastError != "" && !h.Up {
				name += ": " + printable(h.LastError)
			}
			rows = append(rows, topRow{weight, []string{state, v.ago(h.Since), name}})
		}
	}
	return &cells{[]string{"state", "for", "NEXT HOP"}, sorted(rows)}
}

// ago formats how long ago something was.
func (v *topView) ago(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return ages(v.now.Sub(*t).Seconds())
}

// ages formats a number of seconds for a person, "-" for none.
func ages(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	switch {
	case seconds <= 0:
		return "-"
	case d < time.Minute:
		return fmt.Sprintf("%ds", max(int(d.Seconds()), 1))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

// rate formats a number per second.
func rate(v float64) string {
	if v > 0 && v < 10 {
		return fmt.Sprintf("%.1f", v)
	}
	return humanize.Comma(int64(v))
}
