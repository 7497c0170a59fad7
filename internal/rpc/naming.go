package rpc

import "inkwell/proto"

// maxTold bounds the streams that a client remembers to have told of; with more it begins anew.
const maxTold = 1 << 16

// naming tells a peer where the streams of its calls come from, once a connection. One that has shown that it is no
// Inkwell is told nothing more.
type naming struct {
	source func(stream [16]byte) (proto.Source, bool) // nil = nothing is known
	told   map[[16]byte]bool                          // streams of which the peer knows all there is to know
	now    [][16]byte                                 // those of the call in progress
	list   []byte                                     // their namings
	count  int
}

// begin finds what a call with spans has to tell.
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
				return // the next call with entries of it tells
			}
			n.list = list
			n.count++
		}
		n.told[id] = true
		n.now = append(n.now, id)
	}
}

// end says whether the peer took the call, and whether it is an Inkwell.
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
