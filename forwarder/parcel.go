package forwarder

import "inkwell/proto"

const (
	parcelFull  = 3 << 20 // a parcel of that many canonical bytes takes no more lines; it exceeds that by one line at most
	parcelKeep  = 8 << 20 // memory kept for the next use
	chunkSize   = 256 << 10
	defaultLine = 16 << 20
)

// parcel is what goes from the one that reads to the one that ships: a batch and the positions that hold once it is
// acknowledged.
type parcel struct {
	seq       uint64 // no two fillings have the same
	batch     proto.Batch
	bytes     int64 // of the files or the pipe
	positions []position
	born      []position // durable before it is sent: of a generation that gets a stream, or a message with a decided end
	closed    bool       // takes no more lines: see close
}

func (p *parcel) empty() bool { return p.batch.Count() == 0 && len(p.positions) == 0 }

// close keeps further lines out of the parcel, because what it says of one file explains what another holds: a copy,
// a rotated file that is not to be read. A stream that was born with it would be durable before that, and a forwarder
// that was killed then would read the other file as one that it had missed.
func (p *parcel) close() { p.closed = true }

func (p *parcel) reset(seq uint64) {
	if p.batch.Size() > parcelKeep {
		p.batch = proto.Batch{}
	}
	p.batch.Reset()
	p.seq, p.bytes, p.positions, p.born, p.closed = seq, 0, p.positions[:0], p.born[:0], false
}
