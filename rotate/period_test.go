package rotate

import (
	"strings"
	"testing"
	"time"
	_ "time/tzdata"
)

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	l, err := time.LoadLocation(name)
	must(t, err)
	return l
}

func TestParsePeriod(t *testing.T) {
	for in, want := range map[string]string{"daily": "daily", "hourly": "hourly", "never": "never", "90s": "1m30s", "15m": "15m0s", "1h30m": "1h30m0s", "2d": "48h0m0s", "1w": "168h0m0s"} {
		p, err := ParsePeriod(in)
		if err != nil || p.String() != want {
			t.Errorf("ParsePeriod(%q) = %v, %v; want %s", in, p, err, want)
		}
		if again, err := ParsePeriod(p.String()); err != nil || again != p {
			t.Errorf("%q is not read back: %v, %v", p, again, err)
		}
	}
	for _, in := range []string{"", "Daily", "0s", "-5m", "10ms", "15", "x", "d", "-1d", "99999d", "1.5d", "1y"} {
		if p, err := ParsePeriod(in); err == nil {
			t.Errorf("ParsePeriod(%q) = %v, want an error", in, p)
		}
	}
	if (Period{}).String() != "daily" {
		t.Error("the zero Period is not daily")
	}
}

func TestParseClock(t *testing.T) {
	for in, want := range map[string]Clock{"00:00": {}, "01:15": {1, 15}, "23:59": {23, 59}} {
		if c, err := ParseClock(in); err != nil || c != want || c.String() != in {
			t.Errorf("ParseClock(%q) = %v, %v", in, c, err)
		}
	}
	for _, in := range []string{"", "24:00", "1:60", "12", "12:00:00", "-1:00"} {
		if c, err := ParseClock(in); err == nil {
			t.Errorf("ParseClock(%q) = %v, want an error", in, c)
		}
	}
}

