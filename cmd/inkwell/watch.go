package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"inkwell/internal/conf"
	"inkwell/internal/stats"
	"inkwell/proto/gen/fb303"
)

// watchedCounters are the counters that watch shows, in the order of its columns, with their titles.
var watchedCounters = []struct{ counter, title string }{
	{"received good", "received/s"},
	{"received good bytes", "bytes/s"},
	{"sent", "sent/s"},
	{"ignored", "ignored/s"},
	{"received bad", "bad/s"},
	{"denied for queue size", "denied/s"},
	{"requeue", "requeue/s"},
	{"retries", "retries/s"},
	{"lost", "lost/s"},
}

// watchRows is the number of categories that are shown to a pipe; a terminal shows as many as fit.
const watchRows = 50

func (a *app) ctlWatch() *cobra.Command {
	every := 2 * time.Second
	cmd := &cobra.Command{
		Use:   "watch [PORT|HOST:PORT|STATE...]",
		Short: "show rates per second, by category",
		Long: `watch shows, until Ctrl-C, by how much the most important counters grow per second, in total and
by category, the busiest first. On a terminal it redraws in place, several servers one below the
other; elsewhere each period is a block of lines for each server, followed by an empty one.
Columns of counters that a server does not have are left out. A server that goes away is waited
for.`,
		Example: `  inkwell ctl watch
  inkwell ctl watch logs1 logs2 /var/lib/inkwell
  inkwell ctl watch --every 10s logs.example.com:1463 >> rates.txt`,
		RunE: func(cmd *cobra.Command, args []string) error {
			targets := [][]string{nil}
			if len(args) > 0 {
				targets = slices.Collect(slices.Chunk(args, 1))
			}
			w := &watcher{to: a.output(), every: every, size: sizeOf(a.stdout)}
			for _, to := range targets {
				c, err := a.control(cmd, to)
				if err != nil {
					return err
				}
				c.reason = nil // it is in the block
				w.servers = append(w.servers, &watched{control: c})
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			return w.run(ctx)
		},
	}
	cmd.Flags().Var(conf.Value(&every, "2s", "duration", parsePeriod), "every", "how long a period is")
	return cmd
}

func parsePeriod(s string) (time.Duration, error) {
	d, err := conf.ParseDuration(s)
	if err == nil && d < 10*time.Millisecond {
		err = fmt.Errorf("%v: must be 10ms or more", d)
	}
	return d, err
}

// sizeOf returns the lines and columns of a terminal; 0 lines if it is not one.
func sizeOf(w io.Writer) func() (lines, columns int) {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return func() (int, int) { return 0, 0 }
	}
	return func() (int, int) {
		columns, lines, err := term.GetSize(int(f.Fd()))
		if err != nil || lines <= 0 || columns <= 0 {
			return 24, 80
		}
		return lines, columns
	}
}

// watcher shows the rates of servers.
type watcher struct {
	servers []*watched
	to      io.Writer
	every   time.Duration
	size    func() (lines, columns int)

	drawn int // lines on the terminal
}

// watched is one server with its latest answer.
type watched struct {
	*control

	last map[string]int64
	at   time.Time
}

