package bench

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"text/tabwriter"
)

// report is what the benchmarks found, printed as one table when all of them have ended.
var report struct {
	mu    sync.Mutex
	cells []*cell // of BenchmarkShapes
	rows  []row
}

// row is one figure and what it is to be.
type row struct {
	what    string
	value   float64
	unit    string
	reach   float64
	atLeast bool // reach is the least that it is to be, not the most
	missed  bool // whatever the value: it was not done in time
	note    string
}

// tellRow adds a figure to the table.
func tellRow(r row) {
	report.mu.Lock()
	defer report.mu.Unlock()
	report.rows = append(report.rows, r)
}

// verdict is "" for what is reached.
func verdict(value, reach float64, atLeast bool) string {
	if reach == 0 || atLeast && value >= reach || !atLeast && value <= reach {
		return ""
	}
	return "  ✗"
}

// bound writes what is to be reached.
func bound(reach float64, atLeast bool) string {
	switch {
	case reach == 0:
		return ""
	case atLeast:
		return fmt.Sprintf("≥ %g", reach)
	}
	return fmt.Sprintf("≤ %g", reach)
}

// print prints all that was found; before is the load of the machine when it began.
func printReport(w io.Writer, before string) error {
	if len(report.cells) == 0 && len(report.rows) == 0 {
		return nil
	}
	if _, err := fmt.Fprintf(w, "\nLoad averages before: %s, after: %s. ✗: not reached. CPU time is that of the processes, of the best run.\n", before, loadAverage()); err != nil {
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	if len(report.cells) > 0 {
		if _, err := fmt.Fprintf(w, "\nCollector, Thrift: %d messages of %d bytes in calls of %d over %d connections, sync, gzip level 1.\n"+
			"×1: of one category, in the same run. Steady: for one more message, when the files of all categories exist, by sending %d times\n"+
			"as many; µs/category: the rest, to begin and finish the files of each. dirs: categories that got files of their own.\n\n", messages(), messageBytes, callMessages, connections, steadyTimes); err != nil {
			return err
		}
		fmt.Fprintln(t, "codec\troad\tcategories\tCPU µs/message\t×1\tto reach\tsteady\t×1\tto reach\tµs/category\tflags÷conf\tto reach\toutput MB\t×1\tto reach\tpeak MB\tto reach\twall s\tacked s\tdirs\t\t")
		for _, c := range report.cells {
			fmt.Fprintln(t, c.line())
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	if len(report.rows) > 0 {
		fmt.Fprintln(t, "\n\t\tto reach\t\t")
		for _, r := range report.rows {
			mark := verdict(r.value, r.reach, r.atLeast)
			if r.missed {
				mark = "  ✗"
			}
			fmt.Fprintf(t, "%s\t%.2f %s%s\t%s\t%s\t\n", r.what, r.value, r.unit, mark, bound(r.reach, r.atLeast), r.note)
		}
	}
	return t.Flush()
}

// line is a cell as a line of the table.
func (c *cell) line() string {
	one, other := c.of(1, c.road), c.of(c.categories, 1-c.road)
	fields := []string{c.codec, c.road.String(), fmt.Sprint(c.categories), c.least() + fmt.Sprintf("%.2f", c.cpu)}
	ratio := func(value, of float64, reach float64) {
		if of == 0 || value == 0 {
			fields = append(fields, "", "")
			return
		}
		mark := verdict(value/of, reach, false)
		if !c.done && reach > 0 {
			mark = "  ✗"
		}
		fields = append(fields, fmt.Sprintf("%s%.2f%s", c.least(), value/of, mark), bound(reach, false))
	}
	reach := map[int]float64{100: 1.3, 2000: 2, 10000: 3}
	if one != nil && one != c {
		ratio(c.cpu, one.cpu, reach[c.categories])
	} else {
		fields = append(fields, "", "")
	}
	switch {
	case c.steady == 0:
		fields = append(fields, "", "", "", "")
	case one == nil || one == c:
		fields = append(fields, fmt.Sprintf("%.2f", c.steady), "", "", "")
	default:
		fields = append(fields, fmt.Sprintf("%.2f", c.steady))
		ratio(c.steady, one.steady, reach[c.categories])
		fields = append(fields, fmt.Sprintf("%.0f", c.fixed))
	}
	if other != nil && c.road == flags && c.done && other.done {
		value := c.cpu / other.cpu
		mark := ""
		if value < 0.95 || value > 1.05 {
			mark = "  ✗"
		}
		fields = append(fields, fmt.Sprintf("%.2f%s", value, mark), "0.95–1.05")
	} else {
		fields = append(fields, "", "")
	}
	fields = append(fields, fmt.Sprintf("%.1f", float64(c.output)/1e6))
	size := map[int]float64{2000: 1.25}
	if one != nil && one != c && c.codec == "gzip" && c.done {
		ratio(float64(c.output), float64(one.output), size[c.categories])
	} else {
		fields = append(fields, "", "")
	}
	memory := 0.0
	if c.categories == 2000 {
		memory = 300
	}
	fields = append(fields, fmt.Sprintf("%.0f%s", float64(c.rss)/1e6, verdict(float64(c.rss)/1e6, memory, false)), bound(memory, false),
		c.least()+fmt.Sprintf("%.1f", c.wall.Seconds()), fmt.Sprintf("%.1f", c.acked.Seconds()), fmt.Sprint(c.dirs), c.note)
	return strings.Join(fields, "\t") + "\t"
}

// of is the cell of as many categories, by a road, with the same codec.
func (c *cell) of(categories int, r road) *cell {
	for _, o := range report.cells {
		if o.codec == c.codec && o.categories == categories && o.road == r {
			return o
		}
	}
	return nil
}

// loadAverage is how busy the machine was in the last 1, 5 and 15 minutes.
func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(string(text))[:3], " ")
}