func TestBoundaries(t *testing.T) {
	const layout = "2006-01-02 15:04:05 -0700"
	for _, c := range []struct{ zone, period, at, from, want string }{
		{"UTC", "daily", "00:00", "2026-11-23 00:00:00 +0000", "2026-11-24 00:00:00 +0000"},
		{"UTC", "daily", "00:00", "2026-12-31 23:59:59 +0000", "2027-01-01 00:00:00 +0000"},
		{"UTC", "daily", "01:15", "2026-11-23 01:14:59 +0000", "2026-11-23 01:15:00 +0000"},
		{"UTC", "daily", "01:15", "2026-11-23 01:15:00 +0000", "2026-11-24 01:15:00 +0000"},
		{"UTC", "hourly", "00:00", "2026-11-23 10:00:00 +0000", "2026-11-23 11:00:00 +0000"},
		{"UTC", "hourly", "00:15", "2026-11-23 10:14:59 +0000", "2026-11-23 10:15:00 +0000"},
		{"UTC", "15m", "00:00", "2026-11-23 10:14:59 +0000", "2026-11-23 10:15:00 +0000"},
		{"UTC", "90s", "00:00", "2026-11-23 00:00:00 +0000", "2026-11-23 00:01:30 +0000"},
		{"UTC", "1w", "00:00", "2026-11-23 00:00:00 +0000", "2026-11-26 00:00:00 +0000"}, // the epoch was a Thursday
		{"UTC", "15m", "00:00", "1969-12-31 23:50:00 +0000", "1970-01-01 00:00:00 +0000"},
		{"Europe/Berlin", "15m", "00:00", "2026-11-23 10:00:01 +0100", "2026-11-23 10:15:00 +0100"},
		// Berlin goes forward at 02:00 on 2026-03-29 and back at 03:00 on 2026-10-25.
		{"Europe/Berlin", "daily", "00:00", "2026-03-29 00:00:00 +0100", "2026-03-30 00:00:00 +0200"},
		{"Europe/Berlin", "daily", "00:00", "2026-10-25 00:00:00 +0200", "2026-10-26 00:00:00 +0100"},
		{"Europe/Berlin", "daily", "02:30", "2026-03-28 12:00:00 +0100", "2026-03-29 03:00:00 +0200"}, // 02:30 does not exist
		{"Europe/Berlin", "daily", "02:30", "2026-03-29 03:00:00 +0200", "2026-03-30 02:30:00 +0200"},
		{"Europe/Berlin", "hourly", "00:00", "2026-03-29 01:30:00 +0100", "2026-03-29 03:00:00 +0200"},
		{"Europe/Berlin", "hourly", "00:00", "2026-10-25 02:30:00 +0200", "2026-10-25 02:00:00 +0100"},
		{"Europe/Berlin", "hourly", "00:00", "2026-10-25 02:00:00 +0100", "2026-10-25 03:00:00 +0100"},
		{"Europe/Berlin", "hourly", "00:20", "2026-03-29 01:30:00 +0100", "2026-03-29 03:20:00 +0200"},
		{"America/New_York", "daily", "00:00", "2026-03-08 00:00:00 -0500", "2026-03-09 00:00:00 -0400"},
		{"America/New_York", "daily", "00:00", "2026-11-01 00:00:00 -0400", "2026-11-02 00:00:00 -0500"},
		{"America/New_York", "hourly", "00:00", "2026-11-01 01:30:00 -0400", "2026-11-01 01:00:00 -0500"},
		// Sao Paulo went forward at midnight, so that 2018-11-04 began at 01:00, and back at midnight: 23:00 came twice on 2018-02-17.
		{"America/Sao_Paulo", "daily", "00:00", "2018-11-03 12:00:00 -0300", "2018-11-04 01:00:00 -0200"},
		{"America/Sao_Paulo", "daily", "00:30", "2018-11-03 12:00:00 -0300", "2018-11-04 01:00:00 -0200"},
		{"America/Sao_Paulo", "daily", "00:00", "2018-11-04 01:00:00 -0200", "2018-11-05 00:00:00 -0200"},
		{"America/Sao_Paulo", "daily", "00:00", "2018-02-17 00:00:00 -0200", "2018-02-18 00:00:00 -0300"},
		{"America/Sao_Paulo", "daily", "00:00", "2018-02-17 23:30:00 -0300", "2018-02-18 00:00:00 -0300"},
		{"Asia/Beirut", "daily", "00:00", "2026-03-28 12:00:00 +0200", "2026-03-29 01:00:00 +0300"},
		{"Asia/Kolkata", "hourly", "00:00", "2026-11-23 10:01:00 +0530", "2026-11-23 11:00:00 +0530"},
		{"Asia/Kathmandu", "hourly", "00:10", "2026-11-23 10:11:00 +0545", "2026-11-23 11:10:00 +0545"},
		{"Asia/Kolkata", "30m", "00:00", "2026-11-23 10:01:00 +0530", "2026-11-23 10:30:00 +0530"},
		// Lord Howe changes by half an hour: that moment ends an hourly file, and the next ends at the full hour again.
		{"Australia/Lord_Howe", "hourly", "00:00", "2026-10-04 01:10:00 +1030", "2026-10-04 02:30:00 +1100"},
		{"Australia/Lord_Howe", "hourly", "00:00", "2026-10-04 02:30:00 +1100", "2026-10-04 03:00:00 +1100"},
		{"Australia/Lord_Howe", "hourly", "00:10", "2026-10-04 01:20:00 +1030", "2026-10-04 02:30:00 +1100"},
		{"Pacific/Apia", "daily", "00:00", "2011-12-29 12:00:00 -1000", "2011-12-31 00:00:00 +1400"}, // the 30th did not happen
	} {
		from, err := time.ParseInLocation(layout, c.from, zone(t, c.zone))
		must(t, err)
		p, err := ParsePeriod(c.period)
		must(t, err)
		clock, err := ParseClock(c.at)
		must(t, err)
		if got := p.Next(from.In(zone(t, c.zone)), clock).Format(layout); got != c.want {
			t.Errorf("%s %s at %s from %s: %s, want %s", c.zone, c.period, c.at, c.from, got, c.want)
		}
	}
	if next := (Period{kind: never}).Next(noon, Clock{}); !next.IsZero() {
		t.Errorf("never comes at %v", next)
	}
}

// TestEveryDayHasOneBoundary walks over many years in zones with odd rules: boundaries go forward, there is exactly one a day, and the
// file that begins there is named after that day.
func TestEveryDayHasOneBoundary(t *testing.T) {
	for _, name := range []string{"UTC", "Europe/Berlin", "America/New_York", "America/Sao_Paulo", "Asia/Beirut", "Asia/Gaza", "America/Havana", "Africa/Cairo", "Australia/Lord_Howe", "Asia/Kathmandu", "Africa/Casablanca", "America/Asuncion"} {
		loc := zone(t, name)
		for _, at := range []Clock{{}, {0, 30}, {1, 15}, {2, 30}, {23, 30}} {
			p := Period{}
			now := time.Date(2005, 1, 1, 12, 0, 0, 0, loc)
			for now.Year() < 2027 {
				next := p.Next(now, at)
				if gap := next.Sub(now); gap <= 0 || gap > 26*time.Hour {
					t.Fatalf("%s at %v: %v after %v", name, at, next, now)
				}
				y, m, d := now.Date()
				if now.Hour() != 12 {
					d++
				} else if at.Hour < 13 {
					d++
				}
				if want := time.Date(y, m, d, 12, 0, 0, 0, time.UTC).Format(time.DateOnly); next.Format(time.DateOnly) != want {
					t.Fatalf("%s at %v: from %v to %v, want the day %s", name, at, now, next, want)
				}
				now = next
			}
		}
	}
}

