// Package hop sends entries to the next hop, an inkwell or a scribed:
//
//	Buffer      a spool on disk for the time when the next hop is away          the forwarder's, and the original's buffer store
//	Quarantine  puts aside what the next hop refuses for good                   where a journal stands before the network
//	Network     merges batches into calls, and has one call in progress
//	Dynamic     a Network whose addresses a service says
//	Pool        Networks that share a connection
//
// Delivery is at least once: a call whose answer got lost is sent again. Spans (proto.Span) tell an Inkwell what it has already.
package hop
