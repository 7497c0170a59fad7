// Package rotate writes one series of output files: it names them, bounds their size, compresses what goes into them
// block by block, seals them, publishes them under their final names and continues them after a crash. What is in them
// is opaque bytes.
//
//	Append ── block ──► .NAME.open ── Seal: end of the format ──► sealed ── Publish: rename, fsync of the directory ──► NAME
//	                        └── Sync: fsync, State ──► saved by the caller in its checkpoint ──► Publish · Open after a crash
//
//	NAME = BASE-YYYY-MM-DD_NNNNN[.gz|.zst]      without the date when the period is never
//	       BASE-YYYY-MM-DDTHH_NNNNN[.gz|.zst]   when the period is shorter than a day
//
// The date is the local one at which the file was begun, the number the largest that any file of that date has, plus
// one. In the layout of Hive, which is for compressed files, a file is published in its partition, dt=YYYY-MM-DD or
// dt=YYYY-MM-DD/hr=HH in the directory of the series, as its name says; until then it is in that directory. A crash
// leaves State and files; Open cuts the file that State names back to its mark, and what came behind the mark has to be
// appended again.
//
// Formats (docs/files.md has them byte by byte):
//   - gzip: one member. A block is one chunk, deflated on its own and ended by a sync flush, so it begins and ends on a
//     byte, refers to nothing before it and can be cut off; the end is an empty final block, the CRC-32 and the length.
//   - zstd: a frame for each MiB of a chunk, each with content size and checksum; with Options.Seek the end is a seek
//     table in a skippable frame.
//   - none: the bytes. The file takes its final name at the first Publish and is appended to under it.
//
// Invariants: a file that has its final name never changes, but for none, which only grows, or is cut back and grows
// again by the same bytes after a crash. No existing file is replaced, and a Series uses no name twice. Every file
// holds at least one block. MaxSize bounds the bytes on disk with everything the format adds, and is passed only by a
// single chunk that is too large for any file, which gets one of its own.
//
// Limitations: a Series assumes that it is alone in writing to its series; the caller holds the lock that makes it so.
package rotate

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/internal/killpoint"
)

// Options say how a series is written. The zero value but for Base: gzip, daily at 00:00, no size limit.
type Options struct {
	Base    string // the names begin with it; a safe file name
	Codec   Codec  // of files to come; one that is being continued keeps its own
	Period  Period // after which a new file is begun
	At      Clock  // the time of day when days begin, and the minute when hours do
	MaxSize int64  // bytes of a file on disk; 0 = no limit
	Seek    bool   // a zstd file ends with a seek table, which some readers (Trino) stumble over
	Hive    bool   // finished files go to the partitions that their names say; not for none
	Link    bool   // keep a link BASE_current to the newest published file; for none only
	// final name of the newest file that there was: the numbers of its date go on behind it; "" or nil = not known
	After  func() string
	Now    func() time.Time // nil = time.Now; its location is that of the dates
	Logger *slog.Logger     // nil = discard

	Published func(name string) // called when a file has got its final name; nil = nobody wants to know
}

// Mark is a place in the open file up to which it is durable. It is stored in checkpoints as JSON.
type Mark struct {
	File   string `json:"file"`          // final name
	Bytes  int64  `json:"bytes"`         // on disk
	Raw    int64  `json:"raw"`           // bytes that were appended
	CRC    uint32 `json:"crc,omitempty"` // CRC-32 of those, gzip only
	Blocks int64  `json:"blocks"`        // gzip: chunks, zstd: frames, none: chunks
	// CRC-32C of the last bytes before the mark: is the file still the one that was written? 0 = not known
	Tail   uint32 `json:"tail,omitempty"`
	Opened int64  `json:"opened"` // when the file was begun, in Unix seconds: decides when the clock ends it
}

// State is what a series has on disk that has to be known after a crash. It is stored in checkpoints as JSON.
type State struct {
	Open   *Mark    `json:"open,omitempty"`   // nil: no file is open
	Sealed []string `json:"sealed,omitempty"` // final names of finished files that may not be published
	// final name of the file that was begun last, also when it is gone; "" = not known
	Newest string `json:"newest,omitempty"`
	Dir    string `json:"dir,omitempty"` // which directory it was, as faultfs.Dir.Identity tells; "" = not known
}

// Series is one series of files. It is not safe for concurrent use.
type Series struct {
	dir        *faultfs.Dir
	identity   string // of dir
	o          Options
	cur        *file          // nil: none is open
	sealed     []sealed       // finished, most under their hidden names
	newest     *ident         // of the last file that was begun, as far as is known; nil: none yet
	newestName string         // its final name
	renamed    bool           // names in dir changed since its last fsync
	partitions []*faultfs.Dir // in which names changed; they are closed after the next fsync of theirs
	linked     string         // where the link points to, "" if that is not known
	noLink     bool           // the link could not be made the last time
	lost       *LostError
	placed     Placed // of the last block
	broken     error  // an fsync failed: nothing more is believed of the files
}

