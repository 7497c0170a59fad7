// Package hop sends entries to the next hop, an inkwell or a scribed:
//
//	Buffer ── a spool on disk for the time when the next hop is away             the forwarder's, and the original's buffer store
//	   └─► Quarantine ── what it does not take does not hold up what it takes    behind a journal it stands alone
//	          └─► Network ── one connection, one call in progress, as large as it takes     or a Dynamic: a service says where
//
// What a store took of a batch is in its error (store.PartialError), so that nothing is offered twice that was taken: a
// Network finds out how much a peer takes (capacity) and which entry it does not; a Quarantine decides what becomes of
// that entry; a Buffer acknowledges its spool as far as it got.
//
// Delivery is at least once: a call whose answer got lost is sent again. Spans (proto.Span) tell an Inkwell what it has
// already. Nothing but Log is called on a peer, unless its answers have shown that it is an Inkwell.
package hop
