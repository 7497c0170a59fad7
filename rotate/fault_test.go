package rotate

import (
	"bytes"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"inkwell/internal/faultfs"
)

// faults fails operations as a test wants it.
type faults struct {
	mu   sync.Mutex
	fail func(op faultfs.Op, name string, n int) (int, error)
}

func (f *faults) Inject(op faultfs.Op, name string, n int) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail == nil {
		return n, nil
	}
	return f.fail(op, name, n)
}

func (f *faults) set(fail func(op faultfs.Op, name string, n int) (int, error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail = fail
}

// every fails op, writes after allow bytes.
func every(op faultfs.Op, allow int, err error) func(faultfs.Op, string, int) (int, error) {
	return func(o faultfs.Op, _ string, n int) (int, error) {
		if o == op {
			return min(n, allow), err
		}
		return n, nil
	}
}

// TestFullDisk fails writes after any number of bytes: the file is what it was, open or not, and takes the same chunk later.
func TestFullDisk(t *testing.T) {
	for _, c := range allCodecs {
		for _, allow := range []int{0, 1, 5, 11, 40, 150} {
			path := t.TempDir()
			inj := &faults{}
			s := openFaulty(t, path, inj, Options{Codec: c, MaxSize: 4000}, nil)
			enc := newEncoder(t, c)
			var want []byte
			for i, chunk := range chunks() {
				if i%2 == 0 {
					inj.set(every(faultfs.OpWrite, allow, syscall.ENOSPC))
					before := names(t, path)
					err := s.Append(enc, chunk)
					if err == nil { // a small block that fits
						t.Fatalf("%v: no error with a full disk", c)
					}
					if !errors.Is(err, syscall.ENOSPC) || errors.Is(err, ErrBroken) || !strings.Contains(err.Error(), path) {
						t.Fatalf("%v: %v", c, err)
					}
					if after := names(t, path); s.cur == nil && i == 0 && after != before {
						t.Errorf("%v: %s is left behind", c, after)
					}
					wantBytes(t, readSeries(t, path), want)
					if i%4 == 0 {
						st, err := s.Sync(nil)
						must(t, err)
						must(t, s.Close())
						s = openFaulty(t, path, inj, Options{Codec: c, MaxSize: 4000}, &st)
					}
					inj.set(nil)
				}
				must(t, s.Append(enc, chunk))
				want = append(want, chunk...)
			}
			finish(t, s)
			wantBytes(t, readSeries(t, path), want)
		}
	}
}

// TestFullDiskThatCannotBeCutBack fails the truncate as well: the rest of the block stays until it can be cut off.
func TestFullDiskThatCannotBeCutBack(t *testing.T) {
	for _, c := range allCodecs {
		path := t.TempDir()
		inj := &faults{}
		s := openFaulty(t, path, inj, Options{Codec: c}, nil)
		enc := newEncoder(t, c)
		must(t, s.Append(enc, []byte("one\n")))
		inj.set(func(op faultfs.Op, _ string, n int) (int, error) {
			if op == faultfs.OpWrite || op == faultfs.OpTruncate {
				return min(n, 7), syscall.EIO
			}
			return n, nil
		})
		for range 3 {
			if err := s.Append(enc, []byte("a block that is longer than what follows")); !errors.Is(err, syscall.EIO) {
				t.Fatal(err)
			}
			if err := s.Seal(); !errors.Is(err, syscall.EIO) {
				t.Fatal(err)
			}
		}
		st, err := s.Sync(nil)
		must(t, err)
		inj.set(nil)
		if c == Zstd { // its end is longer than what was left behind
			must(t, s.Seal())
		}
		must(t, s.Append(enc, []byte("2\n")))
		finish(t, s)
		wantBytes(t, readSeries(t, path), []byte("one\n2\n"))
		if st.Open == nil || st.Open.Raw != 4 {
			t.Errorf("%v: the state counts what was not written: %+v", c, st.Open)
		}
	}
}

// TestSealWithoutRoom has no room for the end of the file: it stays open and is sealed later.
func TestSealWithoutRoom(t *testing.T) {
	for _, c := range []Codec{Gzip, Zstd} {
		path := t.TempDir()
		inj := &faults{}
		s := openFaulty(t, path, inj, Options{Codec: c, Seek: true}, nil)
		enc := newEncoder(t, c)
		must(t, s.Append(enc, []byte("one\n")))
		inj.set(every(faultfs.OpWrite, 4, syscall.ENOSPC))
		if err := s.Seal(); !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
		st := checkpoint(t, s)
		if st.Open == nil || len(st.Sealed) != 0 {
			t.Errorf("%v: state %+v", c, st)
		}
		wantBytes(t, readSeries(t, path), []byte("one\n"))
		inj.set(nil)
		must(t, s.Append(enc, []byte("two\n")))
		finish(t, s)
		wantNames(t, path, "web-2026-11-23_00000"+c.Suffix())
		wantBytes(t, readSeries(t, path), []byte("one\ntwo\n"))
	}
}

// TestFailedSync breaks the series; from the last state it goes on.
func TestFailedSync(t *testing.T) {
	for _, c := range allCodecs {
		for _, fail := range []string{"sync", "sync while sealing", "sync of the directory", "sync of the directory while publishing"} {
			path := t.TempDir()
			inj := &faults{}
			enc := newEncoder(t, c)
			s := openFaulty(t, path, inj, Options{Codec: c}, nil)
			must(t, s.Append(enc, []byte("one\n")))
			st := checkpoint(t, s)
			var err error
			switch fail {
			case "sync":
				must(t, s.Append(enc, []byte("two\n")))
				inj.set(every(faultfs.OpSync, 0, syscall.EIO))
				_, err = s.Sync(nil)
			case "sync while sealing":
				must(t, s.Append(enc, []byte("two\n")))
				inj.set(every(faultfs.OpSync, 0, syscall.EIO))
				must(t, s.Seal())
				_, err = s.Sync(nil)
			case "sync of the directory":
				must(t, s.Seal())
				must(t, s.Append(enc, []byte("two\n")))
				inj.set(every(faultfs.OpSyncDir, 0, syscall.EIO))
				_, err = s.Sync(nil)
			case "sync of the directory while publishing":
				must(t, s.Append(enc, []byte("two\n")))
				must(t, s.Seal())
				if c == None {
					must(t, s.Append(enc, []byte("three\n")))
				}
				next := syncState(t, s)
				inj.set(every(faultfs.OpSyncDir, 0, syscall.EIO))
				if err = s.Publish(next, nil); err != nil {
					st = next
				}
			}
			if !errors.Is(err, ErrBroken) || !errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), path) {
				t.Fatalf("%v, %s: %v", c, fail, err)
			}
			inj.set(nil)
			for _, again := range []error{s.Append(enc, []byte("x")), s.Seal(), s.Publish(st, nil), s.Tick()} {
				if !errors.Is(again, ErrBroken) {
					t.Errorf("%v, %s: a later call says %v", c, fail, again)
				}
			}
			if _, again := s.Sync(nil); !errors.Is(again, ErrBroken) {
				t.Errorf("%v, %s: a second Sync says %v", c, fail, again)
			}
			_ = s.Close() // the descriptor may be closed already
			s = openSeries(t, path, Options{Codec: c}, &st)
			if s.Lost() != nil {
				t.Fatal(s.Lost())
			}
			want := "one\ntwo\n"
			switch {
			case strings.HasSuffix(fail, "publishing") && c == None:
				want += "three\n"
			case !strings.HasSuffix(fail, "publishing"):
				must(t, s.Append(enc, []byte("two\n")))
			}
			finish(t, s)
			wantBytes(t, readSeries(t, path), []byte(want))
		}
	}
}

