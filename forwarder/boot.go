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
	bootName = "boot" // in the state directory: the boot ID at which the positions were written
	bootPath = "/proc/sys/kernel/random/boot_id"
)

// boot drops the streams of all positions when the machine was rebooted since they were written, or when the state was
// copied to another machine. Their files go on under new streams.
//
// The reason is that numbers must never be used twice for different entries, or the collector would drop the second
// ones as duplicates. A power cut can take the end of a file of which lines were already sent, and what is then written
// there would get the numbers of the lost lines; two copies of a machine would both go on numbering from the same
// position.
//
// A position without a stream also records that an older checkpoint may be needed, because the end of the file may be
// gone (see history). That survives when the forwarder is killed before it has looked.
func (p *positions) boot() error {
	now, err := os.ReadFile(bootPath)
	if err != nil { // without a boot ID reboots go unnoticed
		p.log.Warn("cannot find out whether the machine was restarted", "err", err)
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

// noteBoot saves the boot ID at which the positions were written, unless that was done before.
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
