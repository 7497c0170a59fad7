//go:build makestate

package test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"inkwell/test/harness"
)

// TestMakeState makes testdata/state anew with the build that INKWELL_TEST_PROGRAM names, which has the build tag killpoints.
// testdata/state/make.sh calls it.
func TestMakeState(t *testing.T) {
	path := os.Getenv("INKWELL_TEST_PROGRAM")
	if path == "" {
		t.Fatal("INKWELL_TEST_PROGRAM is not set: testdata/state/make.sh builds the program and calls this")
	}
	program := harness.Inkwell{Path: path}
	only := strings.FieldsFunc(os.Getenv("INKWELL_TEST_STATE"), func(r rune) bool { return r == ',' })
	made, err := states()
	if err != nil && len(only) > 0 {
		t.Fatalf("the others are not there to be kept: %v", err)
	}
	trees := make(map[string][]packed)
	var mu sync.Mutex // guards trees
	t.Run("shapes", func(t *testing.T) {
		free := make(chan struct{}, atOnce)
		for _, m := range slices.Concat(flagShapes(), configuredShapes(), relayShapes(), senderShapes()) {
			if len(only) > 0 && !slices.Contains(only, m.name) {
				mu.Lock()
				trees[m.name] = made[m.name]
				mu.Unlock()
				continue
			}
			t.Run(m.name, func(t *testing.T) {
				t.Parallel()
				free <- struct{}{}
				defer func() { <-free }()
				tree := m.run(t, program)
				mu.Lock()
				trees[m.name] = tree
				mu.Unlock()
			})
		}
	})
	if !t.Failed() {
		writeStates(t, trees)
	}
}

// making is a shape, and what its processes have to go through.
type making struct {
	name string
	shape
	phases []phase
}

// phase is one life of the processes.
type phase struct {
	env   []string      // of the victim
	ends  bool          // the victim ends by itself
	kill  string        // the point at which the victim dies, "" = it is ended after the traffic
	stop  bool          // the victim is stopped in good order, not killed
	calls int           // of each source, at most; at a kill point there may be fewer
	rest  time.Duration // between the traffic and the end
	// without are processes that do not run in this phase.
	without []string
	victim  string // the process that dies; "" = the first
}

// every is how often checkpoints are written in phases that have them, never that there is none.
var (
	every = "INKWELL_CUT_EVERY=60000000"
	never = "INKWELL_CUT_EVERY=3600000000000"
	small = "INKWELL_SEGMENT_BYTES=16384"
)

// run makes the state, and writes down the shape.
func (m making) run(t *testing.T, program harness.Inkwell) []packed {
	root := filepath.Join(t.TempDir(), "inkwell-state-"+m.name)
	if err := os.MkdirAll(root, 0o755); err != nil {
		t.Fatal(err)
	}
	words := newWords(t, root, m.Processes)
	l := &life{t: t, m: &m, words: words, program: program}
	for _, p := range m.phases {
		l.live(p)
	}
	for name, s := range m.Sources {
		if s.next() == 0 {
			t.Fatalf("%s: nothing was sent", name)
		}
		if s.To != "" && s.next() < 20 {
			t.Errorf("%s: %d lines only", name, s.next())
		}
	}
	harness.WriteFile(t, filepath.Join(stateDir, m.name+".json"), m.text(t))
	return packState(t, words)
}

// text is the shape as JSON, with a line for each source.
func (m making) text(t *testing.T) string {
	one := func(v any) string {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "{\n\"about\": %s,\n\"processes\": %s,\n\"out\": %s,\n\"audit\": %s,\n\"again\": %d,\n\"sources\": {", one(m.About), one(m.Processes), one(m.Out), one(m.Audit), m.Again)
	for i, name := range slices.Sorted(maps.Keys(m.Sources)) {
		if i > 0 {
			b.WriteString(",")
		}
		fmt.Fprintf(&b, "\n%s: %s", one(name), one(m.Sources[name]))
	}
	b.WriteString("\n}\n}\n")
	return b.String()
}

// life is the processes of a shape while its state is made.
type life struct {
	t       *testing.T
	m       *making
	words   shapeWords
	program harness.Inkwell
	running map[string]*harness.Process
}

