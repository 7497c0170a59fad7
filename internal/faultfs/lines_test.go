package faultfs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const testHeader = "inkwell test 1"

// number takes bodies as the lines of the tests have them.
func number(list *[]string) func(body []byte) error {
	return func(body []byte) error {
		if !bytes.HasPrefix(body, []byte("body ")) {
			return errors.New("no body")
		}
		*list = append(*list, string(body))
		return nil
	}
}

// TestLinesFlipEveryBit flips every bit of a small file, and cuts it at every byte: the other lines are read, the
// damage is told, and the file is kept as it was unless only its end is damaged.
func TestLinesFlipEveryBit(t *testing.T) {
	path := t.TempDir()
	d := open(t, path)
	whole, all := []byte(testHeader+"\n"), []string(nil)
	starts := []int{0}
	for i := range 4 {
		all = append(all, fmt.Sprintf("body %d", i))
		starts = append(starts, len(whole))
		whole = appendLine(whole, []byte(all[i]))
	}
	name := filepath.Join(path, "lines")
	try := func(what string, data []byte) (got []string, damage Damage) {
		t.Helper()
		must(t, os.WriteFile(name, data, 0o600))
		l, damage, err := OpenLines(d, "lines", testHeader, number(&got))
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		var read []string
		if bad, err := ReadLines(d, "lines", testHeader, number(&read)); err != nil || bad != damage.Lines || !slices.Equal(read, got) {
			t.Errorf("%s: read only: %q, %d damaged, %v", what, read, bad, err)
		}
		must(t, l.Keep())
		if damage.Aside != "" {
			kept, err := os.ReadFile(filepath.Join(path, damage.Aside))
			if err != nil || !bytes.Equal(kept, data) {
				t.Errorf("%s: kept as %q, %v", what, kept, err)
			}
			must(t, os.Remove(filepath.Join(path, damage.Aside)))
		}
		return got, damage
	}
	for bit := range len(whole) * 8 {
		data := bytes.Clone(whole)
		data[bit/8] ^= 1 << (bit % 8)
		hit := 0
		for hit+1 < len(starts) && starts[hit+1] <= bit/8 {
			hit++
		}
		want := slices.Clone(all)
		if hit > 0 {
			if at := starts[hit]; bit/8 < at+crcDigits && strings.EqualFold(string(data[at:at+crcDigits]), string(whole[at:at+crcDigits])) {
				continue // the same number in another case
			}
			want = slices.Delete(want, hit-1, hit)
		}
		what := fmt.Sprintf("bit %d", bit)
		if got, damage := try(what, data); !slices.Equal(got, want) || damage.Lines == 0 || (damage.Aside == "") != (hit == len(all)) {
			t.Errorf("%s: %q, %+v; want %q", what, got, damage, want)
		}
	}
	for size := range whole {
		n := bytes.Count(whole[:size], []byte{'\n'})
		what := fmt.Sprintf("cut at %d", size)
		got, damage := try(what, whole[:size])
		if told := damage.Lines > 0; !slices.Equal(got, all[:max(n-1, 0)]) || told != (size == 0 || whole[size-1] != '\n') || damage.Aside != "" {
			t.Errorf("%s: %q, %+v", what, got, damage)
		}
	}
}

// A header of another version is believed when there is no line of ours below it.
func TestLinesOfAnotherVersion(t *testing.T) {
	path := t.TempDir()
	d := open(t, path)
	ours, foreign := appendLine(nil, []byte("body 0")), appendLine(nil, []byte("other"))
	for content, readable := range map[string]bool{
		"inkwell test 2\n" + string(foreign): false,
		"inkwell test 3\n" + string(ours):    true,
		"inkwell tesu 1\n" + string(foreign): true,
		"whatever\n\n":                       true,
		"inkwell test 1\n" + string(foreign): true,
	} {
		must(t, os.WriteFile(filepath.Join(path, "lines"), []byte(content), 0o600))
		var got []string
		l, damage, err := OpenLines(d, "lines", testHeader, number(&got))
		switch {
		case !readable:
			if err == nil || !strings.Contains(err.Error(), "use the program that wrote it") {
				t.Errorf("%q: %v", content, err)
			}
		case err != nil || damage.Lines == 0 || damage.Aside == "" || len(got) != strings.Count(content, "body"):
			t.Errorf("%q: %q, %+v, %v", content, got, damage, err)
		default:
			must(t, l.Rewrite(slices.Values([][]byte{[]byte("body 7")})))
			must(t, l.Close())
			kept, err := os.ReadFile(filepath.Join(path, damage.Aside))
			now, err2 := os.ReadFile(filepath.Join(path, "lines"))
			if err != nil || err2 != nil || string(kept) != content || string(now) != testHeader+"\n"+string(appendLine(nil, []byte("body 7"))) {
				t.Errorf("%q: kept %q, %v; now %q, %v", content, kept, err, now, err2)
			}
		}
	}
}

