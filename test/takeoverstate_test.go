package test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"inkwell/test/harness"
)

// TestStateOfBefore starts the program over every state that an earlier build left behind, with the flags and configurations of then,
// and has it go on: what was acknowledged is in the files, once and in its order, and so is what comes afterwards; what is sent again
// is left out; senders go on where they were, and deliver what waited in their spools.
//
// INKWELL_TEST_STATE=NAME,… takes some of them only, and INKWELL_TEST_CONFIGURED=1 starts those that had flags with the configuration
// that the flags stand for. testdata/state/README.md tells how they were made.
func TestStateOfBefore(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob(filepath.Join(stateDir, "*.json"))
	if err != nil || len(paths) < 30 {
		t.Fatalf("%d states in %s, %v: all of them should be there", len(paths), stateDir, err)
	}
	only := strings.FieldsFunc(os.Getenv("INKWELL_TEST_STATE"), func(r rune) bool { return r == ',' })
	free := make(chan struct{}, atOnce)
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".json")
		if len(only) > 0 && !slices.Contains(only, name) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			free <- struct{}{}
			defer func() { <-free }()
			takeOver(t, name)
		})
	}
}

// takeOver is one of them.
func takeOver(t *testing.T, name string) {
	s := loadShape(t, name)
	words := newWords(t, t.TempDir(), s.Processes)
	unpackState(t, name, words)
	servers := make(map[string]*harness.Process)
	var order []string
	for _, p := range s.Processes {
		if p.Once {
			continue
		}
		servers[p.Name] = words.start(t, ink, words.configured(t, p), nil)
		order = append(order, p.Name)
		if !words.listening(t, p.Name, servers[p.Name]) {
			t.Fatalf("%s does not start\n%s", p.Name, servers[p.Name].Stderr())
		}
	}
	sent := s.sendAgain(t, words)
	var duplicates int64
	for _, p := range s.Processes {
		switch {
		case p.Once:
			words.start(t, ink, words.configured(t, p), nil).Expect(t, 0)
		case p.Relay:
			words.drained(t, p.Name)
		}
	}
	for _, name := range slices.Backward(order) {
		n := words.counters(t, name)["scribe_overall:duplicates"]
		duplicates += n - sent[name]
		servers[name].Stop(t)
	}
	if duplicates > s.Again {
		t.Errorf("%d entries were sent again, of %d that was not known", duplicates, s.Again)
	}
	s.judge(t, words["{ROOT}"])
	s.audited(t, words)
}

// configured is the process with the configuration that `inkwell check --print` has for its flags, if that is asked for.
func (w shapeWords) configured(t *testing.T, p shapeProcess) shapeProcess {
	t.Helper()
	if p.Conf != "" || os.Getenv("INKWELL_TEST_CONFIGURED") != "1" {
		return p
	}
	args := slices.DeleteFunc(w.fillAll(p.Args), func(arg string) bool { return arg == "--once" })
	r := ink.Run(t, append([]string{"check", "--print", "--"}, args...)...)
	if r.Code != 0 {
		t.Fatalf("check --print -- %q: %d\n%s", args, r.Code, r.Stderr)
	}
	path := filepath.Join(w["{ROOT}"], "conf", p.Name+".printed")
	harness.WriteFile(t, path, r.Stdout)
	once := slices.Contains(p.Args, "--once")
	if p.Args = []string{p.Args[0], "-c", path}; once {
		p.Args = append(p.Args, "--once")
	}
	return p
}

// audited asks `inkwell audit`, which must find nothing wrong.
func (s *shape) audited(t *testing.T, words shapeWords) {
	t.Helper()
	if s.Audit == nil {
		return
	}
	args := words.fillAll(s.Audit)
	if got, code := audit(t, args...); code != 0 || got.Sums.Missing != 0 {
		r := ink.Run(t, append([]string{"audit"}, args...)...)
		t.Errorf("the audit ends with %d: %+v\n%s%s", code, got, r.Stdout, r.Stderr)
	}
}

