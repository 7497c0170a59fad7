// Package plain reads what the original Scribe leaves: the buffer files in which it kept what it could not send, and
// the numbers in the names of its files. How it writes files is in package series.
package plain