// Whatever was left of a file, what is appended to it can be read.
func TestAppendLinesBehindATornEnd(t *testing.T) {
	path := t.TempDir()
	d := open(t, path)
	whole := appendLine([]byte(testHeader+"\n"), []byte("body 0"))
	for size := range len(whole) + 1 {
		must(t, os.WriteFile(filepath.Join(path, "lines"), whole[:size], 0o600))
		must(t, AppendLines(d, "lines", testHeader, []byte("body 1")))
		var got []string
		bad, err := ReadLines(d, "lines", testHeader, number(&got))
		if err != nil || got[len(got)-1] != "body 1" || (len(got) == 2) != (size >= len(whole)-1) || size <= len(testHeader) && bad > 0 {
			t.Errorf("cut at %d: %q, %d damaged, %v", size, got, bad, err)
		}
	}
}

// stumbles fails the operation with the given number, counted down; a write is done but for its last three bytes.
type stumbles int

func (s *stumbles) Inject(_ Op, _ string, n int) (int, error) {
	if *s--; *s == 0 {
		return n - 3, errors.New("disk")
	}
	return n, nil
}

// Whichever operation fails, what is appended again is there once, and nothing of the first attempt is told as damage.
func TestAppendAgainAfterAFault(t *testing.T) {
	bodies := [][]byte{[]byte("body 1"), []byte("body 2")}
	want := []string{"body 0", "body 1", "body 2"}
	check := func(d *Dir, what string, once bool) {
		t.Helper()
		var got []string
		bad, err := ReadLines(d, "lines", testHeader, number(&got))
		if err != nil || bad > 0 || once && !slices.Equal(got, want) || !slices.Equal(got[len(got)-2:], want[1:]) {
			t.Errorf("%s: %q, %d damaged, %v", what, got, bad, err)
		}
	}
	failed := 0
	for at := range stumbles(12) {
		faults := new(stumbles)
		d, err := OpenDir(t.TempDir(), faults)
		must(t, err)
		defer d.Close()
		must(t, AppendLines(d, "lines", testHeader, []byte("body 0")))
		*faults = at + 1
		if AppendLines(d, "lines", testHeader, bodies...) != nil {
			failed++
			must(t, AppendLines(d, "lines", testHeader, bodies...))
		}
		*faults = 0
		check(d, fmt.Sprintf("a file of one more append, operation %d", at), false) // an fsync that failed may leave the lines there

		d, err = OpenDir(t.TempDir(), faults)
		must(t, err)
		defer d.Close()
		must(t, AppendLines(d, "lines", testHeader, []byte("body 0")))
		l, _, err := OpenLines(d, "lines", testHeader, func([]byte) error { return nil })
		must(t, err)
		must(t, l.Rewrite(slices.Values([][]byte{[]byte("body 0")})))
		*faults = at + 1
		err = l.Append(bodies...)
		if err == nil {
			err = l.Sync()
		}
		if err != nil {
			failed++
			if !l.Due() {
				t.Error("the file is not due")
			}
			var again [][]byte
			_, err := ReadLines(d, "lines", testHeader, func(body []byte) error { again = append(again, bytes.Clone(body)); return nil })
			must(t, err)
			must(t, l.Rewrite(slices.Values(append(again, bodies...))))
		}
		*faults = 0
		check(d, fmt.Sprintf("a file that stays open, operation %d", at), true)
		must(t, l.Close())
	}
	if failed < 5 {
		t.Errorf("%d operations failed only", failed)
	}
}

// FuzzReadLines: whatever is in a file, it is read without more than was in it, and what is appended to it is read,
// too.
func FuzzReadLines(f *testing.F) {
	whole := appendLine(appendLine([]byte(testHeader+"\n"), []byte("body 0")), []byte("body 1"))
	f.Add(whole)
	f.Add(whole[:len(whole)-3])
	f.Add([]byte("inkwell test 2\nwhatever\n"))
	f.Add(bytes.Replace(whole, []byte("0\n"), []byte("0x"), 1))
	f.Fuzz(func(t *testing.T, data []byte) {
		path := t.TempDir()
		d, err := OpenDir(path, nil)
		must(t, err)
		defer d.Close()
		must(t, os.WriteFile(filepath.Join(path, "lines"), data, 0o600))
		var before, after []string
		if _, err := ReadLines(d, "lines", testHeader, number(&before)); err != nil {
			if len(before) > 0 || !bytes.HasPrefix(data, []byte("inkwell test ")) {
				t.Errorf("%q: %q, %v", data, before, err)
			}
			return
		}
		if len(before) > len(data)/15 {
			t.Errorf("%d lines in %q", len(before), data)
		}
		must(t, AppendLines(d, "lines", testHeader, []byte("body 9")))
		if _, err := ReadLines(d, "lines", testHeader, number(&after)); err != nil || len(after) < len(before)+1 || after[len(after)-1] != "body 9" {
			t.Errorf("%q: %q, then %q, %v", data, before, after, err)
		}
	})
}

// TestOpenLinesRemovesWhatAKilledRewriteLeft: a file that is seldom written would keep it beside it.
func TestOpenLinesRemovesWhatAKilledRewriteLeft(t *testing.T) {
	path := t.TempDir()
	must(t, os.WriteFile(filepath.Join(path, ".lines.tmp"), []byte("half"), 0o600))
	if _, _, err := OpenLines(open(t, path), "lines", testHeader, nil); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(path); err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}
