package spool

import (
	"errors"
	"syscall"
	"testing"

	"inkwell/internal/faultfs"
)

// unsyncable counts writes, and makes syncs fail while it is told to.
type unsyncable struct {
	fail   bool
	writes int
}

func (a *unsyncable) Inject(op faultfs.Op, _ string, n int) (int, error) {
	if op == faultfs.OpWrite {
		a.writes++
	}
	if op == faultfs.OpSync && a.fail {
		return 0, syscall.EIO
	}
	return n, nil
}

// After a failed sync it is unknown whether either slot is on the disk: both are written again before the next sync
// counts.
func TestBothSlotsAreWrittenAgainAfterAFailedSync(t *testing.T) {
	inj := new(unsyncable)
	dir, err := faultfs.OpenDir(t.TempDir(), inj)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	a, _, _, err := openAck(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer a.f.Close()
	want := position{offset: 100, entries: 7}
	if err := a.write(want); err != nil {
		t.Fatal(err)
	}
	inj.fail = true
	if err := a.sync(); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	inj.fail, inj.writes = false, 0
	for _, writes := range []int{2, 2} { // the second sync has nothing to make good
		if err := a.sync(); err != nil || inj.writes != writes {
			t.Errorf("%d writes, %v, want %d", inj.writes, err, writes)
		}
	}
	if got, _, known, err := readAck(a.f); got != want || !known || err != nil {
		t.Errorf("%v, %v, %v", got, known, err)
	}
}
