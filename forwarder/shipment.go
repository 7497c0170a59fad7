package forwarder

import "inkwell/proto"

const (
	shipmentFull = 3 << 20 // a shipment of that many canonical bytes takes no more lines; it exceeds that by one line at most
	shipmentKeep = 8 << 20 // memory kept for the next use
	chunkSize    = 256 << 10
	defaultLine  = 16 << 20
)

// shipment is what goes from the one that reads to the one that ships: a batch and the positions that hold once it is
// acknowledged.
type shipment struct {
	seq       uint64 // no two fillings have the same
	batch     proto.Batch
	bytes     int64 // of the files or the pipe
	positions []position
	born      []position // durable before it is sent: of a generation that gets a stream, or a message with a decided end
	closed    bool       // takes no more lines: see close
}

func (p *shipment) empty() bool { return p.batch.Count() == 0 && len(p.positions) == 0 }

// close keeps further lines out of the shipment, because what it says of one file explains what another holds: a copy,
// a rotated file that is not to be read. A stream that was born with it would be durable before that, and a forwarder
// that was killed then would read the other file as one that it had missed.
func (p *shipment) close() { p.closed = true }

func (p *shipment) reset(seq uint64) {
	if p.batch.Size() > shipmentKeep {
		p.batch = proto.Batch{}
	}
	p.batch.Reset()
	p.seq, p.bytes, p.positions, p.born, p.closed = seq, 0, p.positions[:0], p.born[:0], false
}
