package kafka

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"path"
	"strings"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/store/depot"
)

// booksHeader is the first line of the object with the books of a commit.
const booksHeader = "inkwell kafka 1"

// orphanAge is how old a staged file must be before it is removed that no books name: its writer may still be at work.
const orphanAge = 24 * time.Hour

// beginning follows the directory of a partition in the place of the name of books, in its first commit.
const beginning = "/beginning"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// pointer is the committed offset of one partition, with the name of the books of that commit.
type pointer interface {
	// Read returns the committed offset, -1 if there is none, and the name.
	Read(ctx context.Context) (offset int64, books string, err error)
	// Move commits. The error wraps errRefused when nothing was committed for certain; after any other error the outcome
	// is unknown.
	Move(ctx context.Context, offset int64, books string) error
}

// errRefused says that a commit has not taken place for certain.
var errRefused = errors.New("nothing was committed; the partition is taken over again, here or by another collector")

// errUnknown says that nobody knows whether a commit has taken place.
var errUnknown = errors.New("it is unknown whether the commit has taken place")

// ledger does the commits of one partition: stage, books, commit, publish. See the package comment.
type ledger struct {
	depot   depot.Depot
	pointer pointer
	dir     string // in the depot: _inkwell/kafka/TOPIC/p007
	scratch string // a local directory
	mover   string // of a Withdrawal: its ID; "" = a collector
	uploads int    // files at the same time, 0 = 1
	log     *slog.Logger
}

// mark is the state of a partition after a commit.
type mark struct {
	offset  int64
	books   string // the name of the books, "" = there are none
	streams []byte
}

// contents are the books of a commit.
type contents struct {
	From    int64    `json:"from"` // first offset of the epoch
	To      int64    `json:"to"`   // offset behind it, which was committed
	Files   []staged `json:"files"`
	Streams []byte   `json:"streams,omitempty"`
}

// staged is a file that is published after the commit.
type staged struct {
	Stage string `json:"stage"` // name under which it was staged
	Name  string `json:"name"`  // final name
	Size  int64  `json:"size"`
	CRC   uint32 `json:"crc"` // CRC-32C
	Line  []byte `json:"line"`
	local string // path of the local file; "" in books that were read
	moved bool   // the staged object has the final name now
}

// step commits an epoch that begins at a mark and ends before the offset to, and publishes its files.
func (l *ledger) step(ctx context.Context, at mark, to int64, made *Product) (next mark, err error) {
	c := &contents{From: at.offset, To: to, Streams: made.Streams, Files: make([]staged, len(made.Files))}
	err = l.each(ctx, len(c.Files), func(ctx context.Context, i int) (err error) {
		c.Files[i], err = l.stage(ctx, &made.Files[i])
		return err
	})
	if err != nil {
		return at, err
	}
	next = mark{offset: to, streams: made.Streams, books: fmt.Sprintf("%s/books/%020d-%s", l.dir, to, unique())}
	body, err := json.Marshal(c)
	if err != nil {
		return at, err
	}
	if err := l.put(ctx, next.books, faultfs.FormatLines(booksHeader, body)); err != nil {
		return at, fmt.Errorf("write the books of %s: %w", l.dir, err)
	}
	if publishEarly { // never, but in the control of a test
		if err := l.publish(ctx, c); err != nil {
			return at, err
		}
	}
	if err := l.pointer.Move(ctx, to, next.books); err != nil {
		return at, fmt.Errorf("commit offset %d of %s: %w", to, l.dir, err)
	}
	if err := l.publish(ctx, c); err != nil {
		return next, err
	}
	if at.books != "" {
		l.remove(ctx, at.books)
	}
	return next, nil
}

// stage puts a file into the depot under a name that no reader sees.
func (l *ledger) stage(ctx context.Context, f *File) (s staged, err error) {
	s = staged{Stage: l.dir + "/stage/" + unique(), Name: f.Name, Line: f.Line, local: f.Path}
	err = withFile(f.Path, func(data *io.SectionReader) error {
		s.Size = data.Size()
		sum := crc32.New(castagnoli)
		if _, err := io.Copy(sum, data); err != nil {
			return err
		}
		s.CRC = sum.Sum32()
		return l.depot.Put(ctx, s.Stage, io.NewSectionReader(data, 0, s.Size))
	})
	if err != nil {
		return s, fmt.Errorf("stage %s for the depot: %w", f.Path, err)
	}
	return s, nil
}

// takeOver returns where the partition was left, after what its last owner had committed is published. start is the
// first offset that the partition still has.
func (l *ledger) takeOver(ctx context.Context, start int64) (at mark, err error) {
	offset, name, err := l.pointer.Read(ctx)
	if err != nil {
		return at, fmt.Errorf("read the committed offset of %s: %w", l.dir, err)
	}
	if offset < 0 {
		return l.begin(ctx, start)
	}
	if name, err = l.unmark(name); err != nil {
		return at, err
	}
	at = mark{offset: offset, books: name}
	if offset < start {
		return at, fmt.Errorf("%w: offsets %d to %d of %s, which the retention of the topic has taken (find out why "+
			"nobody read them in time; then commit offset %d for the group with kafka-consumer-groups.sh "+
			"--reset-offsets)", errRemoved, offset, start-1, l.dir, start)
	}
	if name == l.dir+beginning {
		at.books = ""
		return at, nil
	}
	if !strings.HasPrefix(name, l.dir+"/books/") {
		l.log.Warn("the committed offset was set by another program: entries that are sent again may be written twice",
			"partition", l.dir, "offset", offset)
		at.books = ""
		return at, nil
	}
	c, err := l.load(ctx, name)
	if err != nil {
		return at, err
	}
	if c.To != offset {
		return at, fmt.Errorf("the books %s are of offset %d, and %d is committed (was the offset set by hand? then "+
			"commit it with other metadata)", name, c.To, offset)
	}
	if err := l.publish(ctx, c); err != nil {
		return at, err
	}
	at.streams = c.Streams
	l.sweep(ctx, name)
	return at, nil
}