// sendAgain sends every numbered call once more, and new lines of every source. It returns how many entries each server must have left
// out: those that had been acknowledged. Of calls without an answer nobody knows.
func (s *shape) sendAgain(t *testing.T, words shapeWords) (most map[string]int64) {
	t.Helper()
	most = make(map[string]int64)
	least := make(map[string]int64)
	for _, name := range slices.Sorted(maps.Keys(s.Sources)) {
		from := s.Sources[name]
		if from.To == "" {
			continue
		}
		send := func(first, lines int) {
			t.Helper()
			c := dialScribe(t, words["{ADDR."+from.To+"}"])
			if _, err := c.Conn.Write(shapeCall(nil, 1, part{name, from, first, lines})); err != nil {
				t.Fatal(err)
			}
			if code, err := c.PeerReply(1); err != nil || code != harness.OK {
				t.Fatalf("%s: answer %d, %v", name, code, err)
			}
		}
		next := from.next()
		if from.Numbered {
			for _, run := range from.Acked {
				send(run[0], run[1])
				least[from.To] += int64(run[1])
				most[from.To] += int64(run[1])
			}
			for _, run := range from.Unsure {
				send(run[0], run[1])
				most[from.To] += int64(run[1])
				from.ack(run[0], run[1])
			}
			from.Unsure = nil
		}
		send(next, 20)
		from.ack(next, 20)
	}
	for server, n := range least {
		if got := words.counters(t, server)["scribe_overall:duplicates"]; got < n {
			t.Errorf("%s left out %d entries that were sent again, of %d that it had acknowledged", server, got, n)
		}
	}
	return most
}