// ErrBroken is in the error of every call after an fsync or a close failed. What the kernel kept of the bytes since the
// last Sync is not known then. The cure: Close, Open again with the State that was saved last, and append again what
// came after it.
var ErrBroken = errors.New("what was written since the last checkpoint may not be on disk; open it again from there")

// Append adds chunk to the open file as one block, compressed by enc, which has to be of the series' codec. Before, it
// begins a new file when the clock asks for that or when MaxSize would be passed. It does not retain chunk. After an
// error the file is as it was before, and the same chunk may be offered again, unless the error is ErrBroken. The bytes
// are durable after Sync.
func (s *Series) Append(enc *Encoder, chunk []byte) error {
	if s.broken != nil || len(chunk) == 0 {
		return s.broken
	}
	b, err := enc.encode(chunk)
	if err != nil {
		return fmt.Errorf("compress for %s: %w", s.path(s.o.Base), err)
	}
	return s.Write(b)
}

// Write is Append for a chunk that was compressed before.
func (s *Series) Write(b Block) error {
	if s.broken != nil || b.raw == 0 {
		return s.broken
	}
	if b.codec != s.o.Codec {
		return fmt.Errorf("append to %s: the encoder is for %v, the series for %v", s.path(s.o.Base), b.codec,
			s.o.Codec)
	}
	now := s.now()
	if s.cur != nil && (s.due(now) || s.o.MaxSize > 0 && s.cur.sizeWith(b) > s.o.MaxSize) {
		if err := s.Seal(); err != nil {
			return err
		}
	}
	begun := s.cur == nil
	if begun {
		if err := s.begin(now); err != nil {
			return err
		}
	}
	if err := s.cur.append(b); err != nil {
		err = fmt.Errorf("write to %s: %w", s.path(s.cur.File), err)
		if begun {
			err = errors.Join(err, s.abandon())
		}
		return err
	}
	s.placed = Placed{Offset: s.cur.Bytes - int64(len(b.data)), Length: int64(len(b.data)), Sum: b.crc}
	killpoint.Reach("rotate.block.written")
	if begun {
		s.newest, s.newestName = known(s.o.Base, s.cur.File)
	}
	return nil
}

// Tick seals the open file if the clock asks for a new one. Errors are those of Seal.
func (s *Series) Tick() error {
	if s.broken != nil || s.cur == nil || !s.due(s.now()) {
		return s.broken
	}
	return s.Seal()
}

// Sync makes everything durable that was appended, or leaves that to later, and says how the series stands then. The
// caller saves the State in its checkpoint and then calls Publish with it. After an error the series is broken
// (ErrBroken): an fsync that failed is not tried again, because the kernel may have dropped the bytes and would report
// success. Whoever syncs what is in later closes the series after an error. Everything up to the State before is still
// durable.
func (s *Series) Sync(later *faultfs.Later) (State, error) {
	if s.broken != nil {
		return State{}, s.broken
	}
	killpoint.Reach("rotate.sync.written")
	for i := range s.sealed {
		if err := s.sealed[i].sync(later); err != nil {
			return State{}, s.breakdown("sync", s.sealed[i].name, err)
		}
	}
	s.forgetVisible()
	if s.cur != nil && s.cur.dirty {
		if err := s.cur.sync(later); err != nil {
			return State{}, s.breakdown("sync", s.cur.File, err)
		}
	}
	if err := s.syncNames(later); err != nil {
		return State{}, err
	}
	if err := s.standing(); err != nil {
		return State{}, s.breakdown("sync", s.o.Base, err)
	}
	st := State{Newest: s.newestName, Dir: s.identity}
	for _, f := range s.sealed {
		if !f.visible {
			st.Sealed = append(st.Sealed, f.name)
		}
	}
	if s.cur != nil {
		m := s.cur.Mark
		st.Open = &m
	}
	return st, nil
}

// Publish gives the sealed files that st lists their final names, durably or as later sees to it, and for none also the
// open one; what was sealed after st stays hidden. An existing file is never replaced: that is an error. After an error
// it may be called again, unless it is ErrBroken.
func (s *Series) Publish(st State, later *faultfs.Later) error {
	if s.broken != nil {
		return s.broken
	}
	for i := range s.sealed {
		if f := &s.sealed[i]; f.synced {
			if err := f.close(); err != nil {
				return s.breakdown("publish", f.name, err)
			}
		}
	}
	s.forgetVisible()
	if err := s.releasePartitions(); err != nil {
		return s.breakdown("release partitions of", s.o.Base, err)
	}
	newest := ""
	for _, name := range st.Sealed {
		i := slices.IndexFunc(s.sealed, func(f sealed) bool { return f.name == name })
		if i < 0 {
			continue // by an earlier call
		}
		if err := s.publish(name); err != nil {
			return err
		}
		s.sealed = slices.Delete(s.sealed, i, i+1)
		newest = name
	}
	if w := s.cur; w != nil && w.codec == None && st.Open != nil && st.Open.File == w.File {
		if !w.visible {
			if err := s.publish(w.File); err != nil {
				return err
			}
			w.visible = true
		}
		newest = w.File
	}
	s.link(newest)
	return s.syncNames(later)
}

