package test

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"inkwell/test/harness"
)

// bufferFile is a file as the original leaves it behind when its central is away: each record is a 32-bit little-endian length and as
// many bytes. Where categories share the file, a record with the category and a newline stands before each message.
func bufferFile(shared bool, entries ...harness.Entry) string {
	var b []byte
	record := func(text string) { b = append(binary.LittleEndian.AppendUint32(b, uint32(len(text))), text...) }
	for _, e := range entries {
		if shared {
			record(e.Category + "\n")
		}
		record(e.Message)
	}
	return string(b)
}

// takeover is a client whose predecessor left buffer files, and a central that is not there yet.
func takeover(t *testing.T, conf string, files map[string]string) (client, central *harness.Scribed) {
	t.Helper()
	central = ink.NewScribed(t, centralConf)
	client = ink.NewScribed(t, conf, "{CENTRAL}", central.Port)
	for name, data := range files {
		harness.WriteFile(t, filepath.Join(client.Dir, "buffer", name), data)
	}
	return client, central
}

// leftBehind lists the buffer files that are still there, links and our own directories aside.
func leftBehind(t *testing.T, client *harness.Scribed) (names []string) {
	t.Helper()
	dir := filepath.Join(client.Dir, "buffer")
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if e.IsDir() && strings.HasSuffix(e.Name(), ".spool") {
			return filepath.SkipDir
		}
		if err == nil && e.Type().IsRegular() {
			name, _ := filepath.Rel(dir, path)
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// gone waits until nothing is left of the buffer files.
func gone(t *testing.T, client *harness.Scribed) {
	t.Helper()
	harness.Until(t, "the buffer files are removed", func() bool { return len(leftBehind(t, client)) == 0 })
}

// TestTakeoverOfBuffers delivers what the original left, in order, before anything new, and removes it only then. The files' names may
// have gaps, a number of more than five digits, and come to ten and more, which sort as numbers.
func TestTakeoverOfBuffers(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		"app/app_00099":      bufferFile(false, harness.Entries("", "app", 200, 300)...),
		"app/app_00003":      bufferFile(false, harness.Entries("", "app", 0, 100)...),
		"app/app_00010":      bufferFile(false, harness.Entries("", "app", 100, 200)...),
		"app/app_00100":      bufferFile(false, harness.Entries("", "app", 300, 400)...),
		"app/app_100000":     bufferFile(false, harness.Entries("", "app", 400, 500)...),
		"app/app_100001":     "", // the original leaves an empty one
		"quiet/quiet_00000":  bufferFile(false, harness.Entries("", "quiet", 0, 50)...),
		"a_b.c/a_b.c_00000":  bufferFile(false, harness.Entries("", "dots", 0, 50)...),
		"te st/te st_00000":  bufferFile(false, harness.Entries("", "space", 0, 50)...),
		"odd/odd_00000":      bufferFile(false, harness.Entry{Message: "one"}, harness.Entry{}, harness.Entry{Message: "th\x00ree\n\n"}, harness.Entry{}, harness.Entry{}, harness.Entry{Message: "\xff\xfe"}),
		"app/app_current.sh": "no buffer file",
	}
	client, central := takeover(t, relayConf, files)
	client.Restart(t)
	mustStress(t, client.Addr, "app", "new", 100)
	client.Becomes(t, harness.Warning, "Failed to connect")
	for name := range files { // nothing is delivered yet: nothing is removed
		if _, err := os.Stat(filepath.Join(client.Dir, "buffer", name)); err != nil {
			t.Error(err)
		}
	}
	central.Restart(t)
	out := filepath.Join(central.Dir, "out")
	holds(t, out, "app", 600)
	for _, category := range []string{"quiet", "a_b.c", "te st"} { // no message came for them: they are delivered at the start
		holds(t, out, category, 50)
	}
	harness.Until(t, "only the foreign file is left", func() bool { return slices.Equal(leftBehind(t, client), []string{"app/app_current.sh"}) })
	client.Becomes(t, harness.Alive, "")
	client.Shutdown(t)
	central.Shutdown(t)
	got := harness.Contents(t, out, "app")
	if want := string(harness.Lines("app", 0, 500)) + string(harness.Lines("new", 0, 100)); string(got) != want {
		t.Errorf("app: %d bytes, want %d, different from byte %d on", len(got), len(want), firstDifference(got, []byte(want)))
	}
	if got := string(harness.Contents(t, out, "odd")); got != "oneth\x00ree\n\n\xff\xfe" {
		t.Errorf("odd: %q", got)
	}
	if n := client.Stderr(); strings.Contains(n, "CORRUPT") {
		t.Error(n)
	}
	for category, source := range map[string]string{"quiet": "quiet", "a_b.c": "dots", "te st": "space"} {
		harness.Audit(t, out, category).Exactly(t, map[string]int{source: 50})
	}
}

// TestTakeoverCountsEmptyMessages sends those, too, that made the original forget the rest of the file.
func TestTakeoverCountsEmptyMessages(t *testing.T) {
	t.Parallel()
	client, central := takeover(t, relayConf, map[string]string{"app/app_00000": bufferFile(false, harness.Entry{Message: "one"}, harness.Entry{}, harness.Entry{Message: "three"}, harness.Entry{Message: "four"})})
	central.Restart(t)
	client.Restart(t)
	central.Reaches(t, "app:received good", 4)
	gone(t, client)
	client.Shutdown(t)
	central.Shutdown(t)
	if got := read(t, central.Dir, "out/app/app_00000"); got != "onethreefour" {
		t.Errorf("%q", got)
	}
}

// TestEveryBufferIsReplayedAtTheStart has buffers for whose categories nothing comes any more: of names that are kept under our own, and within
// category stores, where each category has a buffer that no block of the configuration names.
func TestEveryBufferIsReplayedAtTheStart(t *testing.T) {
	t.Parallel()
	byCategory := strings.NewReplacer("type=buffer\n", "type=category\n", "buffer_send_rate=2\n", "<model>\ntype=buffer\n", "</store>", "</model>\n</store>").Replace(relayConf)
	prefixes := relayConf + strings.ReplaceAll(relayConf[strings.Index(relayConf, "<store>"):], "category=default", "category=w*")
	for name, c := range map[string]struct {
		conf  string
		files map[string]string // that the original left
	}{
		"ours":                        {prefixes, nil},
		"category store":              {byCategory, map[string]string{"old/old/old_00000": bufferFile(false, harness.Entry{Message: "old"})}},
		"category store, threads off": {"new_thread_per_category=no\n" + byCategory, map[string]string{"old/old_00000": bufferFile(false, harness.Entry{Message: "old"})}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, central := takeover(t, "max_categories=2\n"+c.conf, nil)
			client.Restart(t)
			entries := []harness.Entry{{Category: "a/b", Message: "1"}, {Category: "quiet", Message: "2"}, {Category: "w/x", Message: "3"}, {Category: "web", Message: "4"}, {Category: "more", Message: "5"}, {Category: "../c", Message: "6"}, {Category: "worse", Message: "7"}}
			mustLog(t, dialScribe(t, client.Addr), entries...)
			client.Becomes(t, harness.Warning, "Failed to connect")
			client.Shutdown(t)
			for name, data := range c.files {
				harness.WriteFile(t, filepath.Join(client.Dir, "buffer", name), data)
			}
			client.Write(t, "max_categories=3\n"+c.conf, "{CENTRAL}", central.Port)
			central.Restart(t)
			client.Restart(t)
			central.Reaches(t, "scribe_overall:received good", int64(len(entries)+len(c.files)))
			gone(t, client)
			client.Becomes(t, harness.Alive, "")
			client.Shutdown(t)
			central.Shutdown(t)
			out := filepath.Join(central.Dir, "out")
			for _, e := range entries {
				if strings.Contains(e.Category, "/") {
					continue
				}
				if got := string(harness.Contents(t, out, e.Category)); got != e.Message {
					t.Errorf("%s has %q, want %q", e.Category, got, e.Message)
				}
			}
			unsafe := string(harness.Contents(t, out, "_unsafe"))
			for _, text := range []string{`"a/b" 1`, `"w/x" 3`, `"../c" 6`} {
				if strings.Count(unsafe, text) != 1 {
					t.Errorf("_unsafe has %q, without %q", unsafe, text)
				}
			}
			if len(c.files) > 0 {
				if got := string(harness.Contents(t, out, "old")); got != "old" {
					t.Errorf("old has %q", got)
				}
			}
		})
	}
}

