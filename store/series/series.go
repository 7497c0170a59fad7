// Package series writes the files of one category at one destination, behind a checkpoint.
//
//	Compressed   blocks ─► rotate.Series: gzip or zstd, as inkwell collect writes them
//	Plain        the category files of the original Scribe, byte for byte
//
//	Append ─► write ─► full, or its time is over? ─► the next file is begun as .NAME.open
//	Mark ─► fsync, state, what was added ─► saved in books and checkpoint ─► Publish: .NAME.open → NAME
//
// Names and contents of plain files:
//
//	NAME = BASE_NNNNN             Period never
//	       BASE-YYYY-MM-DD_NNNNN  otherwise, the local date when the file was begun
//	link = BASE_current → NAME
//	message in a file        [zero bytes up to a chunk] [category "\n"] message ["\n"]
//	message in a thriftfile  [zero bytes up to a chunk] u32 little-endian length, message
//
// Source: the behaviour and the code (FileStore) of Scribe 2.2. Plain files are rotated by the original's rules. The
// size is checked after each write, and the gathered bytes are written when they exceed MaxWrite and at the end of each
// batch. So a file is larger than MaxSize by no more than one write. The time is checked by Check.
//
// Invariants: bytes that no saved state covers are either in the open file, behind the length in the state, or in a
// hidden file that was begun after the state was saved. Opening the series cuts off the former and removes the latter,
// and the caller appends them again. So nothing is missing or in the files twice, however the process ends. A file that
// was closed never changes. Before anything is written or marked, the paths of the directory and of the unpublished
// files are checked: if somebody has removed or replaced one of them, the series is broken (store.ErrBroken), and is
// opened again from the last states with other files.
//
// Limitations: a series is the only writer of its files.
package series
