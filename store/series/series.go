// Package series writes the files of one category at one destination, behind a checkpoint.
//
//	Compressed   blocks ─► rotate.Series: gzip or zstd, as inkwell collect writes them
//	Plain        the category files of the original Scribe, byte for byte
//
//	Append ─► write ─► full, or its time is over? ─► the next file is begun as .NAME.open
//	Mark ─► fsync, state, what was added ─► saved in books and checkpoint ─► Publish: .NAME.open → NAME
//
// Names of plain files, and what is in them:
//
//	NAME = BASE_NNNNN             Period never
//	       BASE-YYYY-MM-DD_NNNNN  otherwise, the local date when the file was begun
//	link = BASE_current → NAME
//	message in a file  [zero bytes up to a chunk] [category "\n"] message ["\n"]
//	     in a thrift file  [zero bytes up to a chunk] u32 little-endian length, message
//
// Source: the behaviour of Scribe 2.2, as it was seen and as its FileStore was read. Rotation of plain files keeps the
// original's rules: the size is looked at behind each write, and a write is made when the gathered bytes exceed
// MaxWrite, or at the end of a batch, so that a file is larger than MaxSize by at most that; the clock is looked at by
// Check.
//
// Invariants: a byte that no saved state covers is either behind the state's end of the open file, from where opening
// the series cuts it off, or in a hidden file that was begun after the state was saved, which is removed then: it will
// be appended again. So nothing is in the files twice or missing, however the process ends. Files that were closed
// never change. Before anything is written or marked, the directory and the files that are not published are looked for
// from the top: what somebody takes away ends the series (store.ErrBroken), and it goes on from the last states with
// other files.
//
// Limitations: a series is the only writer of its files.
package series