// TestBuffersWithTheSameSecondary has two blocks that were copied with their secondary, as the original allowed: each keeps its own on disk, and
// what the original left is delivered once.
func TestBuffersWithTheSameSecondary(t *testing.T) {
	t.Parallel()
	one := strings.Replace(relayConf, "category=default", "category=one", 1)
	two := strings.Replace(relayConf[strings.Index(relayConf, "<store>"):], "category=default", "category=two", 1)
	two = strings.Replace(two, "timeout=2000", "timeout=2001", 1)
	client, central := takeover(t, one+two, map[string]string{"thisisoverwritten_00000": bufferFile(false, harness.Entry{Message: "old"})})
	client.Restart(t)
	mustLog(t, dialScribe(t, client.Addr), harness.Entry{Category: "one", Message: "1"}, harness.Entry{Category: "two", Message: "2"})
	client.Becomes(t, harness.Warning, "Failed to connect")
	client.Shutdown(t)
	client.Restart(t)
	central.Restart(t)
	central.Reaches(t, "scribe_overall:received good", 3)
	gone(t, client)
	client.Becomes(t, harness.Alive, "")
	client.Shutdown(t)
	central.Shutdown(t)
	for category, want := range map[string]string{"one": "old1", "two": "2"} {
		if got := string(harness.Contents(t, filepath.Join(central.Dir, "out"), category)); got != want {
			t.Errorf("%s has %q, want %q", category, got, want)
		}
	}
}