func (w shapeWords) counters(t *testing.T, server string) map[string]int64 {
	t.Helper()
	all, err := dialScribe(t, w["{ADDR."+server+"}"]).Counters()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// drained waits until a relay holds nothing any more.
func (w shapeWords) drained(t *testing.T, server string) {
	t.Helper()
	harness.Until(t, server+" has handed on everything", func() bool {
		waiting := int64(0)
		for name, n := range w.counters(t, server) {
			if name == "scribe_overall:journal entries" || strings.HasSuffix(name, ":spool entries") {
				waiting += n
			}
		}
		return waiting == 0
	})
}

// lineAt is a line, and below which of its source's directories it was found.
type lineAt struct {
	name string
	seq  int
	in   string
}

// judge reads all category files and compares them with what was acknowledged.
func (s *shape) judge(t *testing.T, root string) {
	t.Helper()
	seen := make(map[lineAt]int)
	last := make(map[lineAt]int) // of the source and directory: the highest number so far, and 1
	late := make(map[string]int)
	s.lines(t, root, func(path, line string) {
		name, seq, err := parseShapeLine(line)
		from := s.Sources[name]
		if err != nil || from == nil {
			t.Errorf("%s: %q, %v", path, line, err)
			return
		}
		in := slices.IndexFunc(from.In, func(in string) bool { return strings.HasPrefix(path, in) })
		if in < 0 {
			t.Errorf("%s: line %d of %s, which is to be in %q", path, seq, name, from.In)
			return
		}
		seen[lineAt{name, seq, from.In[in]}]++
		place := lineAt{name, 0, from.In[in]}
		if seq+1 < last[place] {
			late[name]++
		}
		last[place] = max(last[place], seq+1)
	})
	for _, name := range slices.Sorted(maps.Keys(s.Sources)) {
		from := s.Sources[name]
		if late[name] > 0 && !from.Shuffled {
			t.Errorf("%s: %d lines are out of order", name, late[name])
		}
		for _, in := range from.In {
			from.judge(t, name, func(seq int) int { return seen[lineAt{name, seq, in}] })
		}
	}
}

// judge compares how often each line is in one directory with what was acknowledged.
func (s *source) judge(t *testing.T, name string, count func(seq int) int) {
	t.Helper()
	missing, twice, other := 0, 0, s.next()
	for _, run := range s.Acked {
		for seq := run[0]; seq < run[0]+run[1]; seq++ {
			switch n := count(seq); {
			case n == 0:
				missing++
			case n > 1:
				twice++
			}
		}
	}
	for _, run := range s.Unsure {
		for seq := run[0]; seq < run[0]+run[1]; seq++ {
			if n := count(seq); n > 1 {
				twice++
			} else if n != count(run[0]) {
				t.Errorf("%s: line %d is there %d times, the first of its call is not: it is taken whole or not at all", name, seq, n)
			}
		}
	}
	if missing > 0 || twice > 0 {
		t.Errorf("%s: %d acknowledged lines are missing, %d are there more than once", name, missing, twice)
	}
	if count(other) > 0 {
		t.Errorf("%s: line %d was never sent", name, other)
	}
}

// lines gives every line of all category files to add, in the order of their names. Files that are not finished must not be left.
func (s *shape) lines(t *testing.T, root string, add func(path, line string)) {
	t.Helper()
	for _, out := range s.Out {
		for _, path := range s.files(t, filepath.Join(root, out)) {
			data, err := readAny(t, path)
			if err != nil {
				t.Fatal(err)
			}
			below, err := filepath.Rel(root, path)
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(string(data)) {
				add(below, line)
			}
		}
	}
}

// files lists the category files below a directory: in the order of their names, and the open one of a series last.
func (s *shape) files(t *testing.T, dir string) (finished []string) {
	t.Helper()
	var open []string
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		name := filepath.Base(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return err
		case e.IsDir() && name == ".inkwell":
			return fs.SkipDir
		case !e.Type().IsRegular() || harness.IsMetadata(name):
		case strings.HasPrefix(name, "_SUCCESS"):
			marked(t, path)
		case name == "scribe_stats":
			told(t, path)
		case strings.HasSuffix(name, ".open") && s.keepsOpen():
			open = append(open, path)
		case strings.HasPrefix(name, "."):
			t.Errorf("%s is left", path)
		default:
			finished = append(finished, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return append(finished, open...)
}

// told fails the test unless scribe_stats tells of each rotation once.
func told(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for line := range strings.Lines(string(data)) {
		_, file, _ := strings.Cut(line, " events to file ")
		if file == "" || seen[file] {
			t.Errorf("%s: %q is no line of it, or there again", path, line)
		}
		seen[file] = true
	}
}

// marked fails the test unless the files that a done marker lists are there and have as many lines as it says.
func marked(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var marker struct {
		Files []struct {
			File    string
			Entries int
		}
	}
	if err := json.Unmarshal(data, &marker); err != nil || len(marker.Files) == 0 {
		t.Errorf("%s: %v\n%s", path, err, data)
	}
	for _, f := range marker.Files {
		data, err := harness.Read(filepath.Join(filepath.Dir(path), f.File))
		if lines := strings.Count(string(data), "\n"); err != nil || lines != f.Entries {
			t.Errorf("%s says %d lines of %s, which has %d, %v", path, f.Entries, f.File, lines, err)
		}
	}
}

// keepsOpen says that files are left open on purpose.
func (s *shape) keepsOpen() bool {
	return slices.ContainsFunc(s.Processes, func(p shapeProcess) bool { return slices.Contains(p.Args, "--keep-open") })
}

// readAny reads a category file. What is left open has no end that other readers could do with.
func readAny(t *testing.T, path string) ([]byte, error) {
	t.Helper()
	if !strings.HasSuffix(path, ".open") {
		return harness.Read(path)
	}
	r := ink.Run(t, "cat", path)
	if r.Code != 0 {
		return nil, fmt.Errorf("cat %s: %d\n%s", path, r.Code, r.Stderr)
	}
	return []byte(r.Stdout), nil
}
