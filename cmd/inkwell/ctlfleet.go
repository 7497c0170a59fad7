package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"

	"inkwell/internal/fleet"
)

// printFleet prints the senders of a collector as a table, those with a problem first.
func printFleet(to io.Writer, f *fleet.Status, now time.Time) error {
	if len(f.Senders) == 0 {
		return nil
	}
	all := 0
	var sums []string
	for _, s := range []fleet.State{fleet.Silent, fleet.Trouble, fleet.Behind, fleet.Sending, fleet.Ended} {
		if n := f.Count[s]; n > 0 {
			all += n
			sums = append(sums, fmt.Sprintf("%d %s", n, s))
		}
	}
	fmt.Fprintf(to, "%d senders: %s\n", all, strings.Join(sums, ", "))
	t := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "STATE\tHEARD\tUNSENT\tFOR\tSPOOL\tFOR\tFILES\tHOST\tNAME\tPEER\tVERSION\tTROUBLE\n")
	for i := range f.Senders {
		s := &f.Senders[i]
		peer := printable(s.Peer)
		if s.Via != "" {
			peer += " via " + printable(s.Via)
		}
		fmt.Fprintf(t, "%s\t%s ago\t%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\t%s\t%s\n", printable(string(s.State)),
			short(now.Sub(s.Heard)),
			humanize.IBytes(uint64(max(s.Lag, 0))), seconds(s.OldestAge), humanize.IBytes(uint64(max(s.SpoolBytes, 0))),
			seconds(s.SpoolAge), s.Files, printable(s.Host), printable(s.Program+" "+s.Name), peer,
			printable(s.Version), printable(s.Trouble))
	}
	return t.Flush()
}

// seconds formats an age for a person. A peer may claim any value.
func seconds(s float64) string {
	const most = 1e9
	return short(time.Duration(min(max(s, 0), most) * float64(time.Second)))
}