// TestTakeoverOfASharedBuffer reads the category before each message.
func TestTakeoverOfASharedBuffer(t *testing.T) {
	t.Parallel()
	entries := func(from, to int) (all []harness.Entry) {
		for seq := from; seq < to; seq++ {
			all = append(all, harness.Entry{Category: fmt.Sprint("cat", seq%3), Message: string(harness.AppendLine(nil, fmt.Sprint("src", seq%3), seq/3))}, harness.Entry{Category: "empty"})
		}
		return all
	}
	conf := strings.Replace(relayConf, "port={PORT}\n", "port={PORT}\nnew_thread_per_category=no\n", 1)
	client, central := takeover(t, conf, map[string]string{
		"thisisoverwritten_00000": bufferFile(true, entries(0, 300)...), "thisisoverwritten_00001": bufferFile(true, entries(300, 600)...),
	})
	central.Restart(t)
	client.Restart(t)
	central.Reaches(t, "scribe_overall:received good", 1200)
	gone(t, client)
	for i := range 3 {
		mustLog(t, dialScribe(t, client.Addr), harness.Entry{Category: fmt.Sprint("cat", i), Message: string(harness.AppendLine(nil, fmt.Sprint("src", i), 200))})
	}
	central.Reaches(t, "scribe_overall:received good", 1203)
	client.Shutdown(t)
	central.Shutdown(t)
	for i := range 3 {
		harness.Audit(t, filepath.Join(central.Dir, "out"), fmt.Sprint("cat", i)).Exactly(t, map[string]int{fmt.Sprint("src", i): 201})
	}
}

// bucketsOfBuffers are buckets that are buffers before a store for each category.
func bucketsOfBuffers() string {
	conf := "port={PORT}\ncheck_interval=1\nnew_thread_per_category=no\nmax_queue_size=100000000\n" +
		"<store>\ncategory=default\ntype=bucket\nnum_buckets=2\nbucket_type=key_modulo\ndelimiter=58\n"
	for i := range 3 {
		conf += fmt.Sprintf("<bucket%d>\ntype=buffer\nretry_interval=1\nretry_interval_range=1\n"+
			"<primary>\ntype=category\n<model>\ntype=file\nfile_path={DIR}/out%[1]d\n</model>\n</primary>\n"+
			"<secondary>\ntype=file\nfile_path={DIR}/buffer/%[1]d\nbase_filename=buf\nwrite_category=yes\n</secondary>\n</bucket%[1]d>\n", i)
	}
	return conf + "</store>\n"
}

