package rotate

import (
	"errors"
	"io"
	"log/slog"
	"time"

	"inkwell/internal/faultfs"
)

var errNotYet = errors.New("rotate: being written")

type Codec int

const (
	Gzip Codec = iota
	Zstd
	None
)

func ParseCodec(s string) (Codec, error) {
	switch s {
	case "gzip":
		return Gzip, nil
	case "zstd":
		return Zstd, nil
	case "none":
		return None, nil
	}
	return 0, errNotYet
}
func (c Codec) String() string { return [...]string{"gzip", "zstd", "none"}[c] }
func (c Codec) Suffix() string { return [...]string{".gz", ".zst", ""}[c] }

type Period struct{ every time.Duration }

func ParsePeriod(s string) (Period, error) { return Period{}, nil }
func (p Period) String() string            { return "daily" }

type Clock struct{ Hour, Minute int }

func ParseClock(s string) (Clock, error) { return Clock{}, nil }
func (c Clock) String() string           { return "00:00" }

type Options struct {
	Base    string
	Codec   Codec
	Period  Period
	At      Clock
	MaxSize int64
	Link    bool
	Now     func() time.Time
	Logger  *slog.Logger
}
type Encoder struct{}

func NewEncoder(c Codec, level int) (*Encoder, error) { return nil, errNotYet }
func MaxChunk(c Codec, maxSize int64) int             { return 1 << 20 }

type Mark struct {
	File   string `json:"file"`
	Bytes  int64  `json:"bytes"`
	Raw    int64  `json:"raw"`
	CRC    uint32 `json:"crc,omitempty"`
	Blocks int64  `json:"blocks"`
	Opened int64  `json:"opened"`
}
type State struct {
	Open   *Mark    `json:"open,omitempty"`
	Sealed []string `json:"sealed,omitempty"`
}
type Series struct{}
type LostError struct{ File string }

func (e *LostError) Error() string { return e.File }

// Open takes dir over: Close closes it, as Open does when it fails.
func Open(dir *faultfs.Dir, o Options, st *State) (*Series, error) { return nil, errNotYet }
func (s *Series) Lost() *LostError                                { return nil }
func (s *Series) Append(enc *Encoder, chunk []byte) error         { return errNotYet }
func (s *Series) Tick() error                                     { return errNotYet }
func (s *Series) Seal() error                                     { return errNotYet }
func (s *Series) Sync() (State, error)                            { return State{}, errNotYet }
func (s *Series) Publish(st State) error                          { return errNotYet }
func (s *Series) Idle() bool                                      { return true }
func (s *Series) Close() error                                    { return errNotYet }

type File struct {
	Name  string
	Size  int64
	Open  bool
	Codec Codec
}

func Files(dir *faultfs.Dir, base string) ([]File, error)              { return nil, errNotYet }
func NewReader(f io.Reader, c Codec, open bool) (io.ReadCloser, error) { return nil, errNotYet }
func Prune(root *faultfs.Dir, keep time.Duration, keepBytes int64, now time.Time) (removed []string, freed int64, err error) {
	return nil, 0, errNotYet
}
