package chaos

import (
	"bytes"
	"cmp"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"inkwell/test/harness"
)

// haul is what one collector has of one source: the numbers of its lines in the order in which they were written.
type haul struct {
	order []int
	times map[int]int
}

// read reads the files of a collector's category in the order in which they were written. That is not the order of their names: the
// clock that those come from jumps. Of files that were finished within the same tick of the system's clock the manifest knows it.
func read(t *testing.T, dir, category string) map[string]*haul {
	t.Helper()
	type file struct {
		path string
		info fs.FileInfo
	}
	var files []file
	for _, path := range harness.Published(t, dir, category) {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file{path, info})
	}
	var place map[string]int
	if len(files) > 1 {
		place = listed(t, filepath.Join(dir, category, ".manifest"))
	}
	slices.SortFunc(files, func(a, b file) int {
		return cmp.Or(a.info.ModTime().Compare(b.info.ModTime()), cmp.Compare(place[a.info.Name()], place[b.info.Name()]))
	})
	all := make(map[string]*haul)
	for _, f := range files {
		data, err := harness.Read(f.path)
		if err != nil {
			t.Error(err)
			continue
		}
		for line := range bytes.Lines(data) {
			source, seq, err := harness.ParseLine(line)
			if err != nil {
				t.Errorf("%s: %v", f.path, err)
				break
			}
			h := all[source]
			if h == nil {
				h = &haul{times: make(map[int]int)}
				all[source] = h
			}
			h.order = append(h.order, seq)
			h.times[seq]++
		}
	}
	return all
}

// listed says in which line of a manifest each file stands.
func listed(t *testing.T, path string) map[string]int {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := make(map[string]int)
	for line := range strings.Lines(string(data)) {
		_, body, _ := strings.Cut(line, " ")
		var f struct{ File string }
		if strings.HasPrefix(body, "{") {
			if err := json.Unmarshal([]byte(body), &f); err != nil {
				t.Errorf("%s: %v", path, err)
			}
			if _, again := lines[f.File]; !again {
				lines[f.File] = len(lines)
			}
		}
	}
	return lines
}

// judge compares the ledgers with the files of both collectors.
func (s *sources) judge() {
	s.t.Helper()
	s.found = map[string]int64{"duplicates": 0, "missing": 0, "in both collectors, by a fail-over": 0}
	for _, dir := range []string{s.f.a.Dir, s.f.b.Dir} {
		for _, path := range harness.Unfinished(s.t, dir) {
			s.t.Errorf("%s is left open", path)
		}
		strays, err := filepath.Glob(filepath.Join(dir, "*", ".*.orphan"))
		if err != nil || len(strays) > 0 {
			s.t.Errorf("set aside: %v %v", strays, err)
		}
	}
	known := map[string][]string{"tailed": {"tailed"}, "piped": {"piped"}}
	for category := range s.logged {
		known[category] = []string{category}
	}
	for _, c := range s.clients {
		known["called"] = append(known["called"], c.Source)
	}
	for category, sources := range known {
		a, b := read(s.t, s.f.a.Dir, category), read(s.t, s.f.b.Dir, category)
		for _, hauls := range []map[string]*haul{a, b} {
			for source := range hauls {
				if !slices.Contains(sources, source) {
					s.t.Errorf("category %s has lines of source %s", category, source)
				}
			}
		}
		for _, source := range sources {
			s.compare(source, &pair{of(a, source), of(b, source)})
		}
	}
	s.foreign()
}

// foreign looks for categories that nobody has sent.
func (s *sources) foreign() {
	known := append(s.categories(), "systemd-journald") // which has something to say, too
	for _, dir := range []string{s.f.a.Dir, s.f.b.Dir} {
		list, err := os.ReadDir(dir)
		if err != nil {
			s.t.Error(err)
		}
		for _, e := range list {
			if !strings.HasPrefix(e.Name(), ".") && !slices.Contains(known, e.Name()) {
				s.t.Errorf("category %s was never sent", e.Name())
			}
		}
	}
}

func of(hauls map[string]*haul, source string) *haul {
	if h := hauls[source]; h != nil {
		return h
	}
	return &haul{}
}

// pair is what both collectors have of a source.
type pair struct{ a, b *haul }