// TestTakeoverOfBucketsUnderLoad has so much in the journal at the start that a batch waits for every bucket before the
// clock has been looked at: what the original left comes first, and everything is there once.
func TestTakeoverOfBucketsUnderLoad(t *testing.T) {
	t.Parallel()
	const each = 300
	s := ink.NewScribed(t, bucketsOfBuffers())
	line := func(bucket int, source string, seq int) string {
		return fmt.Sprintf("%d:%s", bucket-1, harness.AppendLine(nil, source, seq)) // the first bucket has what has no key
	}
	var entries []harness.Entry
	for bucket := 1; bucket <= 2; bucket++ {
		for seq := range each {
			for _, category := range []string{"a", "b"} {
				entries = append(entries, harness.Entry{Category: category, Message: line(bucket, "new", seq)})
			}
		}
		harness.WriteFile(t, filepath.Join(s.Dir, fmt.Sprint("out", bucket)), "no directory yet")
	}
	s.Restart(t)
	mustLog(t, dialScribe(t, s.Addr), entries...)
	s.Kill()
	for bucket := 1; bucket <= 2; bucket++ {
		var old []harness.Entry
		for seq := range each {
			for _, category := range []string{"a", "b"} {
				old = append(old, harness.Entry{Category: category, Message: line(bucket, "old", seq)})
			}
		}
		harness.WriteFile(t, filepath.Join(s.Dir, "buffer", fmt.Sprint(bucket), "buf_00000"), bufferFile(true, old...))
		if err := os.Remove(filepath.Join(s.Dir, fmt.Sprint("out", bucket))); err != nil {
			t.Fatal(err)
		}
	}
	s.Restart(t)
	gone(t, s)
	s.Becomes(t, harness.Alive, "")
	s.Shutdown(t)
	for bucket := 1; bucket <= 2; bucket++ {
		for _, category := range []string{"a", "b"} {
			var want strings.Builder
			for _, source := range []string{"old", "new"} {
				for seq := range each {
					want.WriteString(line(bucket, source, seq))
				}
			}
			got := harness.Contents(t, filepath.Join(s.Dir, fmt.Sprint("out", bucket)), category)
			if string(got) != want.String() {
				t.Errorf("bucket %d, category %s: %d bytes, want %d, different from byte %d on", bucket, category, len(got), want.Len(),
					firstDifference(got, []byte(want.String())))
			}
		}
	}
}

// TestTakeoverOfDamagedBuffers delivers what can be read, keeps what cannot, and says how much that is.
func TestTakeoverOfDamagedBuffers(t *testing.T) {
	t.Parallel()
	whole := bufferFile(false, harness.Entries("", "app", 0, 10)...)
	for _, of := range []struct {
		name, rest string
	}{
		{"a record that ends early", "\x64\x00\x00\x00only a part of it"},
		{"a length that ends early", "\x05\x00"},
		{"a length that lies", "\xff\xff\xff\x7fwhat stands behind it\x01\x00\x00\x00x"},
		{"a negative length", "\xff\xff\xff\xff\x01\x00\x00\x00x"},
	} {
		t.Run(of.name, func(t *testing.T) {
			t.Parallel()
			client, central := takeover(t, relayConf, map[string]string{
				"app/app_00000": whole + of.rest, "app/app_00001": bufferFile(false, harness.Entries("", "app", 10, 20)...),
			})
			central.Restart(t)
			client.Restart(t)
			central.Reaches(t, "app:received good", 20)
			harness.Until(t, "what was delivered is removed", func() bool { return len(leftBehind(t, client)) < 2 })
			if n := client.Counter(t, "bytes lost"); n != int64(len(of.rest)) {
				t.Errorf("bytes lost is %d, want %d", n, len(of.rest))
			}
			if n := client.Counters(t)["app:bytes lost"]; n != int64(len(of.rest)) {
				t.Errorf("app:bytes lost is %d, want %d", n, len(of.rest))
			}
			client.Shutdown(t)
			left := leftBehind(t, client)
			if len(left) != 1 || !strings.HasPrefix(left[0], "app/app_00000") || left[0] == "app/app_00000" {
				t.Fatalf("left: %q", left)
			}
			if got := read(t, client.Dir, "buffer", left[0]); !strings.HasSuffix(got, of.rest) {
				t.Errorf("%s does not end as the file did: %q", left[0], got)
			}
			client.Restart(t) // it is not taken for a buffer file again
			mustStress(t, client.Addr, "app", "new", 10)
			central.Reaches(t, "app:received good", 30)
			client.Shutdown(t)
			central.Shutdown(t)
			harness.Audit(t, filepath.Join(central.Dir, "out"), "app").Exactly(t, map[string]int{"app": 20, "new": 10})
		})
	}
}