// moving follows the directory of a partition in the place of the name of books while somebody takes the entries
// elsewhere. An ID and, if there are some, a space and the name of the books follow.
const moving = "/moving/"

// mark has collectors leave the partition alone.
func (l *ledger) mark(ctx context.Context, at mark) error {
	name := strings.TrimSpace(l.dir + moving + l.mover + " " + at.books)
	if err := l.pointer.Move(ctx, at.offset, name); err != nil {
		return fmt.Errorf("mark %s as being moved: %w", l.dir, err)
	}
	return nil
}

// unmark returns the name of the books from the name with which an offset was committed. It refuses a partition that
// somebody else marks.
func (l *ledger) unmark(name string) (string, error) {
	text, marked := strings.CutPrefix(name, l.dir+moving)
	if !marked {
		return name, nil
	}
	id, books, _ := strings.Cut(text, " ")
	if id != l.mover {
		return "", fmt.Errorf("the entries of %s are being moved to the journal of a collector, and that is not complete "+
			"(run the same inkwell journal move again, where it was begun; its ID is %s)", l.dir, id)
	}
	return cmp.Or(books, l.dir+beginning), nil
}

// begin commits the beginning of a partition without a commit. It refuses one that was drained before, because
// everything that is still in the topic would be written again. Because of the first commit, books without a commit
// cannot be those of an owner that died before it committed them.
func (l *ledger) begin(ctx context.Context, start int64) (at mark, err error) {
	newest := ""
	err = l.depot.List(ctx, l.dir+"/books", func(o depot.Object) error {
		newest = max(newest, o.Name)
		return nil
	})
	if err != nil {
		return at, fmt.Errorf("look for books of %s: %w", l.dir, err)
	}
	if newest != "" {
		return at, fmt.Errorf("no offset is committed, but the depot has books, %s: Kafka has forgotten the group, or "+
			"it is another one (correct group= in the address; or commit the offset in the name of the books with "+
			"kafka-consumer-groups.sh --reset-offsets; or, if the topic is a new one of the same name, remove %s)",
			newest, l.dir)
	}
	if start > 0 {
		return at, fmt.Errorf("%w: offsets 0 to %d of %s, before anything was committed (to go on with what is "+
			"there, commit offset %d for the group with kafka-consumer-groups.sh --reset-offsets --to-earliest)",
			errRemoved, start-1, l.dir, start)
	}
	if err := l.pointer.Move(ctx, 0, l.dir+beginning); err != nil {
		return at, fmt.Errorf("commit the beginning of %s: %w", l.dir, err)
	}
	return mark{}, nil
}

// load reads books.
func (l *ledger) load(ctx context.Context, name string) (c *contents, err error) {
	r, err := l.depot.Open(ctx, name, depot.Whole)
	if err != nil {
		return nil, fmt.Errorf("read the books of the last commit: %w", err)
	}
	data, err := io.ReadAll(r)
	if err = errors.Join(err, r.Close()); err != nil {
		return nil, fmt.Errorf("read the books of the last commit: %w", err)
	}
	damaged, err := faultfs.ParseLines(name, booksHeader, data, func(body []byte) error {
		c = new(contents)
		return json.Unmarshal(body, c)
	})
	if err == nil && (damaged > 0 || c == nil) {
		err = errors.New("they are damaged")
	}
	if err != nil {
		return nil, fmt.Errorf("read the books %s of the last commit: %w", name, err)
	}
	return c, nil
}

// sweep removes what dead owners have left: staged files and books that are not those of the last commit. Only old ones
// go, because an owner that does not know yet that it has lost the partition may still use them.
func (l *ledger) sweep(ctx context.Context, keep string) {
	var old []string
	err := l.depot.List(ctx, l.dir, func(o depot.Object) error {
		if o.Name != keep && time.Since(o.Modified) > orphanAge {
			old = append(old, o.Name)
		}
		return nil
	})
	if err != nil {
		l.log.Warn("cannot look for what dead collectors have left in the depot", "directory", l.dir, "error", err)
	}
	for _, name := range old {
		l.remove(ctx, name)
	}
}

// remove removes an object that nobody needs any more. If that fails, a later sweep does it.
func (l *ledger) remove(ctx context.Context, name string) {
	if r, ok := l.depot.(depot.Remover); ok {
		if err := r.Remove(ctx, name); err != nil && ctx.Err() == nil {
			l.log.Warn("cannot remove what is not needed any more", "object", name, "error", err)
		}
	}
}

func (l *ledger) put(ctx context.Context, name string, data []byte) error {
	return l.depot.Put(ctx, name, io.NewSectionReader(bytes.NewReader(data), 0, int64(len(data))))
}

// unique returns a name that nobody else chooses.
func unique() string {
	b := make([]byte, 8)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// directory returns the directory of a partition in a depot.
func directory(topic string, partition int32) string {
	return path.Join("_inkwell", "kafka", topic, writer(partition))
}

// writer returns the name of a partition as a writer of files.
func writer(partition int32) string { return fmt.Sprintf("p%03d", partition) }