// Current is the final name of the open file, "" if none is.
func (s *Series) Current() string {
	if s.cur == nil {
		return ""
	}
	return s.cur.File
}

// Raw is how many bytes were appended to the open file.
func (s *Series) Raw() int64 {
	if s.cur == nil {
		return 0
	}
	return s.cur.Raw
}

// Placed is where a block stands in the open file.
type Placed struct {
	Offset, Length int64
	Sum            uint32 // CRC-32 of the chunk; gzip only, else 0
}

// Newest is where the block stands that was written last.
func (s *Series) Newest() Placed { return s.placed }

// Idle says whether there is neither an open file nor one that has to be published.
func (s *Series) Idle() bool { return s.cur == nil && len(s.sealed) == 0 }

// Close releases the directory and the open file, which is neither sealed nor synced: Open continues it from the last
// State.
func (s *Series) Close() error {
	var err error
	if s.cur != nil {
		err = s.cur.f.Close()
		s.cur = nil
	}
	for i := range s.sealed {
		err = errors.Join(err, s.sealed[i].close())
	}
	if s.broken == nil {
		s.broken = errors.New("the series is closed")
	}
	return errors.Join(err, s.closePartitions(syncAndClose), s.dir.Close())
}

// begin makes a new hidden file.
func (s *Series) begin(now time.Time) error {
	id, err := s.nextIdent(now)
	if err != nil {
		return err
	}
	name := id.name(s.o.Base, s.o.Codec)
	w, err := create(s.dir, Mark{File: name, Opened: now.Unix()}, s.o.Codec)
	if err != nil {
		return fmt.Errorf("begin %s: %w", s.path(name), err)
	}
	killpoint.Reach("rotate.file.created")
	w.until, w.seek = s.boundary(now), s.o.Seek
	s.cur, s.renamed = w, true
	return nil
}

// abandon removes the open file, into which nothing could be written.
func (s *Series) abandon() error {
	w := s.cur
	s.cur = nil
	return errors.Join(w.f.Close(), s.dir.Remove(Hidden(w.File)))
}

// due says whether the clock asks for a new file. A clock that was set back behind the beginning of the file ends it no
// later than it would end one that was begun now.
func (s *Series) due(now time.Time) bool {
	w := s.cur
	if w.until.IsZero() {
		return false
	}
	if now.Unix() < w.Opened {
		w.Opened = now.Unix()
		w.until = s.boundary(now)
	}
	return !now.Before(w.until)
}

func (s *Series) boundary(t time.Time) time.Time { return s.o.Period.Next(t, s.o.At) }

// publish renames a hidden file, in the layout of Hive into its partition.
func (s *Series) publish(name string) error {
	at, _, err := FindPublished(s.dir, name)
	switch {
	case err == nil:
		return fmt.Errorf("publish %s: there is a file of that name that was not written here (move it away; what "+
			"was to be published waits in %s)", s.path(at), Hidden(name))
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("publish %s: %w", s.path(name), err)
	}
	to, err := s.place(name)
	if err == nil {
		err = s.dir.Move(Hidden(name), to, name)
	}
	if err != nil {
		return fmt.Errorf("publish %s: %w", s.path(name), err)
	}
	killpoint.Reach("rotate.publish.renamed")
	s.renamed = true
	if s.o.Published != nil {
		s.o.Published(name)
	}
	return nil
}

// link points BASE_current to name. A file system without symbolic links must not stop the data, so that failing is
// only logged.
func (s *Series) link(name string) {
	if !s.o.Link || s.o.Codec != None || name == "" || name == s.linked {
		return
	}
	s.renamed = true
	link := s.o.Base + "_current"
	err := s.dir.Symlink(name, link)
	switch {
	case err == nil:
		s.linked = name
	case !s.noLink:
		s.o.Logger.Warn("the link to the newest file cannot be made", "link", s.path(link), "file", name, "error", err)
	}
	s.noLink = err != nil
}

// syncNames makes the names in the directory durable, or leaves that to later.
func (s *Series) syncNames(later *faultfs.Later) error {
	if !s.renamed {
		return nil
	}
	for _, p := range s.partitions {
		if err := later.Sync(p); err != nil {
			return s.breakdown("sync partition of", s.o.Base, err)
		}
	}
	if err := later.Sync(s.dir); err != nil {
		return s.breakdown("sync directory of", s.o.Base, err)
	}
	s.renamed = false
	return nil
}

func (s *Series) breakdown(doing, name string, err error) error {
	s.broken = fmt.Errorf("%s %s: %w: %w", doing, s.path(name), ErrBroken, err)
	return s.broken
}

func (s *Series) now() time.Time          { return killpoint.Clock(s.o.Now()).Round(0) } // by the wall clock
func (s *Series) path(name string) string { return filepath.Join(s.dir.Path(), name) }
