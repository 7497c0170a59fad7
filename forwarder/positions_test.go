package forwarder

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"inkwell/internal/faultfs"
)

func somePosition(i int) position {
	return position{
		id:     identity{dev: 0xfe01, ino: uint64(i % 7)},
		phase:  []phase{active, finished, ignored}[i%3],
		head:   fingerprint{n: i % 1024, sum: rand.Uint64()},
		tail:   fingerprint{n: (i * 7) % 1025, sum: rand.Uint64()},
		offset: rand.Int64(), ahead: rand.Int64N(2) * rand.Int64(), until: rand.Int64N(2) * rand.Int64(), number: rand.Int64(), stream: newStream(uint32(i)),
		category: "cat \"é\xff\n", path: "/var/log/a b\n\xfe\"" + strings.Repeat("x", i%5),
	}
}

func TestPositionRoundTrip(t *testing.T) {
	for i := range 100 {
		want := somePosition(i)
		line := appendPosition(nil, &want)
		if n := strings.Count(string(line), "\n"); n != 1 || line[len(line)-1] != '\n' {
			t.Fatalf("%q is not one line", line)
		}
		got, err := parseLine(line[:len(line)-1])
		if err != nil || got != want {
			t.Fatalf("%q: got %+v, %v, want %+v", line, got, err, want)
		}
		for k := range len(line) - 1 {
			bad := slices.Clone(line[:len(line)-1])
			bad[k] ^= 1
			if _, err := parseLine(bad); err == nil && !strings.EqualFold(string(bad[:8]), string(line[:8])) {
				t.Fatalf("%q was accepted", bad)
			}
		}
	}
}

func openTestPositions(t testing.TB, path string, inj faultfs.Injector) (*positions, error) {
	t.Helper()
	dir, err := faultfs.OpenDir(path, inj)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dir.Close() })
	return openPositions(dir, slog.New(slog.DiscardHandler))
}