func (l *life) live(p phase) {
	t := l.t
	l.running = make(map[string]*harness.Process)
	victim := p.victim
	if victim == "" {
		victim = l.m.Processes[0].Name
	}
	for _, proc := range l.m.Processes {
		if slices.Contains(p.without, proc.Name) {
			continue
		}
		env := []string{small, every}
		if proc.Name == victim {
			env = append(env, p.env...)
			if p.kill != "" {
				env = append(env, "INKWELL_KILL="+p.kill)
			}
		}
		proc.Args = slices.DeleteFunc(slices.Clone(proc.Args), func(a string) bool { return a == "--once" })
		var in *os.File
		if proc.Args[0] == "pipe" {
			in = l.input(p, proc)
		}
		l.running[proc.Name] = l.start(proc, in, env)
		if proc.Args[0] == "collect" || proc.Args[0] == "scribed" {
			if !l.words.listening(t, proc.Name, l.running[proc.Name]) && proc.Name != victim {
				t.Fatalf("%s does not start\n%s", proc.Name, l.running[proc.Name].Stderr())
			}
		}
	}
	v := l.running[victim]
	var work sync.WaitGroup
	for i, group := range l.groups() {
		if !slices.Contains(p.without, l.m.Sources[group[0]].To) {
			work.Go(func() { l.send(p, v, i, group) })
		}
	}
	for name, s := range l.m.Sources {
		if s.To == "" && strings.HasPrefix(name, "app") {
			work.Go(func() { l.write(p, v, name, s) })
		}
	}
	work.Wait()
	if p.kill != "" {
		for deadline := time.Now().Add(20 * time.Second); !v.Ended() && time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		}
		if !v.Died() {
			t.Fatalf("%s does not die at %s: %s\n%s", victim, p.kill, v, v.Stderr())
		}
	}
	time.Sleep(p.rest)
	for _, proc := range slices.Backward(l.m.Processes) { // senders before what they send to
		name, proc := proc.Name, l.running[proc.Name]
		switch {
		case proc == nil:
		case proc.Ended():
		case p.ends && name == victim:
			if code := proc.Wait(t); code != 0 && code != 75 {
				t.Fatalf("%s: %d\n%s", proc, code, proc.Stderr())
			}
		case p.stop && name == victim:
			proc.Signal(os.Interrupt)
			if code := proc.Wait(t); code != 0 && code != 75 {
				t.Fatalf("%s: %d\n%s", proc, code, proc.Stderr())
			}
		default:
			proc.Kill()
		}
	}
}

func (l *life) start(p shapeProcess, in *os.File, env []string) *harness.Process {
	return l.words.start(l.t, l.program, p, in, env...)
}

// groups are the sources that share calls: those whose names differ in a digit at the end only.
func (l *life) groups() (groups [][]string) {
	at := make(map[string]int)
	for _, name := range slices.Sorted(maps.Keys(l.m.Sources)) {
		if l.m.Sources[name].To == "" {
			continue
		}
		key := strings.TrimRight(name, "0123456789")
		if i, ok := at[key]; ok && key != name {
			groups[i] = append(groups[i], name)
			continue
		}
		at[key] = len(groups)
		groups = append(groups, []string{name})
	}
	return groups
}

// send makes calls of a group of sources until there were enough or the victim has died. Those with numbers are sent again when
// their answer is missing and a process of that name listens again.
func (l *life) send(p phase, victim *harness.Process, turn int, group []string) {
	first := l.m.Sources[group[0]]
	var conn *harness.Scribe
	defer func() {
		if conn != nil {
			conn.Close()
		}
	}()
	for i := 0; i < p.calls && !victim.Ended(); i++ {
		time.Sleep(40 * time.Millisecond)
		if conn == nil {
			c, err := harness.DialScribe(l.words["{ADDR."+first.To+"}"])
			if err != nil {
				continue
			}
			conn = c
		}
		var parts []part
		for k, name := range group {
			s := l.m.Sources[name]
			if s.Numbered && len(s.Unsure) > 0 {
				parts = append(parts, part{name, s, s.Unsure[0][0], s.Unsure[0][1]})
				s.Unsure = nil
				continue
			}
			parts = append(parts, part{name, s, s.next(), 1 + (i+turn+k)%7})
		}
		_, err := conn.Conn.Write(shapeCall(nil, int32(i), parts...))
		if err == nil {
			var code int
			if code, err = conn.PeerReply(int32(i)); err == nil && code != harness.OK {
				i--
				continue
			}
		}
		for _, part := range parts {
			if err == nil {
				part.source.ack(part.first, part.lines)
			} else {
				part.source.Unsure = append(part.source.Unsure, [2]int{part.first, part.lines})
			}
		}
		if err != nil {
			conn.Close()
			conn = nil
		}
	}
}

// write appends lines to a followed file, which is rotated in the middle. All of them have to arrive in the end.
func (l *life) write(p phase, victim *harness.Process, name string, s *source) {
	path := filepath.Join(l.words["{ROOT}"], "in", name+".log")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		l.t.Error(err)
		return
	}
	for i := 0; i < p.calls && !victim.Ended(); i++ {
		time.Sleep(15 * time.Millisecond)
		if i == p.calls/2 {
			for n := 8; n > 0; n-- {
				_ = os.Rename(fmt.Sprintf("%s.%d", path, n), fmt.Sprintf("%s.%d", path, n+1))
			}
			_ = os.Rename(path, path+".1")
		}
		f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			l.t.Error(err)
			return
		}
		first, lines := s.next(), 1+i%9
		for seq := first; seq < first+lines; seq++ {
			if _, err := f.WriteString(shapeLine(name, seq)); err != nil {
				l.t.Error(err)
			}
		}
		if err := f.Close(); err != nil {
			l.t.Error(err)
		}
		s.ack(first, lines)
	}
}

