package pipelog

import (
	"testing"
	"time"
)

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

// TestIntervals says where intervals end, by the clocks of zones that change theirs.
func TestIntervals(t *testing.T) {
	const layout = "2006-01-02 15:04:05 -0700"
	for _, c := range []struct {
		zone     string
		every    int64
		at, ends string
	}{
		{"UTC", 3600, "2026-06-01 10:20:30 +0000", "2026-06-01 11:00:00 +0000"},
		{"UTC", 86400, "2026-06-01 00:00:00 +0000", "2026-06-02 00:00:00 +0000"},
		{"Europe/Berlin", 86400, "2026-06-01 10:20:30 +0200", "2026-06-02 00:00:00 +0200"},
		{"Europe/Berlin", 86400, "2026-03-29 00:30:00 +0100", "2026-03-30 00:00:00 +0200"}, // 23 hours
		{"Europe/Berlin", 86400, "2026-10-25 00:00:00 +0200", "2026-10-26 00:00:00 +0100"}, // 25 hours
		{"Europe/Berlin", 86400, "2026-10-25 02:30:00 +0100", "2026-10-26 00:00:00 +0100"},
		{"Europe/Berlin", 3600, "2026-03-29 01:59:59 +0100", "2026-03-29 03:00:00 +0200"},
		{"Europe/Berlin", 7200, "2026-03-29 01:00:00 +0100", "2026-03-29 03:00:00 +0200"}, // 2 to 4 has one hour
		{"Europe/Berlin", 7200, "2026-03-29 03:00:00 +0200", "2026-03-29 04:00:00 +0200"},
		{"Europe/Berlin", 3600, "2026-10-25 02:30:00 +0200", "2026-10-25 03:00:00 +0100"}, // what the clock calls 2 is twice as long
		{"Europe/Berlin", 10800, "2026-10-25 00:00:00 +0200", "2026-10-25 03:00:00 +0100"},
		{"Europe/Berlin", 1800, "2026-10-25 02:30:00 +0200", "2026-10-25 02:00:00 +0100"}, // the half hour is over
		{"America/Havana", 86400, "2026-11-01 00:30:00 -0400", "2026-11-02 00:00:00 -0500"},
		{"Australia/Lord_Howe", 3600, "2026-04-05 01:10:00 +1100", "2026-04-05 02:00:00 +1030"}, // half an hour back at 2
		{"Asia/Kolkata", 3600, "2026-06-01 10:20:30 +0530", "2026-06-01 11:00:00 +0530"},
	} {
		at, err := time.Parse(layout, c.at)
		if err != nil {
			t.Fatal(err)
		}
		s := schedule{every: c.every, zone: zone(t, c.zone)}
		if got := s.end(at).In(s.zone).Format(layout); got != c.ends {
			t.Errorf("%s, every %d s, at %s: ends %s, want %s", c.zone, c.every, c.at, got, c.ends)
		}
	}
}

func TestBeginBeforeTheEpoch(t *testing.T) {
	s := schedule{every: 3600, zone: time.FixedZone("", -7200)}
	if got := s.begin(time.Unix(10, 0)); got != -7200 {
		t.Errorf("%d", got)
	}
}

// TestNamesAtAChangeOfTheClock are those of what the clock showed at the begin of the interval, whenever in it the file is made.
func TestNamesAtAChangeOfTheClock(t *testing.T) {
	berlin := zone(t, "Europe/Berlin")
	for at, want := range map[string]string{
		"2026-10-25T00:10:00+02:00": "2026-10-25 00:00 1792886400",
		"2026-10-25T15:00:00+01:00": "2026-10-25 00:00 1792886400",
		"2026-03-29T15:00:00+02:00": "2026-03-29 00:00 1774742400",
	} {
		now, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		o := Options{Name: "%F %H:%M", Every: 24 * time.Hour, Zone: berlin}
		l := &logger{o: o, when: schedule{every: 86400, zone: berlin}, names: namer{o: o}}
		m := l.at(now, false)
		if got := l.names.next(m, false, 0).name + m.wall.Format(" ") + itoa(m.wall.Unix()); got != want {
			t.Errorf("%s: %q, want %q", at, got, want)
		}
	}
}
