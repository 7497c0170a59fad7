// Package killpoint names the steps of writing between which a crash leaves different states on disk. Tests kill the
// process there.
//
//	Reach("spool.commit.written") ── without the build tag killpoints: nothing, inlined away
//	                              └─ with it: SIGKILL to the own process, if INKWELL_KILL=spool.commit.written:7 and this is the 7th arrival
//
// A release contains none of this: it reads no environment variable and takes no branch. Builds with the tag also take
// sizes and intervals from the environment (Tuned), so that events that are rare in production happen constantly, and a
// clock that can jump (Clock).
//
// Invariant: Points lists exactly the names that are used, and the tests (test/killpoints_test.go) kill the process
// at every one of them.
//
// Limitations: for the disk, SIGKILL stops a process between two system calls. What a power cut does to bytes that were
// not synced is tested with fault injection (internal/faultfs), not with these points.
package killpoint

// The environment variables of a build with kill points.
const (
	KillVariable = "INKWELL_KILL" // NAME:N: die at the N-th arrival at NAME
	// a file with a duration: how far the clock is off that output files are named and ended by
	ClockVariable = "INKWELL_CLOCK"

	// Those of Tuned: intervals are in nanoseconds.
	SegmentBytes = "INKWELL_SEGMENT_BYTES" // size of the segments of a spool or journal
	BlockWait    = "INKWELL_BLOCK_WAIT"    // until entries of a category become a block
	CutEvery     = "INKWELL_CUT_EVERY"     // between two checkpoints
	MoveBatch    = "INKWELL_MOVE_BATCH"    // bytes of a journal that are moved at once
)

// Point is the name of a place where the process can be killed.
type Point struct {
	Name string // package.step.moment
	What string // has happened when the point is reached, and what has not
	Most int    // arrivals that a short run has for sure: the latest one to die at
}

// Points lists every point, in the order in which an entry passes them.
var Points = []Point{
	{"rpc.call.sent", "a sender's call is on its way, its answer is not read", 12},
	{"spool.commit.begun", "a group is gathered, nothing of it is written", 150},
	{"spool.commit.written", "a group is written, not synced", 150},
	{"spool.commit.synced", "a group is durable, its callers do not know", 150},
	{"spool.commit.released", "the callers of a group know that it is durable", 150},
	{"spool.segment.written", "a new segment has its header, under its temporary or spare name, not synced", 6},
	{"spool.segment.synced", "a new segment is synced, not renamed", 6},
	{"spool.segment.renamed", "a new segment has its name, which is not durable", 6},
	{"spool.segment.named", "a new segment's name is durable, it holds no group", 6},
	{"rpc.answer.ready", "entries are durable, the answer is not written", 150},
	{"rpc.answer.sent", "the answer is written", 150},
	{"outlet.taken", "a store has a batch of its outlet, no mark says so", 20},
	{"rotate.file.created", "a new output file is there, hidden and empty", 6},
	{"rotate.block.written", "a block is written behind the mark of the last checkpoint", 40},
	{"rotate.seal.written", "the end of an output file is written, not synced", 6},
	{"rotate.sync.written", "a checkpoint is due, the open output file is not synced", 6},
	{"outlet.marked", "a store has said how it stands, not all of it is synced, no checkpoint says so", 10},
	{"outlet.synced", "the files of several stores are durable, no checkpoint says so", 2},
	{"checkpoint.gathered", "how all outlets stand is gathered, nothing of it is saved", 8},
	{"lines.written", "numbers or contents are appended to their file, not synced", 12},
	{"lines.synced", "numbers or contents are durable", 12},
	{"checkpoint.books.saved", "what the files hold is durable, the numbers that they have are not", 8},
	{"checkpoint.streams.saved", "the numbers are durable, the checkpoint is not written", 8},
	{"replace.written", "a state file's successor is written, not synced", 8},
	{"replace.synced", "a state file's successor is synced, not renamed", 8},
	{"replace.renamed", "a state file was replaced, its name is not durable", 8},
	{"checkpoint.saved", "the checkpoint is saved, nothing is published", 8},
	{"rotate.publish.renamed", "a finished file has its final name, which is not durable", 6},
	{"depot.noted", "it is durable that a finished file is to go to the depot, its manifest does not list it", 6},
	{"manifest.written", "a manifest has its new lines, not synced", 8},
	{"checkpoint.books.published", "manifests have what is finished, no store knows of the checkpoint", 8},
	{"spool.ack.begun", "an acknowledgement is to be written", 8},
	{"spool.ack.written", "an acknowledgement is written, its segments are still there", 8},
	{"spool.retire.synced", "the acknowledgement is durable, the segments below are still there", 5},
	{"spool.retire.kept", "a segment was renamed to be used again", 5},
	{"spool.retire.unlinked", "a segment was removed, which is not durable", 5},
	{"spool.retire.done", "the names of what was retired are durable", 5},
	{"checkpoint.acked", "the journal is acknowledged up to the checkpoint, the stores have not published", 8},
	{"depot.put", "the depot has a file, its manifest is not there", 6},
	{"depot.manifest", "the depot has a file and its manifest, the note says that it is to go there", 6},

	{"plain.written", "bytes are in a plain file, not synced", 60},
	{"plain.begun", "a plain file is full and its successor is there, hidden and empty", 10},
	{"plain.rotated.synced", "a plain file that was rotated away is durable, the open one is not", 10},
	{"plain.shown", "a plain file has its name, which is not durable", 10},
	{"plain.linked", "the link points to the newest plain file, not durably", 10},
	{"plain.told", "a rotation is in scribe_stats", 10},

	{"buffer.direct", "the next hop has a batch that was never in the spool, its owner does not know", 8},
	{"replay.delivered", "the next hop has what was in the spool, the spool still holds it", 5},
	{"replay.acked", "the spool knows that the next hop has it", 5},
	{"forward.delivered", "the hop has lines of a file, the position stands before them", 12},
	{"forward.positions.written", "the position stands behind lines that the hop has, not synced", 12},
	{"forward.positions.synced", "positions survive a power cut", 1},

	{"spool.recover.scanned", "after a death: the last segment is looked at and cut, nothing else is done", 1},
	{"spool.recover.done", "after a death: the spool is in order", 1},
	{"rotate.recover.cut", "after a death: an output file was cut back to its mark", 1},
	{"rotate.recover.removed", "after a death: a file that will be written again was removed", 1},
	{"plain.recover.cut", "after a death: a plain file was cut back to its mark", 1},
	{"plain.recover.shown", "after a death: files that the state names have their names", 1},

	{"move.recorded", "it is durable that a journal is being moved, nothing is", 1},
	{"move.sent", "a topic has entries of a journal, which still holds them", 3},
	{"move.settled", "a journal has nothing left to deliver, it is not acknowledged", 1},
	{"move.acked", "a journal that was moved to a topic is empty, it still counts as being moved", 1},
	{"move.marked", "a partition is being moved, nothing of it is", 2},
	{"move.taken", "a journal has entries of a partition, which still holds them", 3},
	{"move.committed", "a partition was moved, the topic still counts as being moved", 1},
}
