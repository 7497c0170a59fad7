package rotate

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/internal/killpoint"
)

// LostError says that a file which State calls open is not as it was left, so that it could not be continued.
type LostError struct {
	File string // path of the file under its final name
	Want int64  // bytes it had when the State was saved
	Have int64  // bytes it has; -1: it is gone; with Want or more it is another file
	Kept string // path where the bytes are now, "" if there are none
}

func (e *LostError) Error() string {
	if e.Have < 0 {
		return fmt.Sprintf("output file %s is gone: %d bytes of it had been written (if it was moved away, give it "+
			"another name of its series; the series goes on with a new file)",
			e.File, e.Want)
	}
	what := fmt.Sprintf("has %d bytes, %d had been written", e.Have, e.Want)
	if e.Have >= e.Want {
		what = fmt.Sprintf("is not the one that was written: the last of its %d bytes are others", e.Want)
	}
	return fmt.Sprintf("output file %s %s: was it restored from a backup, or is the disk damaged? (what is left is "+
		"in %s and can be read with inkwell cat or zcat; the series goes on with a new file)",
		e.File, what, e.Kept)
}

// Bytes is how much of what had been written is lost.
func (e *LostError) Bytes() int64 {
	if e.Have >= e.Want {
		return e.Want
	}
	return e.Want - max(e.Have, 0)
}

