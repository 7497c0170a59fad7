package forwarder

import (
	"errors"
	"syscall"
	"testing"

	"inkwell/internal/faultfs"
)

// fullDisk has no room for anything while it is on, except for so many bytes at the end of the positions.
type fullDisk struct {
	on   bool
	room int
}

func (d *fullDisk) Inject(op faultfs.Op, name string, n int) (int, error) {
	switch {
	case !d.on || op != faultfs.OpWrite:
		return n, nil
	case name == positionsName && n > 0 && d.room > 0:
		n = min(n, d.room)
		d.room -= n
		if d.room > 0 {
			return n, nil
		}
		return n, syscall.ENOSPC
	}
	return 0, syscall.ENOSPC
}

// TestBirthsOnAFullDisk kills a forwarder on a full disk twice: births are there, and every position is the one that was last saved, or
// the last of all.
func TestBirthsOnAFullDisk(t *testing.T) {
	path, disk := t.TempDir(), new(fullDisk)
	old, after := somePosition(1), somePosition(1)
	after.offset += 100
	open := func() *positions {
		t.Helper()
		p, err := openTestPositions(t, path, disk)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	expect := func(p *positions, want ...position) {
		t.Helper()
		for _, w := range want {
			if got := p.live[w.key()]; got != w {
				t.Errorf("got %v, want %v", got, w)
			}
		}
		if len(p.live) != len(want) {
			t.Errorf("%d positions, want %d", len(p.live), len(want))
		}
	}
	p := open()
	if err := p.commit([]position{old}); err != nil {
		t.Fatal(err)
	}
	disk.on, disk.room = true, 1<<20
	p.room = p.size // so that the next acknowledgement needs more
	if err := p.commit([]position{after}); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("an acknowledgement took the room of births: %v", err)
	}
	second, third, fourth := somePosition(2), somePosition(3), somePosition(4)
	if err := p.announce([]position{second}); err != nil {
		t.Error(err)
	}
	p = open() // the first one was killed
	expect(p, old, second)
	if err := p.announce([]position{third}); err != nil {
		t.Error(err)
	}
	p = open()
	expect(p, old, second, third)
	disk.room = 40 // less than a line
	for range 2 {
		if err := p.announce([]position{fourth}); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("there was no room for a birth: %v", err)
		}
		disk.room = 1 << 20 // nothing may follow half a line
	}
	p = open()
	expect(p, old, second, third)
	disk.on = false
	if err := errors.Join(p.commit([]position{after, fourth}), p.close()); err != nil {
		t.Fatal(err)
	}
	p = open()
	expect(p, after, second, third, fourth)
	if err := p.close(); err != nil {
		t.Fatal(err)
	}
}
