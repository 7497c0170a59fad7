package test

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/klauspost/compress/zstd"

	"inkwell/test/harness"
)

// stateDir holds what an earlier build left behind: state.tar.zst has a directory tree for each NAME, and NAME.json is
// the shape that belongs to it.
const stateDir = "testdata/state"

// shape describes a directory tree that processes of an earlier build left behind: how they were started, and what they had
// acknowledged. In its texts, in names of the tree and in the state files of the tree {ROOT} stands for the directory of the tree,
// {ADDR.name} for the address on which the process of that name listens, and {PORT.name} for its port;
// {ID.path} stands for device and inode of a file below the root.
type shape struct {
	About     string             `json:"about"`
	Processes []shapeProcess     `json:"processes"` // in the order in which they start
	Out       []string           `json:"out"`       // directories with category files, below the root
	Audit     []string           `json:"audit"`     // arguments of `inkwell audit` that must find nothing wrong; none: nothing to ask
	Sources   map[string]*source `json:"sources"`
	// Again is how many entries the senders among the processes may send a second time: those whose answer they had not seen, or not
	// written down, when they were killed. The next hop leaves them out.
	Again int64 `json:"again"`
}

// shapeProcess is one process of a shape.
type shapeProcess struct {
	Name string   `json:"name"`
	Args []string `json:"args"`
	Env  []string `json:"env,omitempty"`
	Conf string   `json:"conf,omitempty"` // its configuration, of testdata/state/conf, which stands as {ROOT}/conf/NAME
	// Once says that the process ends by itself, with 0, when it has delivered everything. The others are servers.
	Once bool `json:"once,omitempty"`
	// Relay says that the process hands on what it gets: it has to be left running until it has.
	Relay bool `json:"relay,omitempty"`
}

// source is one sender of numbered lines: its name stands in each of them.
type source struct {
	Category string `json:"category"`
	// In are directories, or beginnings of paths, below the root; in each of them every acknowledged line has to be once.
	In []string `json:"in"`
	// To is the server that the lines were sent to in calls; none: they come from a followed file or a pipe.
	To string `json:"to,omitempty"`
	// Numbered says that the lines were sent with their numbers, in a stream of the source's own. Then they can be sent again.
	Numbered bool `json:"numbered,omitempty"`
	// Shuffled says that the order of lines is not kept.
	Shuffled bool     `json:"shuffled,omitempty"`
	Acked    [][2]int `json:"acked"`            // first line and count, call by call
	Unsure   [][2]int `json:"unsure,omitempty"` // calls whose answer is missing: all of it is there, or nothing
}

// next is the number of the line behind all that were sent.
func (s *source) next() (n int) {
	for _, run := range append(s.Acked[:len(s.Acked):len(s.Acked)], s.Unsure...) {
		n = max(n, run[0]+run[1])
	}
	return n
}

// ack adds a run to those acknowledged, joined with the one before where they meet.
func (s *source) ack(first, lines int) {
	if n := len(s.Acked); n > 0 && s.Acked[n-1][0]+s.Acked[n-1][1] == first {
		s.Acked[n-1][1] += lines
		return
	}
	s.Acked = append(s.Acked, [2]int{first, lines})
}

const filler = "the quick brown fox jumps"

// shapeLine is a line of a source: its length follows from its number, and it compresses well, because it is kept in the repository.
func shapeLine(name string, seq int) string {
	return fmt.Sprintf("%s %06d %s\n", name, seq, filler[:seq*7%len(filler)])
}

// parseShapeLine says whose line it is and which.
func parseShapeLine(line string) (name string, seq int, err error) {
	if quoted, cutErr := strconv.QuotedPrefix(line); cutErr == nil { // a category that has no files of its own
		line = strings.TrimPrefix(line[len(quoted):], " ")
	}
	name, rest, _ := strings.Cut(line, " ")
	number, _, _ := strings.Cut(rest, " ")
	if seq, err = strconv.Atoi(number); err == nil && shapeLine(name, seq) == line {
		return name, seq, nil
	}
	return "", 0, fmt.Errorf("%q is no line that was sent", line[:min(len(line), 100)])
}

// part is a run of lines of a source in a call.
type part struct {
	name         string
	source       *source
	first, lines int
}

