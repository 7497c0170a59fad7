package status

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"inkwell/internal/stats"
)

// well is a document of a collector without problems.
func well(now time.Time) *Status {
	return &Status{Now: now, Daemon: Daemon{Role: Collector, Ready: true},
		Journal:    &Store{Dir: "/j", Bytes: 1, Limit: 100, Oldest: 3},
		Categories: []Category{{Name: "a", Oldest: 9}},
		Disks:      []Disk{{Path: "/j", Use: "journal", Free: 50, Total: 100}},
		Hops:       []Hop{{Address: "h:1", Up: true}}, Inputs: &Inputs{Oldest: 1},
		Refused:      []Refusal{{Reason: "lost", Count: 7}},
		Certificates: []Certificate{{File: "c.pem", Expires: now.Add(90 * 24 * time.Hour)}}}
}

func TestJudge(t *testing.T) {
	now := time.Now()
	ago := now.Add(-time.Minute)
	for _, x := range []struct {
		name  string
		spoil func(s *Status)
		level Level
		codes []string
	}{
		{"well", func(*Status) {}, Good, nil},
		{"not ready", func(s *Status) { s.Daemon.Ready = false }, Critical, []string{NotReady}},
		{"trouble that nothing else tells", func(s *Status) { s.Daemon.Trouble = "reload refused" }, Warning,
			[]string{Trouble}},
		{"trouble that a hop tells", func(s *Status) {
			s.Daemon.Trouble, s.Hops[0] = "h:1: refused", Hop{Address: "h:1", Since: &ago, LastError: "refused"}
		}, Warning, []string{HopDown}},
		{"a hop that nobody has called", func(s *Status) { s.Hops[0].Up = false }, Good, nil},
		{"journal fuller", func(s *Status) { s.Journal.Bytes = 80 }, Warning, []string{StoreFull}},
		{"journal full", func(s *Status) { s.Journal.Bytes = 95 }, Critical, []string{StoreFull}},
		{"journal without a limit", func(s *Status) { s.Journal.Bytes, s.Journal.Limit = 1<<40, 0 }, Good, nil},
		{"journal fails", func(s *Status) { s.Journal.Trouble = "no space" }, Critical, []string{StoreTrouble}},
		{"category behind", func(s *Status) { s.Categories[0].Oldest = 300 }, Warning, []string{BacklogOld}},
		{"category far behind", func(s *Status) { s.Categories[0].Oldest, s.Categories[0].Trouble = 3600, "no space" },
			Critical, []string{StoreTrouble}},
		{"lines not read", func(s *Status) { s.Inputs.Oldest = 301 }, Warning, []string{BacklogOld}},
		{"file system hangs", func(s *Status) { s.Inputs.Hanging = []string{"/nfs"} }, Warning, []string{Unreadable}},
		{"disk", func(s *Status) { s.Disks[0].Free = 9 }, Warning, []string{DiskFull}},
		{"disk full", func(s *Status) { s.Disks[0].Free = 2 }, Critical, []string{DiskFull}},
		{"disk hangs", func(s *Status) { s.Disks[0].Error = "it has not answered" }, Warning, []string{DiskFull}},
		{"refusing", func(s *Status) { s.Refused[0].Recent = 1 }, Warning, []string{Refusing}},
		{"strangers", func(s *Status) { s.Refused[0] = Refusal{Reason: "frames bad", Count: 9, Recent: 9} }, Good, nil},
		{"certificate", func(s *Status) { s.Certificates[0].Expires = now.Add(24 * time.Hour * 13) }, Warning,
			[]string{Certificates}},
		{"certificate expired", func(s *Status) { s.Certificates[0].Expires = now.Add(-time.Hour) }, Critical,
			[]string{Certificates}},
		{"the worst first", func(s *Status) { s.Daemon.Ready, s.Refused[0].Recent, s.Disks[0].Free = false, 1, 9 },
			Critical,
			[]string{NotReady, DiskFull, Refusing}},
	} {
		t.Run(x.name, func(t *testing.T) {
			s := well(now)
			x.spoil(s)
			v := s.Judge(DefaultThresholds())
			var codes []string
			for _, r := range v.Reasons {
				codes = append(codes, r.Code)
				if r.Text == "" || r.Cure == "" {
					t.Errorf("%+v does not say what is wrong and what to do", r)
				}
			}
			if v.Level != x.level || !slices.Equal(codes, x.codes) {
				t.Errorf("%s %q %v, want %s %v", v.Level, v.Text, codes, x.level, x.codes)
			}
		})
	}
}

func TestJudgeTellsOfManyCategoriesInFew(t *testing.T) {
	s := well(time.Now())
	for i := range 2000 {
		s.Categories = append(s.Categories, Category{Name: fmt.Sprint(i), Trouble: "no space"})
	}
	if n := len(s.Judge(DefaultThresholds()).Reasons); n != maxCategoryReasons+1 {
		t.Errorf("%d reasons", n)
	}
}

