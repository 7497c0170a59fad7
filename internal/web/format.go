package web

import (
	"fmt"
	"html/template"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

// functions are the functions that the templates call.
var functions = template.FuncMap{
	"size":    func(n int64) string { return humanize.IBytes(uint64(max(n, 0))) },
	"rate":    rate,
	"seconds": seconds,
	"bits":    func(perSecond float64) string { return humanize.IBytes(uint64(max(perSecond, 0))) + "/s" },
	"count":   func(n any) string { return humanize.Comma(whole(n)) },
	"age":     age,
	"since":   func(now time.Time, t *time.Time) string { return ago(now, when(t)) },
	"at":      func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	"percent": func(f float64) string { return fmt.Sprintf("%.1f%%", 100*f) },
}

// whole is an integer of any kind.
func whole(n any) int64 {
	switch n := n.(type) {
	case int:
		return int64(n)
	case int64:
		return n
	}
	return 0
}

// rate formats a number per second.
func rate(perSecond float64) string {
	if perSecond > 0 && perSecond < 10 {
		return fmt.Sprintf("%.1f/s", perSecond)
	}
	return humanize.Comma(int64(perSecond)) + "/s"
}

// age formats a duration in the unit that fits its length.
func age(seconds float64) string {
	if seconds <= 0 {
		return "–"
	}
	d := time.Duration(seconds * float64(time.Second))
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < 10*time.Minute:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

// ago formats how long ago a time was.
func ago(now, t time.Time) string {
	switch {
	case t.IsZero():
		return "never"
	case now.Sub(t) < time.Second:
		return "now"
	}
	return age(now.Sub(t).Seconds()) + " ago"
}

// chart is a line over the last hour.
type chart struct {
	Points template.HTMLAttr // of a polyline in a box of 360 by 60
	Max    float64           // a second
	Mean   float64
	Span   float64 // seconds
}

const (
	chartSteps  = 180
	chartWidth  = 360.0
	chartHeight = 60.0
)

// draw makes a chart of the values of steps that are so many seconds long.
func draw(list []int64, step float64) (c chart) {
	if len(list) == 0 || step <= 0 {
		return c
	}
	c.Span = float64(len(list)) * step
	each := (len(list) + chartSteps - 1) / chartSteps
	var values []float64
	sum := int64(0)
	for i := 0; i < len(list); i += each {
		part := list[i:min(i+each, len(list))]
		n := int64(0)
		for _, v := range part {
			n += v
		}
		sum += n
		values = append(values, float64(n)/(float64(len(part))*step))
		c.Max = max(c.Max, values[len(values)-1])
	}
	c.Mean = float64(sum) / c.Span
	var b strings.Builder
	full := chartWidth * c.Span / 3600 // the right edge is now
	for i, v := range values {
		x := chartWidth - full + full*(float64(i)+0.5)/float64(len(values))
		y := chartHeight
		if c.Max > 0 {
			y -= (chartHeight - 2) * v / c.Max
		}
		fmt.Fprintf(&b, "%.1f,%.1f ", x, y)
	}
	c.Points = template.HTMLAttr(`points="` + strings.TrimSpace(b.String()) + `"`) // numbers only
	return c
}
