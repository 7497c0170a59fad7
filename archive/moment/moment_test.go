package moment

import (
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 29, 15, 30, 45, 0, berlin) // a Sunday
	for _, k := range []struct{ text, want string }{
		{"now", "2026-11-29T15:30:45+01:00"},
		{"today", "2026-11-29T00:00:00+01:00"},
		{"yesterday", "2026-11-28T00:00:00+01:00"},
		{"yesterday 14:00", "2026-11-28T14:00:00+01:00"},
		{"14:00 yesterday", "2026-11-28T14:00:00+01:00"},
		{"tomorrow noon", "2026-11-30T12:00:00+01:00"},
		{"14:00", "2026-11-29T14:00:00+01:00"},
		{"14:00:05.25", "2026-11-29T14:00:05+01:00"},
		{"2pm", "2026-11-29T14:00:00+01:00"},
		{"2:15PM", "2026-11-29T14:15:00+01:00"},
		{"midnight", "2026-11-29T00:00:00+01:00"},
		{"2h", "2026-11-29T13:30:45+01:00"},
		{"90m", "2026-11-29T14:00:45+01:00"},
		{"1h30m", "2026-11-29T14:00:45+01:00"},
		{"2 hours ago", "2026-11-29T13:30:45+01:00"},
		{"30 min ago", "2026-11-29T15:00:45+01:00"},
		{"3 days ago", "2026-11-26T15:30:45+01:00"},
		{"3 days ago 14:00", "2026-11-26T14:00:00+01:00"},
		{"2d", "2026-11-27T15:30:45+01:00"},
		{"1 week ago", "2026-11-22T15:30:45+01:00"},
		{"1 month ago", "2026-10-29T14:30:45Z"},
		{"+2h", "2026-11-29T17:30:45+01:00"},
		{"-2h", "2026-11-29T13:30:45+01:00"},
		{"2026-11-27", "2026-11-27T00:00:00+01:00"},
		{"2026-11-27 14:00", "2026-11-27T14:00:00+01:00"},
		{"2026-11-27T14:00", "2026-11-27T14:00:00+01:00"},
		{"2026-11-27T14", "2026-11-27T14:00:00+01:00"},
		{"2026/11/27 14:00:01", "2026-11-27T14:00:01+01:00"},
		{"2026-11-27T14:00:00Z", "2026-11-27T14:00:00Z"},
		{"2026-11-27t14:00:00z", "2026-11-27T14:00:00Z"},
		{"2026-11-27T14:00:00.5-05:00", "2026-11-27T19:00:00Z"},
		{"2026-11-27 14:00 UTC", "2026-11-27T14:00:00Z"},
		{"2026-11-27 14:00+02:00", "2026-11-27T12:00:00Z"},
		{"14:00Z", "2026-11-29T14:00:00Z"},
		{"2026-11-27 14:00 America/New_York", "2026-11-27T19:00:00Z"},
		{"29/Nov/2026:14:00:05 +0000", "2026-11-29T14:00:05Z"},
		{"27 Nov 2026 14:00", "2026-11-27T14:00:00+01:00"},
		{"Nov 27", "2026-11-27T00:00:00+01:00"},
		{"Nov 27, 2026", "2026-11-27T00:00:00+01:00"},
		{"monday", "2026-11-23T00:00:00+01:00"},
		{"sunday", "2026-11-29T00:00:00+01:00"},
		{"last sunday", "2026-11-22T00:00:00+01:00"},
		{"next mon 08:00", "2026-11-30T08:00:00+01:00"},
		{"@1764403200", "2025-11-29T08:00:00Z"},
		{"2026-03-29 02:30", "2026-03-29T01:00:00Z"}, // does not exist: the clocks go from 02:00 to 03:00
	} {
		got, err := Parse(k.text, now, false)
		want, werr := time.Parse(time.RFC3339, k.want)
		if err != nil || werr != nil || !got.Truncate(time.Second).Equal(want) {
			t.Errorf("%q: %v %v, want %s", k.text, got, err, k.want)
		}
	}
	for _, text := range []string{"", "  ", "tomorow", "25:00", "2026-13-01", "h", "2 parsecs", "14:00 o'clock", "@x", "2026-11-27T", "5", "Europe/Nowhere"} {
		if got, err := Parse(text, now, false); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
	// 02:30 comes twice when the clocks are set back.
	for late, want := range map[bool]string{false: "2026-10-25T00:30:00Z", true: "2026-10-25T01:30:00Z"} {
		got, err := Parse("2026-10-25 02:30", now, late)
		if w, _ := time.Parse(time.RFC3339, want); err != nil || !got.Equal(w) {
			t.Errorf("late %v: %v %v, want %s", late, got, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("2026-11-27 14:00 UTC")
	f.Add("3 days ago")
	f.Add("@1.5")
	now := time.Date(2026, 11, 29, 15, 30, 45, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		if got, err := Parse(text, now, false); err == nil && got.IsZero() && text != "@-62135596800" {
			t.Errorf("%q: no time and no error", text)
		}
	})
}
