package collector

import (
	"errors"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"inkwell/internal/faultfs"
	"inkwell/proto"
	"inkwell/store/kafka"
)

// fullDisk is a disk on which journals have no room while it is full.
type fullDisk struct{ full atomic.Bool }

// Inject implements faultfs.Injector.
func (d *fullDisk) Inject(op faultfs.Op, name string, _ int) (int, error) {
	if op == faultfs.OpWrite && d.full.Load() && strings.HasPrefix(name, "0000") {
		return 0, syscall.ENOSPC
	}
	return 0, nil
}

// TestEpochOnAFullDisk has no room for the journal of an epoch in its middle: the epoch is at an end at once, so that what
// it has written can be removed, and the next one has all entries.
func TestEpochOnAFullDisk(t *testing.T) {
	disk := new(fullDisk)
	s := newSite(t, gzipFiles)
	s.tuning.injector = disk
	i := s.open()
	defer s.close(i)
	begin := func() kafka.Engine {
		e, err := i.beginEpoch(i.router.conf, i.router.opener, kafka.Epoch{Dir: filepath.Join(t.TempDir(), "epoch"), Who: "p000-0"})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	b := new(proto.Batch)
	for range 100 {
		b.Append([]byte("web"), []byte("a line\n"))
	}
	first := begin()
	if err := first.Append(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	disk.full.Store(true)
	if err := first.Append(t.Context(), b); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("with a full disk: %v", err)
	}
	disk.full.Store(false)
	if err := first.Discard(); err != nil {
		t.Error(err)
	}
	second := begin()
	for range 2 {
		if err := second.Append(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	made, err := second.Finish()
	if err != nil || len(made.Files) != 1 || made.Files[0].Entries != 200 {
		t.Errorf("%+v, %v", made, err)
	}
	if err := second.Discard(); err != nil {
		t.Error(err)
	}
}