// shapeCall appends a Log call of all parts to b: the first line of each, the second of each, and so on, as a relay would mix them, with
// spans for those that are numbered.
func shapeCall(b []byte, seq int32, parts ...part) []byte {
	type span struct {
		name         string
		first, count int
		numbered     bool
	}
	var entries []byte
	var spans []span
	count := 0
	for i, more := 0, true; more; i++ {
		more = false
		for _, p := range parts {
			if i >= p.lines {
				continue
			}
			more = true
			count++
			entries = harness.AppendString(harness.AppendField(entries, 11, 1), p.source.Category)
			entries = harness.AppendString(harness.AppendField(entries, 11, 2), shapeLine(p.name, p.first+i))
			entries = append(entries, 0)
			if n := len(spans); n > 0 && spans[n-1].name == p.name {
				spans[n-1].count++
			} else {
				spans = append(spans, span{p.name, p.first + i, 1, p.source.Numbered})
			}
		}
	}
	start := len(b)
	b = append(b, 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint32(append(harness.AppendString(b, "Log"), 1), uint32(seq))
	b = append(harness.AppendField(b, 15, 1), 12)
	b = append(binary.BigEndian.AppendUint32(b, uint32(count)), entries...)
	if numbered := spans[0].numbered; numbered { // all parts of a call are, or none
		b = append(harness.AppendField(b, 15, 2), 12)
		b = binary.BigEndian.AppendUint32(b, uint32(len(spans)))
		for _, s := range spans {
			b = harness.AppendString(harness.AppendField(b, 11, 1), streamOf(s.name))
			b = binary.BigEndian.AppendUint64(harness.AppendField(b, 10, 2), uint64(s.first))
			b = binary.BigEndian.AppendUint32(harness.AppendField(b, 8, 3), uint32(s.count))
			b = append(b, 0)
		}
	}
	b = append(b, 0)
	binary.BigEndian.PutUint32(b[start:], uint32(len(b)-start-4))
	return b
}

// streamOf is the stream of a source: 16 bytes that begin with its name.
func streamOf(name string) string { return (name + "................")[:16] }

// shapeWords are what the placeholders of a shape stand for.
type shapeWords map[string]string

// newWords chooses addresses for all processes.
func newWords(tb testing.TB, root string, processes []shapeProcess) shapeWords {
	tb.Helper()
	w := shapeWords{"{ROOT}": root}
	for _, p := range processes {
		addr := harness.FreeAddr(tb)
		w["{ADDR."+p.Name+"}"] = addr
		w["{PORT."+p.Name+"}"] = addr[strings.LastIndexByte(addr, ':')+1:]
	}
	return w
}

func (w shapeWords) fill(text string) string {
	var pairs []string
	for word, value := range w {
		pairs = append(pairs, word, value)
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

func (w shapeWords) fillAll(texts []string) (filled []string) {
	for _, text := range texts {
		filled = append(filled, w.fill(text))
	}
	return filled
}

// start writes the configuration of a process and starts it.
func (w shapeWords) start(tb testing.TB, program harness.Inkwell, p shapeProcess, in *os.File, env ...string) *harness.Process {
	tb.Helper()
	if p.Conf != "" {
		text, err := os.ReadFile(filepath.Join(stateDir, "conf", p.Conf))
		if err != nil {
			tb.Fatal(err)
		}
		harness.WriteFile(tb, filepath.Join(w["{ROOT}"], "conf", p.Conf), w.fill(string(text)))
	}
	return program.Start(tb, harness.Command{Args: w.fillAll(p.Args), Env: append(w.fillAll(p.Env), env...), Stdin: in})
}

// listening waits until a server answers calls, and says whether it has not ended before.
func (w shapeWords) listening(tb testing.TB, name string, p *harness.Process) bool {
	tb.Helper()
	ended := false
	harness.Until(tb, name+" listens", func() bool {
		if ended = p.Ended(); ended {
			return true
		}
		s, err := harness.DialScribe(w["{ADDR."+name+"}"])
		if err != nil {
			return false
		}
		defer s.Close()
		_, err = s.Counter("scribe_overall:received good")
		return err == nil
	})
	return !ended
}

// loadShape reads the shape of a name.
func loadShape(tb testing.TB, name string) *shape {
	tb.Helper()
	data, err := os.ReadFile(filepath.Join(stateDir, name+".json"))
	if err != nil {
		tb.Fatal(err)
	}
	s := new(shape)
	if err := json.Unmarshal(data, s); err != nil {
		tb.Fatalf("%s: %v", name, err)
	}
	return s
}

// packed is a file, directory or link of a tree, with placeholders in it.
type packed struct {
	header tar.Header // its name is below the root
	data   []byte
}

// states are the trees of all shapes, by name. They are in one archive, because they are much alike.
var states = sync.OnceValues(func() (map[string][]packed, error) {
	f, err := os.Open(filepath.Join(stateDir, "state.tar.zst"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := zstd.NewReader(f)
	if err != nil {
		return nil, err
	}
	defer z.Close()
	all := make(map[string][]packed)
	for in := tar.NewReader(z); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name(), err)
		}
		data, err := io.ReadAll(in)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", f.Name(), h.Name, err)
		}
		name, below, _ := strings.Cut(h.Name, "/")
		h.Name = below
		all[name] = append(all[name], packed{*h, data})
	}
})

// reserveBytes is how long a file is that a collector keeps to give up when the disk is full. It is empty in the archive.
const reserveBytes = 1 << 20

// unpackState makes the tree of a name below the root, as if it had been left behind there.
func unpackState(tb testing.TB, name string, w shapeWords) {
	tb.Helper()
	all, err := states()
	if err != nil {
		tb.Fatal(err)
	}
	if len(all[name]) == 0 {
		tb.Fatalf("%s is not in the archive", name)
	}
	var late []packed // those with the numbers of other files in them
	for _, p := range all[name] {
		if bytes.Contains(p.data, []byte("{ID.")) {
			late = append(late, p)
			continue
		}
		p.unpack(tb, w)
	}
	for _, p := range late {
		p.data = aFile.ReplaceAllFunc(p.data, func(word []byte) []byte {
			return []byte(fileNumber(tb, filepath.Join(w["{ROOT}"], string(word[4:len(word)-1]))))
		})
		p.unpack(tb, w)
	}
}

func (p packed) unpack(tb testing.TB, w shapeWords) {
	tb.Helper()
	path, mode := filepath.Join(w["{ROOT}"], w.fill(p.header.Name)), fs.FileMode(p.header.Mode)
	var err error
	switch p.header.Typeflag {
	case tar.TypeDir:
		err = os.MkdirAll(path, mode)
	case tar.TypeSymlink:
		err = os.Symlink(w.fill(p.header.Linkname), path)
	default:
		data := settle(p.data, path, w)
		if filepath.Base(path) == "reserve" {
			data = make([]byte, reserveBytes)
		}
		if err = os.WriteFile(path, data, mode); err == nil {
			err = os.Chtimes(path, p.header.ModTime, p.header.ModTime)
		}
	}
	if err != nil {
		tb.Fatal(err)
	}
}

// fileNumber is what a forwarder's positions know a file by: device and inode.
func fileNumber(tb testing.TB, path string) string {
	tb.Helper()
	var st syscall.Stat_t
	if err := syscall.Stat(path, &st); err != nil {
		tb.Fatalf("%s: %v", path, err)
	}
	return fmt.Sprintf("%x:%x", st.Dev, st.Ino)
}

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	// aCheckpoint is a file of one line of JSON and its checksum, linesOfState a file of lines that have one each.
	aCheckpoint = regexp.MustCompile(`^\{[^\n]*\}\ncrc32c [0-9a-f]{8}\n$`)
	// aFile stands for device and inode of a file, in a forwarder's positions.
	aFile        = regexp.MustCompile(`\{ID\.[^}]*\}`)
	linesOfState = regexp.MustCompile(`^inkwell [a-z]+ \d+\n`)
)