// compare judges one source.
func (s *sources) compare(source string, p *pair) {
	s.t.Helper()
	switch source {
	case "tailed":
		s.complete(source, s.tailed.Lines(), p)
	case "piped":
		s.complete(source, int(s.piped.Load()), p)
	case "syslogged", "journaled":
		s.complete(source, int(s.logged[source].Load()), p)
	default:
		i := slices.IndexFunc(s.clients, func(c *harness.Caller) bool { return c.Source == source })
		s.answered(s.clients[i], p)
	}
}

// complete is for sources of which every line is wanted.
func (s *sources) complete(source string, n int, p *pair) {
	s.t.Helper()
	var missing []int
	for seq := range n {
		if p.a.times[seq]+p.b.times[seq] == 0 {
			missing = append(missing, seq)
		}
		s.count(source, seq, 1, p)
	}
	if len(missing) > 0 {
		s.t.Errorf("%s: %d of %d lines are missing: %v …", source, len(missing), n, missing[:min(10, len(missing))])
	}
	s.issued(source, n, p)
	s.ordered(source, p, func(int) bool { return false })
	s.found["entries of "+source] = int64(n)
	s.found["missing"] += int64(len(missing))
}

// answered is for clients: what was answered OK is wanted, and nothing more often than it was sent.
func (s *sources) answered(c *harness.Caller, p *pair) {
	s.t.Helper()
	missing, lines := 0, 0
	for _, one := range c.Calls {
		for seq := one.First; seq < one.First+one.Lines; seq++ {
			n := p.a.times[seq] + p.b.times[seq]
			if one.Acked {
				lines++
				if n == 0 {
					missing++
				}
			}
			s.count(c.Source, seq, one.Sent, p)
		}
	}
	if missing > 0 {
		s.t.Errorf("%s: %d of %d lines that were answered OK are missing", c.Source, missing, lines)
	}
	if lines == 0 {
		s.t.Errorf("%s: no call was answered", c.Source)
	}
	s.issued(c.Source, c.Next(), p)
	if !c.Stubborn {
		s.ordered(c.Source, p, abandoned(c))
	}
	s.found["entries of "+c.Source] = int64(lines)
	s.found["missing"] += int64(missing)
	s.found["calls answered TRY_LATER"] += int64(c.Later)
	s.found["calls not answered"] += int64(c.Lost)
}

// count counts a line that is there more than once: in both collectors by a fail-over, again because its client sent it again, or
// without an excuse.
func (s *sources) count(source string, seq, sent int, p *pair) {
	a, b := p.a.times[seq], p.b.times[seq]
	if a > 0 && b > 0 {
		s.found["in both collectors, by a fail-over"]++
	}
	switch most := max(a, b); {
	case most <= 1:
	case most <= sent:
		s.found["again, because the client sent it again"] += int64(most - 1)
	default:
		s.found["duplicates"] += int64(most - sent)
		if s.found["duplicates"] < 20 {
			s.t.Errorf("%s: line %d is %d times in one collector, sent %d times", source, seq, most, sent)
		}
	}
}

// issued looks for lines that were never sent.
func (s *sources) issued(source string, n int, p *pair) {
	s.t.Helper()
	for _, h := range []*haul{p.a, p.b} {
		if len(h.order) > 0 && slices.Max(h.order) >= n {
			s.t.Errorf("%s: line %d came, but only %d were sent", source, slices.Max(h.order), n)
		}
	}
}

// abandoned says which lines were in calls that the client did not wait for to the end: they can overtake each other.
func abandoned(c *harness.Caller) func(seq int) bool {
	lines := make(map[int]bool)
	for _, one := range c.Calls {
		for i := range one.Lines {
			lines[one.First+i] = !one.Acked
		}
	}
	return func(seq int) bool { return lines[seq] }
}

// ordered looks for lines that came for the first time after a later one. A call that a collector took when its sender had gone on to
// the other one is no fault: its lines are in both. Neither are the lines that are excused.
func (s *sources) ordered(source string, p *pair, excused func(seq int) bool) {
	s.t.Helper()
	for _, both := range []pair{{p.a, p.b}, {p.b, p.a}} {
		top, late := -1, 0
		seen := make(map[int]bool)
		for _, seq := range both.a.order {
			if excused(seq) {
				continue
			}
			if seq < top && !seen[seq] && both.b.times[seq] == 0 {
				late++
			}
			seen[seq] = true
			top = max(top, seq)
		}
		if late > 0 {
			s.t.Errorf("%s: %d lines are out of order", source, late)
		}
	}
}
