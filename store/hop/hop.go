// Package hop sends entries to the next hop, an inkwell or a scribed:
//
//	Buffer            a spool on disk for the time while the next hop is unreachable: of the forwarder, and of the
//	   │              buffer stores of the original
//	   └─► Quarantine   keeps an entry that the peer does not take from blocking others; behind a journal it is used
//	          │         without a Buffer
//	          └─► Network   one connection with one call in progress, as large as the peer takes; or a Dynamic, which
//	                        asks a service for the address
//
// A store that has taken a part of a batch says so in its error (store.PartialError), so that no entry is offered twice
// that was taken. A Network finds out how much a peer takes (capacity) and which entry it refuses, a Quarantine decides
// what happens to that entry, and a Buffer acknowledges the delivered part of its spool.
//
// Delivery is at least once: a call whose answer was lost is sent again. By the spans (proto.Span), an Inkwell
// recognizes entries that it has already. Only Log is called on a peer until its answers have shown that it is an
// Inkwell.
package hop