func TestMeter(t *testing.T) {
	set := stats.New()
	good, bytes, lost := set.Overall("received good"), set.Overall("received good bytes"), set.Overall("lost")
	a, ab := set.Category("a:b", "received good"), set.Category("a:b", "received good bytes")
	m := NewMeter(set)
	at := m.end
	step := func(entries int64) {
		for _, c := range []interface{ Add(int64) int64 }{good, a} {
			c.Add(entries)
		}
		bytes.Add(100 * entries)
		ab.Add(100 * entries)
		at = at.Add(Step)
		m.look(at)
	}
	lost.Add(3)
	step(50)
	var s Status
	m.Fill(&s)
	want := Flow{Entries: 50, Bytes: 5000, EntriesPerSecond: 10, BytesPerSecond: 1000}
	if s.Received != want || len(s.Categories) != 1 || s.Categories[0].Name != "a:b" || s.Categories[0].Flow != want ||
		!s.Categories[0].LastEntry.Equal(at) {
		t.Errorf("%+v %+v, want %+v", s.Received, s.Categories, want)
	}
	seen := at
	for range 2000 {
		step(0)
	}
	s = Status{}
	m.Fill(&s)
	if s.Received.EntriesPerSecond != 0 || !s.Categories[0].LastEntry.Equal(seen) {
		t.Errorf("idle: %+v", s)
	}
	if len(s.History.Entries) != historySteps || len(s.History.Bytes) != historySteps ||
		cap(m.entries) > 4*historySteps {
		t.Errorf("history of %d steps, room for %d", len(s.History.Entries), cap(m.entries))
	}
	if want := []Refusal{{Reason: "lost", Count: 3}}; !slices.Equal(s.Refused, want) {
		t.Errorf("refused %+v, want %+v: it was long ago", s.Refused, want)
	}
	lost.Add(2)
	s = Status{}
	m.Fill(&s)
	if want := []Refusal{{Reason: "lost", Count: 5, Recent: 2}}; !slices.Equal(s.Refused, want) {
		t.Errorf("refused %+v, want %+v", s.Refused, want)
	}
}

func TestEventsRememberWarningsOnce(t *testing.T) {
	var events Events
	log := slog.New(events.Handler(slog.DiscardHandler)).With("category", "a")
	log = slog.New(log.Handler()) // as a logger that is handed on
	for range 3 {
		log.Warn("slow", "error", "no space")
	}
	log.Info("unimportant")
	log.Error("bad", "text", strings.Repeat("x", 5000))
	list := events.List()
	if len(list) != 2 || list[0].Message != "bad" || list[0].Level != "error" || len(list[0].Detail) > maxDetail+10 {
		t.Fatalf("%+v", list)
	}
	if e := list[1]; e.Count != 3 || e.Detail != "category=a error=no space" || e.Level != "warn" {
		t.Errorf("%+v", e)
	}
	for i := range 200 {
		log.Error(fmt.Sprint(i))
	}
	if list := events.List(); len(list) != maxEvents || list[0].Message != "199" {
		t.Errorf("%d events, %+v first", len(list), list[0])
	}
}

// TestDocumentHasNoNullLists has empty lists instead, so that programs that read the JSON need no special case.
func TestDocumentHasNoNullLists(t *testing.T) {
	s := NewMonitor(stats.New(), nil, Daemon{Role: Forwarder}).Begin(time.Now())
	s.Finish()
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(text, &fields); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"categories", "senders", "hops", "disks", "refused", "certificates", "events"} {
		if _, ok := fields[name].([]any); !ok {
			t.Errorf("%s is %v", name, fields[name])
		}
	}
}

func TestDisksOfWhatIsMadeLater(t *testing.T) {
	var d Disks
	d.Watch(t.TempDir()+"/a/b", "files")
	d.Watch("/proc/self/none\x00", "files")
	list := d.List()
	if list[0].Error != "" || list[0].Total <= 0 || list[0].Free > list[0].Total {
		t.Errorf("%+v", list[0])
	}
	if list[1].Error == "" {
		t.Errorf("%+v", list[1])
	}
}

// TestDisksAsDf compares with what df says of the same file system, of which others change a little meanwhile.
func TestDisksAsDf(t *testing.T) {
	var d Disks
	dir := t.TempDir()
	d.Watch(dir, "files")
	out, err := exec.Command("df", "-B1", "--output=used,avail", dir).Output()
	if err != nil {
		t.Fatal(err)
	}
	var used, free int64
	if _, err := fmt.Sscanf(string(out[bytes.IndexByte(out, '\n')+1:]), "%d %d", &used, &free); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	got := d.List()[0]
	if size := float64(used + free); math.Abs(float64(got.Total)-size) > 0.05*size {
		t.Errorf("%+v, but df says that %d are used and %d free", got, used, free)
	}
	if share := float64(free) / float64(used+free); math.Abs(got.Fraction()-share) > 0.05 {
		t.Errorf("%v of the disk are free, but %v by df", got.Fraction(), share)
	}
}