// Open opens the series in dir, which it takes over: Close closes it, and so does Open when it fails.
//
// A nil st means that nothing is known of the series: open files that are found are set aside as .NAME.orphan, and
// logged. Otherwise st is the State that was saved last: what it lists as sealed is published, the open file is cut
// back to its mark to be continued (or sealed, if the codec is another one now), and any open file that was begun later
// is removed, because what was in it will be appended again. In the directory of which st speaks that is every other
// open file, whatever its name: a clock that went back gives older names. In another directory, as in one that was
// moved away and back, a file with an older name than the newest that st knows is set aside.
//
// When the file that st calls open is gone or too short, Open succeeds all the same, logs an error, sets aside what is
// left, and Lost says so; the next Append begins a new file.
func Open(dir *faultfs.Dir, o Options, st *State) (*Series, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Series{dir: dir, identity: dir.Identity(), o: o}
	if err := s.recover(st); err != nil {
		// The cause is what the caller has to know; Close can only fail in its wake.
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

// Lost says what Open could not continue, or nil.
func (s *Series) Lost() *LostError { return s.lost }

func (s *Series) recover(st *State) error {
	all, err := scan(s.dir, s.o.Base)
	if err != nil {
		return err
	}
	hiddenFiles := make(map[string]bool) // by final name; those left at the end are strays
	for _, f := range all {
		if f.kind == open && !f.odd {
			hiddenFiles[f.name] = true
		}
	}
	known := State{}
	if st != nil {
		known = *st
		s.begunBefore(known)
	}
	for _, name := range known.Sealed {
		if err := s.publishKnown(name, hiddenFiles[name]); err != nil {
			return err
		}
		delete(hiddenFiles, name)
	}
	if m := known.Open; m != nil {
		if err := s.resume(*m, hiddenFiles[m.File]); err != nil {
			return err
		}
		delete(hiddenFiles, m.File)
	}
	for _, f := range all {
		if f.kind != open || f.odd || !hiddenFiles[f.name] {
			continue
		}
		same := known.Dir != "" && known.Dir == s.identity
		if st != nil && (same || s.newest == nil || f.compare(*s.newest) > 0) { // begun after the state was saved
			if err := s.dir.Remove(Hidden(f.name)); err != nil {
				return fmt.Errorf("remove %s, which will be written again: %w", s.path(Hidden(f.name)), err)
			}
			killpoint.Reach("rotate.recover.removed")
			s.renamed = true
			continue
		}
		if err := s.setAside(f.name); err != nil {
			return err
		}
		s.o.Logger.Warn("an open file that nothing is known of was set aside", "file", s.path(Orphan(f.name)))
	}
	return s.syncNames(nil)
}

// begunBefore learns from a State which files were begun before it was saved.
func (s *Series) begunBefore(st State) {
	s.newest, s.newestName = known(s.o.Base, st.Newest)
	if s.newest == nil && st.Open != nil {
		s.newest, s.newestName = known(s.o.Base, st.Open.File)
	}
}

// publishKnown publishes a file that a State lists as sealed.
func (s *Series) publishKnown(name string, unpublished bool) error {
	if _, _, ok := parseName(s.o.Base, name); !ok {
		return fmt.Errorf("publish %s: that is no name of this series (is the checkpoint of another directory?)",
			s.path(name))
	}
	if unpublished {
		return s.publish(name)
	}
	s.renamed = true // the fsync of the directories may be what was missing
	at, _, err := FindPublished(s.dir, name)
	if errors.Is(err, fs.ErrNotExist) {
		s.o.Logger.Warn("a file that was finished is not there: removed or moved away?", "file", s.path(name))
		return nil
	}
	if err == nil && at != name {
		_, err = s.open(path.Dir(at))
	}
	return err
}

// resume continues the open file.
func (s *Series) resume(m Mark, unpublished bool) error {
	_, codec, ok := parseName(s.o.Base, m.File)
	if !ok {
		return fmt.Errorf("continue %s: that is no name of this series (is the checkpoint of another directory?)",
			s.path(m.File))
	}
	if m.Bytes < 0 || m.Raw < 0 || m.Blocks < 0 || codec == Zstd && m.Blocks > m.Bytes/minFrame {
		return fmt.Errorf("continue %s: %d blocks in %d bytes (%d raw) cannot be (is the checkpoint damaged? move it "+
			"away)",
			s.path(m.File), m.Blocks, m.Bytes, m.Raw)
	}
	name := Hidden(m.File)
	if !unpublished {
		name = m.File
		if codec != None { // what is published is not changed
			return s.giveUp(m, -1, false)
		}
	}
	f, err := s.dir.OpenFile(name, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return s.giveUp(m, -1, false)
	}
	if err != nil {
		return fmt.Errorf("continue %s: %w", s.path(name), err)
	}
	s.cur = &file{Mark: m, codec: codec, f: f, seek: s.o.Seek, visible: !unpublished, dirty: true, ragged: true}
	s.renamed = s.renamed || s.cur.visible // the fsync of the directory may be what was missing
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("continue %s: %w", s.path(name), err)
	}
	same := info.Size() >= m.Bytes
	if same && m.Tail != 0 {
		sum, err := TailSum(f, m.Bytes)
		if err != nil {
			return fmt.Errorf("continue %s: %w", s.path(name), err)
		}
		same = sum == m.Tail
	}
	if !same {
		s.cur = nil
		if err := f.Close(); err != nil {
			return fmt.Errorf("close %s: %w", s.path(name), err)
		}
		return s.giveUp(m, info.Size(), unpublished)
	}
	if err := s.cur.trim(); err != nil {
		return fmt.Errorf("continue %s: %w", s.path(name), err)
	}
	killpoint.Reach("rotate.recover.cut")
	s.cur.until = s.boundary(time.Unix(m.Opened, 0).In(s.now().Location()))
	if codec != s.o.Codec {
		return s.Seal()
	}
	return nil
}

// giveUp notes that the open file cannot be continued and sets aside what is left of it. A plain file that is published
// stays where it is: its bytes are good as far as they go.
func (s *Series) giveUp(m Mark, have int64, unpublished bool) error {
	s.lost = &LostError{File: s.path(m.File), Want: m.Bytes, Have: have}
	switch {
	case have >= 0 && unpublished:
		if err := s.setAside(m.File); err != nil {
			return err
		}
		s.lost.Kept = s.path(Orphan(m.File))
	case have >= 0:
		s.lost.Kept = s.lost.File
	}
	s.o.Logger.Error("the open file cannot be continued", "error", s.lost)
	return nil
}

// setAside renames an open file so that it is neither written, published nor removed.
func (s *Series) setAside(name string) error {
	taken, err := exists(s.dir, Orphan(name))
	if err == nil && taken {
		err = fmt.Errorf("there is %s already (move it away)", Orphan(name))
	}
	if err == nil {
		err = s.dir.Rename(Hidden(name), Orphan(name))
	}
	if err != nil {
		return fmt.Errorf("set aside %s: %w", s.path(Hidden(name)), err)
	}
	s.renamed = true
	return nil
}