// input is a file with what a pipe gets in a phase: it takes all of it, into its spool at least, before it ends.
func (l *life) input(p phase, proc shapeProcess) *os.File {
	name := "pipe"
	s := l.m.Sources[name]
	path := filepath.Join(l.t.TempDir(), "stdin")
	var text strings.Builder
	first := s.next()
	for seq := first; seq < first+5*p.calls; seq++ {
		text.WriteString(shapeLine(name, seq))
	}
	s.ack(first, 5*p.calls)
	harness.WriteFile(l.t, path, text.String())
	f, err := os.Open(path)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { _ = f.Close() }) // only read
	return f
}

// writeStates writes the archive of all trees.
func writeStates(t *testing.T, trees map[string][]packed) {
	t.Helper()
	f, err := os.Create(filepath.Join(stateDir, "state.tar.zst"))
	if err != nil {
		t.Fatal(err)
	}
	z, err := zstd.NewWriter(f, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithWindowSize(32<<20))
	if err != nil {
		t.Fatal(err)
	}
	out := tar.NewWriter(z)
	for _, name := range slices.Sorted(maps.Keys(trees)) {
		for _, p := range trees[name] {
			p.header.Name = name + "/" + p.header.Name
			if err := out.WriteHeader(&p.header); err != nil {
				t.Fatal(err)
			}
			if _, err := out.Write(p.data); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := errors.Join(out.Close(), z.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// packState is the tree of a shape, with placeholders where it has addresses and paths of this run.
func packState(t *testing.T, w shapeWords) (tree []packed) {
	var pairs, ports []string
	for word, value := range w {
		if strings.HasPrefix(word, "{PORT") {
			ports = append(ports, "-"+value, "-"+word)
		} else {
			pairs = append(pairs, value, word)
		}
	}
	text, names := strings.NewReplacer(pairs...), strings.NewReplacer(ports...)
	root := w["{ROOT}"]
	numbers := fileNumbers(t, root)
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		below, err := filepath.Rel(root, path)
		if err != nil || strings.HasPrefix(below, "conf") {
			return err
		}
		p, err := packOne(path, names.Replace(below), text, w, numbers)
		tree = append(tree, p)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// position is the beginning of a line of a forwarder's positions.
var position = regexp.MustCompile(`(?m)^[0-9a-f]{8} [afir] [0-9a-f]+:[0-9a-f]+`)

// fileNumbers are the placeholders of followed files by their numbers.
func fileNumbers(t *testing.T, root string) map[string]string {
	numbers := make(map[string]string)
	paths, err := filepath.Glob(filepath.Join(root, "in", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		numbers[fileNumber(t, path)] = "{ID.in/" + filepath.Base(path) + "}"
	}
	return numbers
}

func packOne(path, name string, text *strings.Replacer, w shapeWords, numbers map[string]string) (p packed, err error) {
	st, err := os.Lstat(path)
	if err != nil {
		return p, err
	}
	link := ""
	if st.Mode()&fs.ModeSymlink != 0 {
		if link, err = os.Readlink(path); err != nil {
			return p, err
		}
		link = text.Replace(link)
	}
	h, err := tar.FileInfoHeader(st, link)
	if err != nil {
		return p, err
	}
	p.header = tar.Header{Typeflag: h.Typeflag, Name: name, Linkname: link, Mode: h.Mode, ModTime: st.ModTime().Round(time.Microsecond), Format: tar.FormatPAX}
	if !st.Mode().IsRegular() || filepath.Base(name) == "reserve" {
		return p, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return p, err
	}
	if aCheckpoint.Match(data) || linesOfState.Match(data) || filepath.Base(name) == "scribe_stats" {
		data = []byte(text.Replace(string(data)))
	}
	if bytes.HasPrefix(data, []byte("inkwell positions ")) {
		data = position.ReplaceAllFunc(data, func(start []byte) []byte {
			mark := len("00000000 a ")
			return append(start[:mark:mark], numbers[string(start[mark:])]...)
		})
	}
	if filepath.Base(name) == "boot" {
		data = []byte("the start of the machine at which it was made\n")
	}
	for word, value := range w {
		if !strings.HasPrefix(word, "{PORT") && bytes.Contains(data, []byte(value)) {
			return p, fmt.Errorf("%s has %s in it", name, value)
		}
	}
	p.data, p.header.Size = data, int64(len(data))
	return p, nil
}
