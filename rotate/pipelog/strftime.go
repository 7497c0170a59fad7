package pipelog

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// moment is what strftime formats: what a clock shows, and when that is.
type moment struct {
	wall time.Time // as UTC
	real time.Time // in its zone
}

// isTemplate says whether a name has conversions of strftime.
func isTemplate(name string) bool { return strings.Contains(name, "%") }

// strftime formats as the function of C does in the C locale, with the GNU conversions and the flags - _ 0 ^ #; widths
// are not known. What is no conversion stays as it is.
func strftime(template string, m moment) string {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(template, "%")
		out.WriteString(before)
		if !found {
			return out.String()
		}
		var flag byte
		spec := rest
		if spec != "" && strings.IndexByte("-_0^#", spec[0]) >= 0 {
			flag, spec = spec[0], spec[1:]
		}
		if len(spec) > 1 && (spec[0] == 'E' && strings.IndexByte("cCxXyY", spec[1]) >= 0 || spec[0] == 'O' &&
			strings.IndexByte("bBhCdegGHIjklmMSuUVwWy", spec[1]) >= 0) {
			spec = spec[1:] // other eras and digits: the C locale has none
		}
		text, ok := "", false
		if spec != "" {
			text, ok = m.convert(spec[0], flag)
		}
		if !ok {
			out.WriteByte('%')
			template = rest
			continue
		}
		out.WriteString(text)
		template = spec[1:]
	}
}

// numbers are the conversions that print a number: its least width and what fills it.
var numbers = map[byte]struct {
	width int
	fill  byte
	value func(m moment) int
}{
	'C': {2, '0', func(m moment) int { return m.wall.Year() / 100 }},
	'd': {2, '0', func(m moment) int { return m.wall.Day() }},
	'e': {2, ' ', func(m moment) int { return m.wall.Day() }},
	'g': {2, '0', func(m moment) int { y, _ := m.wall.ISOWeek(); return y % 100 }},
	'G': {1, '0', func(m moment) int { y, _ := m.wall.ISOWeek(); return y }},
	'H': {2, '0', func(m moment) int { return m.wall.Hour() }},
	'I': {2, '0', func(m moment) int { return (m.wall.Hour()+11)%12 + 1 }},
	'j': {3, '0', func(m moment) int { return m.wall.YearDay() }},
	'k': {2, ' ', func(m moment) int { return m.wall.Hour() }},
	'l': {2, ' ', func(m moment) int { return (m.wall.Hour()+11)%12 + 1 }},
	'm': {2, '0', func(m moment) int { return int(m.wall.Month()) }},
	'M': {2, '0', func(m moment) int { return m.wall.Minute() }},
	's': {1, '0', func(m moment) int { return int(m.real.Unix()) }},
	'S': {2, '0', func(m moment) int { return m.wall.Second() }},
	'u': {1, '0', func(m moment) int { return (int(m.wall.Weekday())+6)%7 + 1 }},
	'U': {2, '0', func(m moment) int { return (m.wall.YearDay() + 6 - int(m.wall.Weekday())) / 7 }},
	'V': {2, '0', func(m moment) int { _, w := m.wall.ISOWeek(); return w }},
	'w': {1, '0', func(m moment) int { return int(m.wall.Weekday()) }},
	'W': {2, '0', func(m moment) int { return (m.wall.YearDay() + 6 - (int(m.wall.Weekday())+6)%7) / 7 }},
	'y': {2, '0', func(m moment) int { return m.wall.Year() % 100 }},
	'Y': {1, '0', func(m moment) int { return m.wall.Year() }},
}

// layouts are the conversions that package time can do.
var layouts = map[byte]string{
	'a': "Mon", 'A': "Monday", 'b': "Jan", 'h': "Jan", 'B': "January", 'p': "PM", 'P': "pm",
	'c': "Mon Jan _2 15:04:05 2006", 'D': "01/02/06", 'F': "2006-01-02", 'r': "03:04:05 PM", 'R': "15:04",
	'T': "15:04:05",
	'x': "01/02/06", 'X': "15:04:05",
}

// convert formats one conversion.
func (m moment) convert(spec, flag byte) (text string, ok bool) {
	if n, known := numbers[spec]; known {
		switch flag {
		case '-':
			n.width = 1
		case '_':
			n.fill = ' '
		case '0':
			n.fill = '0'
		}
		text = strconv.Itoa(n.value(m))
		return strings.Repeat(string(n.fill), max(n.width-len(text), 0)) + text, true
	}
	if layout, known := layouts[spec]; known {
		text = m.wall.Format(layout)
	} else {
		switch spec {
		case '%':
			return "%", true
		case 'n':
			return "\n", true
		case 't':
			return "\t", true
		case 'z':
			return m.offset(), true
		case 'Z':
			text = m.zone()
		default:
			return "", false
		}
	}
	switch {
	case spec == 'P':
	case flag == '^', flag == '#' && spec != 'p' && spec != 'Z':
		text = strings.ToUpper(text)
	case flag == '#':
		text = strings.ToLower(text)
	}
	return text, true
}

func (m moment) zone() string {
	name, _ := m.real.Zone()
	return name
}

func (m moment) offset() string {
	_, seconds := m.real.Zone()
	sign := '+'
	if seconds < 0 {
		sign, seconds = '-', -seconds
	}
	return fmt.Sprintf("%c%02d%02d", sign, seconds/3600, seconds/60%60)
}