// memoryDir is a directory in memory, where there is one: thousands of fsyncs on a disk would take minutes.
func memoryDir(t *testing.T) string {
	t.Helper()
	path, err := os.MkdirTemp("/dev/shm", "inkwell-positions-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(path) })
	return path
}

func TestPositionsTornAtEveryByte(t *testing.T) {
	t.Parallel()
	path := memoryDir(t)
	p, err := openTestPositions(t, path, nil)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(path, positionsName)
	type point struct {
		size int
		live map[key]position
	}
	points := []point{{len(positionsHeader) + 1, map[key]position{}}}
	for i := range 12 {
		pos := somePosition(i)
		if i == 9 {
			pos.phase = removed
		}
		if err := p.commit([]position{pos}); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		points = append(points, point{int(info.Size()), maps.Clone(p.live)})
	}
	if err := p.close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for cut := range len(data) + 1 {
		if err := os.WriteFile(name, data[:cut], 0o644); err != nil {
			t.Fatal(err)
		}
		p, err := openTestPositions(t, path, nil)
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		want := map[key]position{}
		for _, pt := range points {
			if pt.size <= cut {
				want = pt.live
			}
		}
		if !maps.Equal(p.live, want) {
			t.Fatalf("cut at %d: got %v, want %v", cut, p.live, want)
		}
		if err := p.close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPositionsOfAnotherVersion(t *testing.T) {
	path := t.TempDir()
	name, content := filepath.Join(path, positionsName), positionsMagic+"9\nwhatever\n"
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openTestPositions(t, path, nil); err == nil || !strings.Contains(err.Error(), "use the program that wrote it") || !strings.Contains(err.Error(), name) {
		t.Error(err)
	}
	if data, err := os.ReadFile(name); err != nil || string(data) != content {
		t.Errorf("it was changed to %q, %v", data, err)
	}
}

// TestDamageToThePositions flips every bit and cuts at every byte: the start succeeds, what the other lines say is
// known, the file is kept unless only its end is damaged, and an audit reads it too.
func TestDamageToThePositions(t *testing.T) {
	t.Parallel()
	for _, version := range []string{positionsHeader + "\n", olderHeader + "\n"} {
		whole := []byte(version)
		var all []position
		for i := range 3 {
			pos := somePosition(i)
			pos.path = "/var/log/app"
			line := appendPosition(nil, &pos)
			if version == olderHeader+"\n" {
				line = withoutAhead(line)
				pos.ahead, pos.until = 0, 0
			}
			whole, all = append(whole, line...), append(all, pos)
		}
		lines := slices.Collect(bytes.Lines(whole))
		try := func(what string, data []byte, hit int, told, kept bool) {
			t.Helper()
			path := memoryDir(t)
			defer os.RemoveAll(path)
			name := filepath.Join(path, positionsName)
			if err := os.WriteFile(name, data, 0o600); err != nil {
				t.Fatal(err)
			}
			_, bad, err := ReadPositions(path)
			if err != nil || (bad > 0) != told {
				t.Errorf("%s: an audit finds %d damaged lines, %v", what, bad, err)
			}
			p, err := openTestPositions(t, path, nil)
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			for i, pos := range all {
				if got, known := p.live[pos.key()]; i+1 != hit && (i+1 < hit || !strings.HasPrefix(what, "cut")) && got != pos || known && got != pos {
					t.Errorf("%s: position %d is %+v, want %+v", what, i, got, pos)
				}
			}
			aside, err := os.ReadFile(name + ".corrupt")
			if (err == nil) != kept || kept && !bytes.Equal(aside, data) {
				t.Errorf("%s: kept %q, %v", what, aside, err)
			}
			if err := p.close(); err != nil {
				t.Error(err)
			}
		}
		for bit := range len(whole) * 8 {
			data := slices.Clone(whole)
			data[bit/8] ^= 1 << (bit % 8)
			hit := bytes.Count(whole[:bit/8], []byte{'\n'})
			if crc := string(bytes.TrimRight(lines[hit][:8], " ")); hit > 0 && strings.EqualFold(crc, string(data[len(bytes.Join(lines[:hit], nil)):][:8])) && bit/8 < len(bytes.Join(lines[:hit], nil))+8 {
				continue // the same number in another case
			}
			try(fmt.Sprintf("bit %d", bit), data, hit, true, hit < len(all))
		}
		for size := range whole {
			hit := bytes.Count(whole[:size], []byte{'\n'})
			try(fmt.Sprintf("cut at %d", size), whole[:size], hit, size == 0 || whole[size-1] != '\n', false)
		}
	}
}

// withoutAhead makes a line of version 2 of one of today.
func withoutAhead(line []byte) []byte {
	body := line[9 : len(line)-1]
	f := bytes.SplitN(body, []byte{' '}, 8)
	body = bytes.Join(append(f[:5], f[7]), []byte{' '})
	return fmt.Appendf(nil, "%08x %s\n", crc32.Checksum(body, castagnoli), body)
}

func TestPositionsAreWrittenAnewWhenTheyGrow(t *testing.T) {
	path := t.TempDir()
	p, err := openTestPositions(t, path, nil)
	if err != nil {
		t.Fatal(err)
	}
	var batch []position
	for i := range 100 {
		batch = append(batch, somePosition(i))
	}
	for range 1000 {
		if err := p.commit(batch); err != nil {
			t.Fatal(err)
		}
	}
	if p.size > 2*positionsSlack {
		t.Errorf("size = %d", p.size)
	}
	want := maps.Clone(p.live)
	if err := p.close(); err != nil {
		t.Fatal(err)
	}
	if p, err = openTestPositions(t, path, nil); err != nil || !maps.Equal(p.live, want) {
		t.Errorf("%v; got %v, want %v", err, p.live, want)
	}
	if err := p.close(); err != nil {
		t.Fatal(err)
	}
}

// faults fails operations on positions while it is on.
type faults struct {
	op    faultfs.Op
	on    bool
	allow int
}

func (f *faults) Inject(op faultfs.Op, _ string, n int) (int, error) {
	if f.on && op == f.op {
		return min(f.allow, n), syscall.ENOSPC
	}
	return n, nil
}

func TestPositionsSurviveDiskFaults(t *testing.T) {
	for _, op := range []faultfs.Op{faultfs.OpWrite, faultfs.OpSync, faultfs.OpRename, faultfs.OpOpen} {
		path := t.TempDir()
		inj := &faults{op: op, allow: 10}
		p, err := openTestPositions(t, path, inj)
		if err != nil {
			t.Fatal(err)
		}
		first, second := somePosition(1), somePosition(2)
		inj.on = true
		cerr := p.commit([]position{first})
		serr := p.sync()
		if (op == faultfs.OpWrite || op == faultfs.OpSync) && !errors.Is(errors.Join(cerr, serr), syscall.ENOSPC) {
			t.Errorf("%s: %v, %v", op, cerr, serr)
		}
		inj.on = false
		if err := p.commit([]position{second}); err != nil {
			t.Errorf("%s: %v", op, err)
		}
		if err := p.close(); err != nil {
			t.Errorf("%s: %v", op, err)
		}
		p, err = openTestPositions(t, path, nil)
		if err != nil || p.live[first.key()] != first || p.live[second.key()] != second {
			t.Errorf("%s: %v, %v", op, err, p.live)
		}
		if err := p.close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A sync that failed is not tried again on the same file: that would prove nothing.
func TestPositionsAreWrittenAnewWhenASyncFails(t *testing.T) {
	path := t.TempDir()
	inj := &faults{op: faultfs.OpSync, allow: 10}
	p, err := openTestPositions(t, path, inj)
	if err != nil {
		t.Fatal(err)
	}
	which := func() os.FileInfo {
		info, err := os.Stat(filepath.Join(path, positionsName))
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	before := which()
	inj.on = true
	if err := p.commit([]position{somePosition(1)}); err != nil {
		t.Fatal(err)
	}
	if err := p.sync(); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	inj.on = false
	if err := p.sync(); err != nil {
		t.Fatal(err)
	}
	if os.SameFile(before, which()) {
		t.Error("the file whose sync failed is still in use")
	}
	if err := p.close(); err != nil {
		t.Fatal(err)
	}
}

// A file of version 2 is taken over: in it the last line of an identity counts, under whatever path.
func TestPositionsOfVersion2(t *testing.T) {
	path := t.TempDir()
	older := somePosition(0)
	older.path, older.ahead, older.until = "/var/log/gone", 0, 0
	want := somePosition(0)
	want.path, want.ahead, want.until = "/var/log/a", 0, 0
	data := append([]byte(olderHeader+"\n"), withoutAhead(appendPosition(nil, &older))...)
	data = append(data, withoutAhead(appendPosition(nil, &want))...)
	if err := os.WriteFile(filepath.Join(path, positionsName), data, 0o644); err != nil {
		t.Fatal(err)
	}
	p, err := openTestPositions(t, path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	if got := p.live[want.key()]; got != want || len(p.live) != 1 {
		t.Errorf("read %+v, want %+v", p.live, want)
	}
	if data := readAll(t, path); !strings.HasPrefix(data, positionsHeader+"\n") {
		t.Errorf("it was not written anew: %q", data)
	}
}

// A full disk keeps nothing from starting, and what could not be written then is written when there is room: the start
// of the machine, too.
func TestPositionsAreOpenedOnAFullDisk(t *testing.T) {
	path, first := t.TempDir(), somePosition(1)
	p, err := openTestPositions(t, path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(p.commit([]position{first}), p.close()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(path, bootName), []byte("another start\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	inj := &faults{op: faultfs.OpWrite, on: true}
	if p, err = openTestPositions(t, path, inj); err != nil {
		t.Fatal(err)
	}
	if err := p.boot(); err != nil {
		t.Fatal(err)
	}
	if got := p.live[first.key()]; got.offset != first.offset || got.stream == first.stream {
		t.Errorf("got %v of %v", got, first)
	}
	if err := p.sync(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("nothing is told: %v", err)
	}
	inj.on = false
	want := maps.Clone(p.live)
	if err := p.close(); err != nil {
		t.Fatal(err)
	}
	if p, err = openTestPositions(t, path, nil); err != nil || !maps.Equal(p.live, want) {
		t.Errorf("%v; got %v, want %v", err, p.live, want)
	}
	before, err := os.ReadFile(filepath.Join(path, bootName))
	if now, nerr := os.ReadFile(bootPath); err != nil || nerr != nil || !bytes.Equal(before, now) {
		t.Errorf("%v %v; the start is noted as %q, it is %q", err, nerr, before, now)
	}
	if err := p.close(); err != nil {
		t.Fatal(err)
	}
}

// Damage is kept before the file is written over, or nothing is written.
func TestPositionsAreNotWrittenOverBeforeDamageIsKept(t *testing.T) {
	path := t.TempDir()
	p, err := openTestPositions(t, path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(p.commit([]position{somePosition(1), somePosition(2)}), p.close()); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(path, positionsName)
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	data[len(positionsHeader)+21] ^= 1
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	inj := &failsCorrupt{}
	if _, err := openTestPositions(t, path, inj); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("opened: %v", err)
	}
	if now, err := os.ReadFile(name); err != nil || !bytes.Equal(now, data) {
		t.Errorf("%v; the damaged file was changed", err)
	}
}

// failsCorrupt has no room for what is set aside.
type failsCorrupt struct{}

func (*failsCorrupt) Inject(op faultfs.Op, name string, n int) (int, error) {
	if op == faultfs.OpWrite && strings.Contains(name, ".corrupt") {
		return 0, syscall.ENOSPC
	}
	return n, nil
}
