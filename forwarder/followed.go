package forwarder

import (
	"errors"
	"io/fs"
	"log/slog"
	"time"

	"inkwell/internal/faultfs"
)

const (
	followedName = "followed" // in the state directory
	// settling is the time between two notes, and before the first one: after that it is taken for certain that
	// everything that was there at the start was looked at, and that its positions were saved.
	settling = 10 * time.Minute
)

// followed is the file that says until when files were followed, as a time in RFC 3339. It may be earlier than the true
// one, which does no harm. What was written to a file later may be unread, even if the file is an archive by now: see
// findNeverRead.
//
// Not safe for concurrent use.
type followed struct {
	dir    *faultfs.Dir
	log    *slog.Logger
	began  time.Time // when this run did
	before time.Time // what an earlier run noted last; zero = there was none
	noted  time.Time // when this run noted something last, or began
}

// openFollowed reads the file. At the very first start, and if it cannot be read, it is written, and archives are left
// alone.
func openFollowed(dir *faultfs.Dir, now time.Time, log *slog.Logger) *followed {
	f := &followed{dir: dir, log: log, began: now, noted: now}
	text, err := dir.ReadFile(followedName)
	if err == nil {
		f.before, err = time.Parse(time.RFC3339Nano, string(text))
	}
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			log.Warn("cannot read until when files were followed; files that were compressed since are not read",
				"err", err)
		}
		f.write(now)
	}
	return f
}

// note notes that everything was followed until now, if that is certain.
func (f *followed) note(now time.Time) {
	if now.Sub(f.noted) >= settling {
		f.write(now)
	}
}

// finish notes, at the end of a run in which everything was read and delivered, that this is so for what was there at
// its start.
func (f *followed) finish() { f.write(f.began) }

func (f *followed) write(t time.Time) {
	f.noted = time.Now()
	// the next note tries again
	if err := f.dir.WriteFile(followedName, t.AppendFormat(nil, time.RFC3339Nano)); err != nil {
		f.log.Debug("cannot note until when files were followed", "err", err)
	}
}
