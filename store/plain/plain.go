// Package plain reads what the original Scribe leaves behind: the buffer files with entries that it could not send, and
// the numbers in its file names. Package series writes such files.
package plain