// TestTakeoverIsInterrupted kills the client while it delivers: nothing is removed that did not arrive.
func TestTakeoverIsInterrupted(t *testing.T) {
	t.Parallel()
	const files, each = 12, 3000
	left := map[string]string{}
	for i := range files {
		left[fmt.Sprintf("app/app_%05d", i)] = bufferFile(false, harness.Entries("", "app", i*each, (i+1)*each)...)
	}
	client, central := takeover(t, relayConf, left)
	central.Restart(t)
	for i := range 4 {
		client.Begin(t)
		before := central.Counter(t, "scribe_overall:received good")
		central.Reaches(t, "scribe_overall:received good", min(before+1, files*each))
		if i == 3 {
			break
		}
		client.Kill()
	}
	client.Listening(t)
	gone(t, client)
	client.Shutdown(t)
	central.Shutdown(t)
	l := harness.Audit(t, filepath.Join(central.Dir, "out"), "app")
	l.Known(t, func(source string) bool { return source == "app" })
	l.All(t, "app", files*each)
	t.Logf("%d lines came twice", l.Of("app").Twice)
}

// TestGoingBackToTheOriginal leaves Inkwell while the central is away, as docs/migrating-from-scribe.md says: what is in the spools goes
// to the next server, whatever the categories, and the files are those that the original expects.
func TestGoingBackToTheOriginal(t *testing.T) {
	t.Parallel()
	original := newOldPeer(t, func(call int, _ []harness.Entry) answer {
		if call == 2 {
			return refuses
		}
		return takes
	})
	_, dead, _ := strings.Cut(harness.FreeAddr(t), ":")
	named := strings.Replace(relayConf[strings.Index(relayConf, "<store>"):], "category=default", "category=named", 1)
	s := ink.NewScribed(t, relayConf+named+fileStore("category=here", "files"), "{CENTRAL}", dead)
	s.Restart(t)
	want := []harness.Entry{{Category: "app", Message: "one\n"}, {Category: "app"}, {Category: "app", Message: "th\x00ree\n\n\xff"}, {Category: "te st", Message: "space"}, {Category: "named", Message: "own block"}}
	for i := range want {
		mustLog(t, dialScribe(t, s.Addr), want[i])
	}
	mustLog(t, dialScribe(t, s.Addr), harness.Entry{Category: "here", Message: "a file\n"})
	s.Becomes(t, harness.Warning, "Failed to connect")
	s.Shutdown(t)
	var spools []string // some stand right in the directory of the secondary
	err := filepath.WalkDir(filepath.Join(s.Dir, "buffer"), func(path string, _ os.DirEntry, err error) error {
		if strings.HasSuffix(path, ".spool") {
			spools = append(spools, path)
		}
		return err
	})
	if err != nil || len(spools) != 3 {
		t.Fatalf("%q, %v", spools, err)
	}
	for _, dir := range spools {
		r := ink.Run(t, "pipe", "--to", original.addr, "--spool", dir, "none")
		if r.Code != 0 {
			t.Errorf("%s: exit code %d, %s", dir, r.Code, r.Stderr)
		}
		if r := ink.Run(t, "spool", "cat", dir); r.Code != 0 || len(r.Stdout) > 0 {
			t.Errorf("%s still holds %q, exit code %d", dir, r.Stdout, r.Code)
		}
	}
	original.mu.Lock()
	defer original.mu.Unlock()
	if !slices.Equal(original.entries, want) {
		t.Errorf("%q arrived, want %q", original.entries, want)
	}
	if names := seen(t, filepath.Join(s.Dir, "files")); !slices.Equal(names, []string{"here_00000", "here_current"}) {
		t.Errorf("%q", names)
	}
}

// seen is the names in a directory, but for those that begin with a point: they are the collector's own, and readers pass over them.
func seen(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	return names
}
