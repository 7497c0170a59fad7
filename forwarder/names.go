package forwarder

import (
	"cmp"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// bases calls f with every name of which name could be a rotated file, the longest first, until f returns false:
//
//	app.log.1  app.log-20261123  app.log_old  → app.log …      what follows a dot, a dash or an underscore
//	app-20261123.log  app.1.log  app1.log     → app.log        digits before the extension
//	@400000006929a1b2075bcd15.s  .u           → current        multilog, svlogd, s6-log
func bases(name string, f func(base string) bool) {
	for i := len(name) - 2; i > 0; i-- {
		if isSeparator(name[i]) && !f(name[:i]) {
			return
		}
	}
	ext := filepath.Ext(name)
	stem := strings.TrimSuffix(name, ext)
	if ext == "" || stem == "" {
		return
	}
	if isTAI64N(stem) {
		f("current")
		return
	}
	bare := strings.TrimRight(stem, "0123456789")
	if bare != stem && bare != "" && !isSeparator(bare[len(bare)-1]) && !f(bare+ext) {
		return
	}
	for i := len(stem) - 2; i > 0; i-- {
		if !isStamp(stem[i+1:]) {
			return
		}
		if isSeparator(stem[i]) && !f(stem[:i]+ext) {
			return
		}
	}
}

func isSeparator(c byte) bool { return c == '.' || c == '-' || c == '_' }

// isStamp says whether s could be the date or number in a rotated file's name.
func isStamp(s string) bool {
	return strings.Trim(s, "0123456789-_.:T") == "" && strings.ContainsAny(s, "0123456789")
}

// isTAI64N says whether s is a time as multilog writes it.
func isTAI64N(s string) bool {
	return len(s) == 25 && s[0] == '@' && strings.Trim(s[1:], "0123456789abcdef") == ""
}

// isBackupName says whether the name is that of an editor's backup.
func isBackupName(name string) bool {
	return strings.HasSuffix(name, "~") || strings.HasSuffix(name, ".bak") || strings.HasSuffix(name, ".orig")
}

var compressedSuffixes = []string{".gz", ".zst", ".bz2", ".xz", ".lz4", ".zip", ".Z"}

func isCompressedName(name string) bool {
	_, is := uncompressedName(name)
	return is
}

// uncompressedName returns the name that a compressed file had before, and whether the name is that of a compressed
// one.
func uncompressedName(name string) (plain string, is bool) {
	for _, suffix := range compressedSuffixes {
		if plain, is = strings.CutSuffix(name, suffix); is {
			return plain, true
		}
	}
	return name, false
}

// byAge orders arrivals: rotated files first, the oldest first, then the files that inputs want.
func byAge(a, b *arrival) int {
	if (a.home != nil) != (b.home != nil) {
		if a.home != nil {
			return 1
		}
		return -1
	}
	return compareAge(a.path, a.stat.mtime, b.path, b.stat.mtime)
}

// compareAge orders generations, oldest first, by their modification times. If those are equal, app.log.2 is older than
// app.log.1; dates and longer numbers are compared as text. Some programs give a compressed file the time of its
// original in seconds.
func compareAge(a string, aTime time.Time, b string, bTime time.Time) int {
	if isCompressedName(a) && aTime.Nanosecond() == 0 || isCompressedName(b) && bTime.Nanosecond() == 0 {
		aTime, bTime = aTime.Truncate(time.Second), bTime.Truncate(time.Second)
	}
	if c := aTime.Compare(bTime); c != 0 {
		return c
	}
	x, xok := rotationNumber(a)
	y, yok := rotationNumber(b)
	if xok && yok {
		return cmp.Compare(y, x)
	}
	return cmp.Compare(a, b)
}

func rotationNumber(path string) (int, bool) {
	plain, _ := uncompressedName(path)
	digits := strings.TrimPrefix(filepath.Ext(plain), ".")
	if len(digits) == 0 || len(digits) > 3 { // longer numbers count up
		return 0, false
	}
	n, err := strconv.Atoi(digits)
	return n, err == nil
}
