package forwarder

import "inkwell/proto"

const (
	shipmentFull = 3 << 20 // canonical bytes; a full shipment takes no more lines, but exceeds this by up to one line
	shipmentKeep = 8 << 20 // bytes of memory kept for the next use
	chunkSize    = 256 << 10
	defaultLine  = 16 << 20
)

// shipment is what a reader hands over for delivery: a batch, and the positions that become valid once the batch is
// acknowledged.
type shipment struct {
	seq       uint64 // different for each filling
	batch     proto.Batch
	bytes     int64 // of the files or the pipe that the batch covers
	positions []position
	born      []position // saved before the batch is sent: new streams, and messages whose end was decided
	closed    bool       // takes no more lines: see close
}

func (p *shipment) empty() bool { return p.batch.Count() == 0 && len(p.positions) == 0 }

// close keeps further lines out of the shipment. It is called when the shipment has the position of one file that
// explains what another file is, as a copy or a rotated file that is not to be read. A stream that was born in the same
// shipment would be saved before that position; if the forwarder was killed in between, the next run would read the
// other file as one that was missed.
func (p *shipment) close() { p.closed = true }

func (p *shipment) reset(seq uint64) {
	if p.batch.Size() > shipmentKeep {
		p.batch = proto.Batch{}
	}
	p.batch.Reset()
	p.seq, p.bytes, p.positions, p.born, p.closed = seq, 0, p.positions[:0], p.born[:0], false
}