func (w *watcher) run(ctx context.Context) error {
	tick := time.NewTicker(w.every)
	defer tick.Stop()
	for {
		if err := w.show(ctx); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// show queries all servers at once and draws a block for each.
func (w *watcher) show(ctx context.Context) error {
	lines, _ := w.size()
	rows := watchRows
	if lines > 0 {
		rows = max((lines-1)/len(w.servers)-3, 1) // the state, the titles, the rest; and the cursor
	}
	blocks, errs := make([][]byte, len(w.servers)), make([]error, len(w.servers))
	var asking sync.WaitGroup
	for i, s := range w.servers {
		asking.Go(func() { blocks[i], errs[i] = s.block(ctx, rows) })
	}
	asking.Wait()
	if err := errors.Join(errs...); err != nil || ctx.Err() != nil {
		return err
	}
	if lines > 0 {
		return w.draw(bytes.Join(blocks, nil))
	}
	for _, block := range blocks {
		if err := w.draw(block); err != nil {
			return err
		}
	}
	return nil
}

// block returns the text for a server. Until there are two readings it only says that it waits for the second.
func (s *watched) block(ctx context.Context, rows int) ([]byte, error) {
	status, err := ask(ctx, s.control, (*fb303.FacebookServiceClient).GetStatus)
	var details string
	var counters map[string]int64
	if err == nil {
		details, err = ask(ctx, s.control, (*fb303.FacebookServiceClient).GetStatusDetails)
	}
	if err == nil {
		counters, err = ask(ctx, s.control, allCounters)
	}
	now := time.Now()
	var block bytes.Buffer
	fmt.Fprintf(&block, "%s  %s  ", now.Format("15:04:05"), s.addr)
	if err != nil {
		s.last = nil
		fmt.Fprintf(&block, "%s\n", printable(err.Error()))
		return block.Bytes(), nil
	}
	fmt.Fprintf(&block, "%s\n", printable(statusText(status, details)))
	if s.last != nil {
		err = table(&block, rates(s.last, counters, now.Sub(s.at)), rows)
	}
	s.last, s.at = counters, now
	return block.Bytes(), err
}

// draw replaces the block on a terminal, and appends it elsewhere.
func (w *watcher) draw(block []byte) error {
	lines, columns := w.size()
	if lines == 0 {
		_, err := w.to.Write(append(block, '\n'))
		return err
	}
	var out bytes.Buffer
	if w.drawn > 0 {
		fmt.Fprintf(&out, "\x1b[%dA", w.drawn)
	}
	out.WriteString("\r\x1b[J")
	w.drawn = 0
	for line := range strings.Lines(string(block)) {
		out.WriteString(cutTo(strings.TrimSuffix(line, "\n"), columns) + "\n") // a line that wraps would count as two
		w.drawn++
	}
	_, err := w.to.Write(out.Bytes())
	return err
}

// row holds the growth per second of each watched counter of a category.
type row struct {
	category string
	known    []bool
	rate     []float64
}

// rates compares two readings. A counter that fell belongs to a server that was restarted, and counts from 0.
func rates(before, now map[string]int64, d time.Duration) []row {
	byCategory := make(map[string]*row)
	for key, value := range now {
		at := strings.LastIndexByte(key, ':')
		if at < 0 {
			continue
		}
		column := slices.IndexFunc(watchedCounters,
			func(c struct{ counter, title string }) bool { return c.counter == key[at+1:] })
		if column < 0 {
			continue
		}
		r := byCategory[key[:at]]
		if r == nil {
			r = &row{category: key[:at], known: make([]bool, len(watchedCounters)),
				rate: make([]float64, len(watchedCounters))}
			byCategory[key[:at]] = r
		}
		grown := value - before[key]
		if value < before[key] {
			grown = value
		}
		r.known[column], r.rate[column] = true, float64(grown)/max(d.Seconds(), 0.001)
	}
	rows := make([]row, 0, len(byCategory))
	for _, r := range byCategory {
		rows = append(rows, *r)
	}
	slices.SortFunc(rows, func(a, b row) int {
		if all := (b.category == stats.Overall); all != (a.category == stats.Overall) {
			return map[bool]int{true: 1, false: -1}[all]
		}
		return cmp.Or(slices.Compare(b.rate, a.rate), cmp.Compare(a.category, b.category))
	})
	return rows
}

// table writes rows; those that do not fit are summed up in one line.
func table(to io.Writer, rows []row, limit int) error {
	var columns []int
	for i := range watchedCounters {
		if slices.ContainsFunc(rows, func(r row) bool { return r.known[i] }) {
			columns = append(columns, i)
		}
	}
	t := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, i := range columns {
		fmt.Fprintf(t, "%s\t", watchedCounters[i].title)
	}
	fmt.Fprint(t, "  category\n")
	for _, r := range rows[:min(len(rows), limit)] {
		for _, i := range columns {
			fmt.Fprintf(t, "%s\t", r.cell(i))
		}
		fmt.Fprintf(t, "  %s\n", printable(r.category))
	}
	err := t.Flush()
	if more := len(rows) - limit; more > 0 {
		_, ferr := fmt.Fprintf(to, "and %d more\n", more)
		err = errors.Join(err, ferr)
	}
	return err
}

// cell formats one rate: a whole number, or with two digits if it is small.
func (r row) cell(i int) string {
	switch v := r.rate[i]; {
	case !r.known[i]:
		return "-"
	case v == 0:
		return "0"
	case v < 10:
		return fmt.Sprintf("%.2f", v)
	default:
		return humanize.Comma(int64(v))
	}
}
