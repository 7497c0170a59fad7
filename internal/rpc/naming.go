package rpc

import "inkwell/proto"

// maxTold bounds the streams of which a client remembers that it has sent the source. When there are more, it starts
// over.
const maxTold = 1 << 16

// naming sends the sources of the streams to a peer, once for each connection. A peer that has shown that it is not an
// Inkwell gets no more of them.
type naming struct {
	source func(stream [16]byte) (proto.Source, bool) // nil = nothing is known
	told   map[[16]byte]bool                          // streams whose sources were sent, or are not known
	now    [][16]byte                                 // those in the current call
	list   []byte                                     // their encoded sources
	count  int
}

// begin collects the sources to be sent with a call that has these spans.
func (n *naming) begin(spans []proto.Span) {
	n.now, n.list, n.count = n.now[:0], n.list[:0], 0
	if n.source == nil {
		return
	}
	if len(n.told) > maxTold {
		clear(n.told)
	}
	for i := range spans {
		id := spans[i].Stream
		if !spans[i].Numbered() || n.told[id] {
			continue
		}
		if s, known := n.source(id); known {
			list, ok := proto.AppendNaming(n.list, proto.Naming{Stream: id, Source: s})
			if !ok {
				return // the list is full: the next call has the rest
			}
			n.list = list
			n.count++
		}
		n.told[id] = true
		n.now = append(n.now, id)
	}
}

// end is called with the result of the call: whether the peer took it, and whether it is an Inkwell.
func (n *naming) end(taken, inkwell bool) {
	for _, id := range n.now {
		if !taken {
			delete(n.told, id)
		}
	}
	n.now = n.now[:0]
	if taken && !inkwell {
		n.source = nil
	}
}