// settle puts the words into a state file and makes its checksums right again. A forwarder's note of when the machine was started is
// that of now: elsewhere it would go by that the machine was started anew, and that the ends of its files may be gone.
func settle(data []byte, path string, w shapeWords) []byte {
	if filepath.Base(path) == "boot" {
		if now, err := os.ReadFile("/proc/sys/kernel/random/boot_id"); err == nil {
			return now
		}
	}
	if !bytes.Contains(data, []byte("{ROOT}")) && !bytes.Contains(data, []byte("{ADDR.")) {
		return data
	}
	text := w.fill(string(data))
	switch {
	case aCheckpoint.MatchString(text):
		body, _, _ := strings.Cut(text, "\n")
		return fmt.Appendf(nil, "%s\ncrc32c %08x\n", body, crc32.Checksum([]byte(body), castagnoli))
	case linesOfState.MatchString(text):
		var out []byte
		for i, line := range strings.SplitAfter(text, "\n") {
			if i == 0 || len(line) < 10 || !strings.HasSuffix(line, "\n") {
				out = append(out, line...)
				continue
			}
			body := strings.TrimSuffix(line[9:], "\n")
			out = fmt.Appendf(out, "%08x %s\n", crc32.Checksum([]byte(body), castagnoli), body)
		}
		return out
	}
	return []byte(text) // scribe_stats
}