func TestHoursAreNoLongerThanAnHour(t *testing.T) {
	for _, name := range []string{"Europe/Berlin", "America/Sao_Paulo", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Caracas", "Asia/Pyongyang"} {
		loc := zone(t, name)
		for _, minute := range []int{0, 15, 45} {
			now := time.Date(2015, 1, 1, 0, minute, 0, 0, loc)
			for now.Year() < 2019 {
				next := (Period{kind: hourly}).Next(now, Clock{Minute: minute})
				_, before := now.Zone()
				_, after := next.Zone()
				if gap := next.Sub(now); gap <= 0 || gap > time.Hour || before == after && next.Minute() != minute {
					t.Fatalf("%s at minute %d: %v after %v", name, minute, next, now)
				}
				now = next
			}
		}
	}
}

func TestClockEndsFiles(t *testing.T) {
	path := t.TempDir()
	loc := zone(t, "America/Sao_Paulo")
	c := &clock{time.Date(2018, 11, 3, 22, 0, 0, 0, loc)}
	s := openSeries(t, path, Options{Now: c.now, Codec: None}, nil)
	enc := newEncoder(t, None)
	for range 5 { // 22:00 23:00 | 01:00 02:00 03:00 of the next day
		must(t, s.Tick())
		must(t, s.Append(enc, []byte(c.t.Format("15:04\n"))))
		checkpoint(t, s)
		c.t = c.t.Add(time.Hour)
	}
	finish(t, s)
	wantNames(t, path, "web-2018-11-03_00000 web-2018-11-04_00000")
	if got := string(readFile(t, path, "web-2018-11-03_00000")); got != "22:00\n23:00\n" {
		t.Errorf("the day before the change: %q", got)
	}
}

func TestTickSealsAQuietFile(t *testing.T) {
	path := t.TempDir()
	c := &clock{noon}
	s := openSeries(t, path, Options{Now: c.now, Period: Period{kind: hourly}}, nil)
	must(t, s.Append(newEncoder(t, Gzip), []byte("x")))
	c.t = noon.Add(time.Hour - time.Nanosecond)
	must(t, s.Tick())
	if s.cur == nil {
		t.Fatal("sealed too early")
	}
	c.t = noon.Add(time.Hour)
	must(t, s.Tick())
	must(t, s.Tick())
	if s.cur != nil || s.Idle() {
		t.Fatal("not sealed")
	}
	checkpoint(t, s)
	wantNames(t, path, "web-2026-11-23T12_00000.gz")
}

func TestClockThatIsSetBack(t *testing.T) {
	path := t.TempDir()
	c := &clock{time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC)} // wrong
	s := openSeries(t, path, Options{Now: c.now, Codec: None}, nil)
	enc := newEncoder(t, None)
	must(t, s.Append(enc, []byte("a")))
	c.t = noon
	must(t, s.Append(enc, []byte("b")))
	c.t = noon.Add(12 * time.Hour)
	must(t, s.Append(enc, []byte("c"))) // not as late as 2099-01-02
	c.t = noon
	must(t, s.Append(enc, []byte("d"))) // back by half a day: the same file
	must(t, s.Seal())
	must(t, s.Append(enc, []byte("e")))
	c.t = noon.Add(12 * time.Hour)
	must(t, s.Append(enc, []byte("f")))
	finish(t, s)
	want := "web-2026-11-23_00000=e web-2026-11-24_00000=cd web-2026-11-24_00001=f web-2099-01-01_00000=ab"
	var got []string
	for _, n := range strings.Fields(names(t, path)) {
		got = append(got, n+"="+string(readFile(t, path, n)))
	}
	if strings.Join(got, " ") != want {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

func TestAContinuedFileKeepsItsTime(t *testing.T) {
	path := t.TempDir()
	enc := newEncoder(t, Gzip)
	o := Options{Period: Period{kind: hourly}, Now: at(noon.Add(30 * time.Minute))}
	s := openSeries(t, path, o, nil)
	must(t, s.Append(enc, []byte("x")))
	st := syncState(t, s)
	must(t, s.Close())
	o.Now = at(noon.Add(70 * time.Minute))
	s = openSeries(t, path, o, &st)
	must(t, s.Append(enc, []byte("y")))
	finish(t, s)
	wantNames(t, path, "web-2026-11-23T12_00000.gz web-2026-11-23T13_00000.gz")
}

func TestBaseOf(t *testing.T) {
	for name, want := range map[string]string{
		"web-2026-11-25_00000.gz": "web", "web-2026-11-25_00000": "web", "web_00001.zst": "web", "a_b-c_123456": "a_b-c", "web-2026-13-25_00000": "web-2026-13-25",
		"web-2026-11-25T04_00000.gz": "web", "web-2026-11-25T24_00000.gz": "web-2026-11-25T24", "web-2026-11-24-2026-11-25T04_00000": "web-2026-11-24",
		"web_1": "", "_00000": "", "web_current": "", ".web_00000.gz.open": "", "web.gz": "",
	} {
		if base, ok := BaseOf(name); base != want || ok != (want != "") {
			t.Errorf("%s: %q, %v", name, base, ok)
		}
	}
}
