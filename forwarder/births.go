package forwarder

import (
	"errors"
	"math"
	"os"
)

// birthRoom is the disk space that is allocated behind the end of the positions, in bytes: enough for the births of
// about a thousand streams on a full disk.
const birthRoom = 256 << 10

// announce makes the positions of new streams durable, before the first entry of these streams is sent. If the process
// dies later, the entries are sent again with the same numbers, even if no position could be saved since. Without its
// birth a stream would begin anew under another ID, and its entries would be stored twice.
//
// That is why births are saved on a full disk, too: they are appended to the space that was allocated for them.
func (p *positions) announce(births []position) error {
	err := errors.Join(p.commit(births), p.sync())
	if !isFull(err) || p.file == nil || p.started != nil { // a new boot ID has to be saved with all positions
		return err
	}
	if err := errors.Join(p.append(), p.file.Sync()); err != nil {
		// Nothing is appended to a line that may have been cut off.
		return errors.Join(err, p.closeFile())
	}
	return nil
}

// allocate makes sure that n bytes can be appended, and half of birthRoom or more behind them, so that on a full disk
// acknowledgements fail while births still have room. A file system that cannot allocate has no room for births.
func (p *positions) allocate(n int64) error {
	if p.size+n+birthRoom/2 <= p.room {
		return nil
	}
	err := p.file.Allocate(p.size, n+birthRoom)
	switch {
	case isFull(err):
		return err
	case err != nil:
		p.room = math.MaxInt64
	default:
		p.room = p.size + n + birthRoom
	}
	return nil
}

// reopen opens the file for births when it could not be rewritten at the start, because the disk is full. The space
// that an earlier process allocated for them is still there.
func (p *positions) reopen() {
	f, err := p.dir.OpenFile(positionsName, os.O_WRONLY|os.O_APPEND, 0o640)
	if err != nil { // as at the very first start: births wait for space with everything else
		return
	}
	p.file = f
}
