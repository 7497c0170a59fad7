package test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"inkwell/test/harness"
)

// scenario is a configuration, calls, and what a scribed makes of them. Those in scribe.json were recorded from the original; those in
// more.json were put together by hand from the description of what it does.
type scenario struct {
	Name, Why, Conf, Note string
	Before                map[string]string
	Steps                 []struct {
		Log  [][2]string
		Wait float64
	}
	Results  []int
	Status   int
	Details  string
	Counters map[string]int64
	Files    map[string]content
	Links    map[string]string
	Exact    bool
}

// content is text, or bytes in base64.
type content string

func (c *content) UnmarshalJSON(data []byte) error {
	if data[0] == '"' {
		var s string
		err := json.Unmarshal(data, &s)
		*c = content(s)
		return err
	}
	var coded struct{ Base64 []byte }
	if err := json.Unmarshal(data, &coded); err != nil {
		return err
	}
	*c = content(coded.Base64)
	return nil
}

func TestScribedDoesWhatTheOriginalDid(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"scribe.json", "more.json"} {
		data, err := os.ReadFile(filepath.Join("golden", file))
		if err != nil {
			t.Fatal(err)
		}
		var all []scenario
		if err := json.Unmarshal(data, &all); err != nil {
			t.Fatal(err)
		}
		if len(all) < 10 {
			t.Errorf("%s has %d scenarios only", file, len(all))
		}
		for _, sc := range all {
			t.Run(sc.Name, func(t *testing.T) {
				t.Parallel()
				sc.play(t)
			})
		}
	}
}

// fill puts in what {PORT}, {DIR}, {DATE} and {HOST} stand for.
func fill(s *harness.Scribed, text string) string {
	host, _ := os.Hostname()
	return s.Fill(strings.NewReplacer("{DATE}", time.Now().Format("2006-01-02"), "{HOUR}", fmt.Sprintf("%05d", time.Now().Hour()), "{HOST}", host).Replace(text))
}

func (sc scenario) play(t *testing.T) {
	s := ink.NewScribed(t, sc.Conf)
	for name, text := range sc.Before {
		path := filepath.Join(s.Dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		harness.WriteFile(t, path, fill(s, text))
	}
	s.Restart(t)
	c, err := harness.DialScribe(s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var results []int
	for _, step := range sc.Steps {
		time.Sleep(time.Duration(step.Wait * float64(time.Second))) // part of the recording
		if step.Log == nil {
			continue
		}
		var entries []harness.Entry
		for _, e := range step.Log {
			entries = append(entries, harness.Entry{Category: e[0], Message: e[1]})
		}
		code, err := c.Log(entries...)
		if err != nil {
			t.Fatal(err)
		}
		results = append(results, code)
	}
	if !slices.Equal(results, sc.Results) {
		t.Errorf("answers %v, want %v", results, sc.Results)
	}
	sc.told(t, s, c)
	s.Shutdown(t)
	if !strings.HasPrefix(sc.Name, "buffer_file") { // our buffers have files of their own
		sc.left(t, s)
	}
}

// told checks what it says of itself. Counters of what is done off the answer come in a moment.
func (sc scenario) told(t *testing.T, s *harness.Scribed, c *harness.Scribe) {
	want := fmt.Sprint(sc.Status, " ", fill(s, sc.Details))
	wrong := func() (text string) {
		got, err := c.Counters()
		if err != nil {
			t.Fatal(err)
		}
		for name, n := range sc.Counters {
			if got[name] != n {
				text += name + " "
			}
		}
		code, details := s.Status(t)
		if status := fmt.Sprint(code, " ", details); status != want && !(strings.HasSuffix(want, "…") && strings.HasPrefix(status, strings.TrimSuffix(want, "…"))) {
			text += "status " + status
		}
		return text
	}
	text := ""
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if text = wrong(); text == "" || time.Now().After(deadline) {
			break
		}
	}
	if text != "" {
		all, _ := c.Counters()
		t.Errorf("not as recorded: %s\nwant %s, %v\ngot %v\n%s", text, want, sc.Counters, all, s.Stderr())
	}
}

// left checks the files and links.
func (sc scenario) left(t *testing.T, s *harness.Scribed) {
	files, links := make(map[string]string), make(map[string]string)
	err := filepath.WalkDir(s.Dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name, _ := filepath.Rel(s.Dir, path)
		if e.Type() == fs.ModeSymlink {
			links[name], err = os.Readlink(path)
			return err
		}
		data, err := os.ReadFile(path)
		files[name] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	wantLinks := make(map[string]string)
	for name, target := range sc.Links {
		wantLinks[fill(s, name)] = fill(s, target)
	}
	if !maps.Equal(links, wantLinks) {
		t.Errorf("links %v, want %v", links, wantLinks)
	}
	want := make(map[string]string)
	for name, text := range sc.Files {
		want[fill(s, name)] = fill(s, string(text))
	}
	for name, text := range want {
		got, ok := files[name]
		if filepath.Base(name) == "scribe_stats" {
			got, text = events.ReplaceAllString(minutes.ReplaceAllString(got, "{MINUTE}"), "<n> events"), events.ReplaceAllString(text, "<n> events")
		}
		if !ok || got != text {
			t.Errorf("%s: %s, want %s", name, shown(got, ok), shown(text, true))
		}
	}
	for name := range files {
		if harness.IsMetadata(filepath.Base(name)) { // the original's readers pass over it
			continue
		}
		if _, ok := want[name]; !ok {
			t.Errorf("%s is there", name)
		}
	}
}

var (
	minutes = regexp.MustCompile(`(?m)^\d{4}-\d{2}-\d{2}-\d{2}:\d{2}`)
	events  = regexp.MustCompile(`<\d+> events`) // the original counted none where it rotated within a batch
)

// shown is a file's content for a person.
func shown(text string, ok bool) string {
	switch {
	case !ok:
		return "missing"
	case len(text) > 300:
		return base64.StdEncoding.EncodeToString([]byte(text[:300])) + "… (base64)"
	}
	return strings.ReplaceAll(string(mustJSON(text)), "\\n", "⏎")
}

func mustJSON(text string) []byte {
	data, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return data
}
