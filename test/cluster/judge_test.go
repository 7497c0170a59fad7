package cluster

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"inkwell/test/harness"
)

// verdict is what the depot has of what was sent.
type verdict struct {
	files, wanted, acked, later, nothing int
	missing, twice, late                 int
	foreign                              []string // lines, sources, categories and files that nobody sent
	stray                                []string // where lines that are out of order begin
}

// named is the name of a file: its category, its partition and the offset of its epoch. In the order of their names the
// files of a partition have the entries in the order of the topic.
var named = regexp.MustCompile(`^([a-z]+)/dt=\d{4}-\d\d-\d\d/([a-z]+)-\d{4}-\d\d-\d\d_(p\d{3})-\d{12}-[0-9a-f]{4}_\d{5}\.gz$`)

// judge compares the depot with what was sent. Whatever was never sent fails the test, also the control.
func (f *fleet) judge() *verdict {
	f.t.Helper()
	v := f.read()
	for _, what := range v.foreign {
		f.t.Error(what)
	}
	for _, what := range v.stray {
		f.t.Log(what)
	}
	if v.late > 0 {
		if err := os.CopyFS(filepath.Join(f.dir, "depot"), os.DirFS(f.depot.fetch(f.t))); err != nil {
			f.t.Error(err)
		}
	}
	return v
}

// sent are the sources of each category.
var sent = map[string][]string{"web": {"log0", "log1"}, "app": {"log2"}, "piped": {"piped"},
	"called": {"client0", "client1", "client2"}}

// read reads the depot.
func (f *fleet) read() *verdict {
	f.t.Helper()
	v := new(verdict)
	found := v.hauls(f, f.depot.fetch(f.t))
	for source, n := range f.sources.lines() {
		h := found.of(source)
		for seq := range n {
			v.count(h, seq, true)
		}
		v.wanted += n
		v.order(h, n, func(int) bool { return false })
	}
	for _, c := range f.sources.clients {
		h := found.of(c.Source)
		open := make(map[int]bool) // lines of calls of which the client knows nothing: they can overtake each other
		for _, one := range c.Calls {
			for seq := one.First; seq < one.First+one.Lines; seq++ {
				v.count(h, seq, one.Acked)
				open[seq] = !one.Acked
			}
			if one.Acked {
				v.acked += one.Lines
			}
		}
		v.order(h, c.Next(), func(seq int) bool { return open[seq] })
		v.later, v.nothing = v.later+c.Later, v.nothing+c.Lost
	}
	return v
}

// twice counts the lines that are in the depot more than once, while it is being filled.
func (f *fleet) twice() (n int) {
	f.t.Helper()
	for _, h := range new(verdict).hauls(f, f.depot.fetch(f.t)) {
		n += len(h.order) - len(h.times)
	}
	return n
}

// haul is the numbers of the lines of a source in the order in which they are in the depot.
type haul struct {
	source string
	order  []int
	files  []string // of each number of order
	times  map[int]int
}

type hauls map[string]*haul

// of returns what is there of a source.
func (all hauls) of(source string) *haul {
	if all[source] == nil {
		all[source] = &haul{source: source, times: make(map[int]int)}
	}
	return all[source]
}

// hauls reads all files of a local directory.
func (v *verdict) hauls(f *fleet, root string) hauls {
	var paths []string
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && strings.HasPrefix(e.Name(), "_"), e.IsDir() && strings.HasPrefix(e.Name(), "."):
			return fs.SkipDir
		case e.Type().IsRegular():
			paths = append(paths, path)
		}
		return nil
	})
	if err != nil && !os.IsNotExist(err) {
		f.t.Fatal(err)
	}
	slices.Sort(paths)
	all, place := make(hauls), make(map[string]string)
	for _, path := range paths {
		name, err := filepath.Rel(root, path)
		if err != nil {
			f.t.Fatal(err)
		}
		part := named.FindStringSubmatch(filepath.ToSlash(name))
		if part == nil || part[1] != part[2] || sent[part[1]] == nil {
			v.foreign = append(v.foreign, name+" is in the depot")
			continue
		}
		category, partition := part[1], part[3]
		if place[category] == "" {
			place[category] = partition
		}
		if place[category] != partition {
			v.foreign = append(v.foreign, name+" is of another partition than other files of its category")
		}
		v.files++
		data, err := harness.Read(path)
		if err != nil {
			v.foreign = append(v.foreign, err.Error())
			continue
		}
		v.lines(all, name, data, sent[category])
	}
	return all
}

// lines takes the lines of a file.
func (v *verdict) lines(all hauls, name string, data []byte, sources []string) {
	for line := range bytes.Lines(data) {
		source, seq, err := harness.ParseLine(line)
		if err != nil || !slices.Contains(sources, source) {
			v.foreign = append(v.foreign, name+" has a line that was not sent: "+string(line[:min(len(line), 100)]))
			return
		}
		h := all.of(source)
		h.order, h.files = append(h.order, seq), append(h.files, name)
		h.times[seq]++
	}
}

// count judges how often a line is there.
func (v *verdict) count(h *haul, seq int, wanted bool) {
	switch n := h.times[seq]; {
	case n > 1:
		v.twice += n - 1
	case n == 0 && wanted:
		v.missing++
	}
}

// order looks for lines that come for the first time after a later one, and for lines that were not sent.
func (v *verdict) order(h *haul, n int, excused func(seq int) bool) {
	top, topAt := -1, 0
	seen := make(map[int]bool)
	from := -1 // the first of the late lines that are one after another
	for i, seq := range h.order {
		if seq >= n {
			v.foreign = append(v.foreign, h.source+" has lines that were not sent")
			return
		}
		if excused(seq) {
			continue
		}
		if late := seq < top && !seen[seq]; late {
			v.late++
			if from < 0 || seq != h.order[i-1]+1 {
				v.stray = append(v.stray, fmt.Sprintf("%s: line %d, in %s, comes after line %d, in %s", h.source, seq, h.files[i],
					top, h.files[topAt]))
			}
			from = seq
		} else {
			from = -1
		}
		if seen[seq] = true; seq > top {
			top, topAt = seq, i
		}
	}
}
