package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"

	"inkwell/archive/tally"
)

// printCounts prints the rows; those of a time series in the order of time.
func (a *app) printCounts(sum *tally.Tally, o *statsFlags) error {
	rows := sum.Rows(o.every > 0)
	if o.every == 0 {
		rows = rows[:min(o.top, len(rows))]
	}
	for i := range rows {
		if o.every > 0 {
			rows[i].Rate = float64(rows[i].Count) / o.every.Seconds()
		}
	}
	switch o.output {
	case "json":
		enc := json.NewEncoder(a.output())
		enc.SetIndent("", "  ")
		return enc.Encode(rows)
	case "csv":
		w := csv.NewWriter(a.output())
		if err := w.Write([]string{"key", "count", "failures", "per_second", "bytes", "timed", "min", "avg", "p50",
			"p95", "p99", "max"}); err != nil {
			return err
		}
		for i := range rows {
			r := &rows[i]
			key := r.Key
			if a.onTerminal() {
				key = visible(key)
			}
			line := []string{key, strconv.FormatInt(r.Count, 10), strconv.FormatInt(r.Failures, 10), number(r.Rate),
				strconv.FormatInt(r.Bytes, 10), strconv.FormatInt(r.Timed, 10)}
			for _, v := range []float64{r.Min, r.Avg, r.P50, r.P95, r.P99, r.Max} {
				line = append(line, number(v))
			}
			if err := w.Write(line); err != nil {
				return err
			}
		}
		w.Flush()
		return w.Error()
	}
	total, err := sum.Total()
	if err != nil {
		return err
	}
	total.Key = "TOTAL"
	w := tabwriter.NewWriter(a.output(), 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "COUNT\tFAILED\tPER SECOND\tBYTES\tMIN\tAVG\tP50\tP95\tP99\tMAX\t  KEY")
	for _, r := range append(rows, total) {
		fmt.Fprintf(w, "%s\t%s\t%.2f\t%s\t", counted(r.Count), share(r.Failures, r.Count), r.Rate, size(r.Bytes))
		for _, v := range []float64{r.Min, r.Avg, r.P50, r.P95, r.P99, r.Max} {
			fmt.Fprintf(w, "%s\t", length(v, r.Timed))
		}
		fmt.Fprintf(w, "  %s\n", visible(r.Key))
	}
	return w.Flush()
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }

func share(n, of int64) string {
	if n == 0 || of == 0 {
		return "0"
	}
	return fmt.Sprintf("%s (%.1f%%)", counted(n), 100*float64(n)/float64(of))
}

// length formats a duration with three digits, or "-" if there is none.
func length(seconds float64, timed int64) string {
	if timed == 0 {
		return "-"
	}
	for _, u := range []struct {
		of   float64
		name string
	}{{1, "s"}, {1e-3, "ms"}} {
		if seconds >= u.of {
			return strconv.FormatFloat(seconds/u.of, 'g', 3, 64) + u.name
		}
	}
	return strconv.FormatFloat(seconds*1e6, 'g', 3, 64) + "µs"
}

// threshold is the condition of --fail-if; the zero value never holds.
type threshold struct {
	what    string
	above   bool
	bound   float64
	percent bool
}

// parseThreshold parses WHAT<NUMBER or WHAT>NUMBER; a % after it makes it a share of all lines.
func parseThreshold(text string) (l threshold, err error) {
	if text == "" {
		return l, nil
	}
	k := strings.IndexAny(text, "<>")
	if k < 0 {
		return l, fmt.Errorf("--fail-if %q: want one of failures, count, rate, avg, p50, p95, p99, max, then < or >, "+
			"then a number, as in 'failures>1%%' or 'p95>0.5'", text)
	}
	bound, percent := strings.CutSuffix(strings.TrimSpace(text[k+1:]), "%")
	l = threshold{what: strings.TrimSpace(text[:k]), above: text[k] == '>', percent: percent}
	if l.bound, err = strconv.ParseFloat(bound, 64); err != nil {
		return l, fmt.Errorf("--fail-if %q: %q is no number", text, bound)
	}
	if _, ok := l.measure(tally.Row{}); !ok || percent && l.what != "failures" {
		return l, fmt.Errorf(
			"--fail-if %q: there is no %q (failures, count, rate, avg, p50, p95, p99, max; %% goes with failures)",
			text, l.what)
	}
	return l, nil
}

func (l threshold) measure(r tally.Row) (v float64, ok bool) {
	v, ok = map[string]float64{"failures": float64(r.Failures), "count": float64(r.Count), "rate": r.Rate, "avg": r.Avg,
		"p50": r.P50, "p95": r.P95, "p99": r.P99, "max": r.Max}[l.what]
	if l.percent && r.Count > 0 {
		v = 100 * v / float64(r.Count)
	}
	return v, ok
}

func (l threshold) exceeded(r tally.Row) bool {
	v, ok := l.measure(r)
	return ok && (l.above && v > l.bound || !l.above && v < l.bound)
}

// value formats the actual value for people.
func (l threshold) value(r tally.Row) string {
	v, _ := l.measure(r)
	text := "it is " + strconv.FormatFloat(v, 'g', 4, 64)
	if l.percent {
		text += "%"
	}
	return text
}
