package forwarder

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"inkwell/store/stream"
)

const (
	bootName = "boot" // in the state directory: the kernel's word for the start of the machine at which positions were written
	bootPath = "/proc/sys/kernel/random/boot_id"
)

// boot has files go on under new streams when the machine was started since, or another one has the state now. A power
// cut can take the end of a file, of which lines were sent, and a copy of a machine goes on by itself: what is written
// then must not have the numbers of what was sent before, by which it would be taken for that. Where the end is gone,
// reading goes on at the newest of the older positions that the file still holds (see past): a position without a
// stream, of which nothing was taken since, says that this may be needed, also when the forwarder is killed before it
// looked.
func (p *positions) boot() error {
	now, err := os.ReadFile(bootPath)
	if err != nil { // not known: nothing can be said
		p.log.Warn("cannot tell whether the machine was started anew", "err", err)
		return nil
	}
	before, err := p.dir.ReadFile(bootName)
	switch {
	case err == nil && bytes.Equal(before, now):
		return nil
	case err == nil:
		for k, pos := range p.live {
			pos.stream, pos.number = stream.ID{}, 0
			p.live[k] = pos
		}
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("find out when the machine was started: %w", err)
	}
	p.started = now
	return unlessFull(p.rewrite())
}

// noteBoot writes down at which start of the machine the positions were written, if that is not known yet.
func (p *positions) noteBoot() error {
	if p.started == nil {
		return nil
	}
	if err := p.dir.WriteFile(bootName, p.started); err != nil {
		return fmt.Errorf("note the start of the machine: %w", err)
	}
	p.started = nil
	return nil
}