// TestOperationsThatFail lets each kind of operation fail once at each place of a run that tries again: nothing is lost or doubled.
func TestOperationsThatFail(t *testing.T) {
	for _, c := range allCodecs {
		for _, op := range []faultfs.Op{faultfs.OpOpen, faultfs.OpWrite, faultfs.OpSync, faultfs.OpTruncate, faultfs.OpRename, faultfs.OpRemove, faultfs.OpSyncDir, faultfs.OpRead} {
			for at := 1; ; at++ {
				hits := 0
				inj := &faults{fail: func(o faultfs.Op, name string, n int) (int, error) {
					if o == op {
						if hits++; hits == at {
							return n / 2, syscall.EIO
						}
					}
					return n, nil
				}}
				lifeWithFaults(t, c, inj)
				if hits < at {
					if at == 1 && op != faultfs.OpTruncate && op != faultfs.OpRemove && op != faultfs.OpRead {
						t.Errorf("%v: %s is never used", c, op)
					}
					break
				}
			}
		}
	}
}

// lifeWithFaults writes chunks and checkpoints, tries again what failed, and begins from the last state when it has to.
func lifeWithFaults(t *testing.T, c Codec, inj *faults) {
	path := t.TempDir()
	o := Options{Base: "web", Codec: c, MaxSize: 600, Link: true, Now: at(noon)}
	l := &life{enc: newEncoder(t, c), all: chunks()[:9]}
	for tries := 0; ; tries++ {
		if tries > 20 {
			t.Fatalf("%v: it does not come to an end", c)
		}
		var err error
		if l.s == nil {
			if l.s, err = Open(openDir(t, path, inj), o, &l.st); err != nil {
				l.s = nil
				continue
			}
			if l.s.Lost() != nil {
				t.Fatal(l.s.Lost())
			}
			l.next = l.saved
		}
		if err = l.run(); err == nil {
			break
		}
		if errors.Is(err, ErrBroken) || tries%2 == 1 {
			_ = l.s.Close()
			l.s = nil
		}
	}
	must(t, l.s.Close())
	wantBytes(t, readSeries(t, path), bytes.Join(l.all, nil))
	for _, n := range strings.Fields(names(t, path)) {
		if strings.HasPrefix(n, ".") && n != ".web_current.tmp" {
			t.Errorf("%v: %s is left behind", c, filepath.Join(path, n))
		}
	}
}

type life struct {
	s           *Series
	enc         *Encoder
	all         [][]byte
	st          State
	next, saved int // chunk to append; the first behind st
}

func (l *life) run() error {
	for l.next < len(l.all) {
		if err := l.s.Append(l.enc, l.all[l.next]); err != nil {
			return err
		}
		l.next++
		if l.next%3 == 2 {
			if err := l.checkpoint(); err != nil {
				return err
			}
		}
	}
	if err := l.s.Seal(); err != nil {
		return err
	}
	return l.checkpoint()
}

func (l *life) checkpoint() error {
	st, err := l.s.Sync(nil)
	if err != nil {
		return err
	}
	l.st, l.saved = st, l.next
	return l.s.Publish(st, nil)
}
