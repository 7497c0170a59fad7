package journald

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"inkwell/internal/faultfs"
	"inkwell/store/stream"
)

const (
	statePrefix = "journal-" // of the file names; then come digits of a hash of Options.key
	stateHeader = "inkwell journal 1"
)

// stateFile records up to where a journal was acknowledged. It is a log of lines, of which the last one counts (see
// faultfs.Lines):
//
//	STREAM MICROS "CURSOR" "NAME" NUMBER "CATEGORY" NUMBER "CATEGORY" …
//
// A line has the next numbers of the categories in its batch; the first line of the file has those of all categories.
type stateFile struct {
	name       string // of the journal
	lines      *faultfs.Lines
	checkpoint checkpoint
	stream     stream.ID
	numbers    map[string]int64
}

// openStateFile reads the state. A damaged file is kept aside: then the journal is read again from its last intact line
// on, or from the start if there is none.
func openStateFile(dir *faultfs.Dir, o *Options, log *slog.Logger) (*stateFile, error) {
	sum := sha256.Sum256([]byte(o.key()))
	file := statePrefix + hex.EncodeToString(sum[:8])
	s := &stateFile{name: o.Name(), numbers: make(map[string]int64)}
	var damage faultfs.Damage
	var err error
	if s.lines, damage, err = faultfs.OpenLines(dir, file, stateHeader, s.take); err != nil {
		return nil, err
	}
	if damage.Lines > 0 {
		log.Warn("damaged lines of a journal's state are skipped; some entries may be sent twice",
			"file", filepath.Join(dir.Path(), file), "lines", damage.Lines, "kept as", damage.Aside)
	}
	if s.stream == (stream.ID{}) {
		return s, nil
	}
	return s, s.rewrite()
}

var errState = errors.New("not a line of a journal's state")

// take parses a line.
func (s *stateFile) take(body []byte) error {
	f := strings.SplitN(string(body), " ", 3)
	if len(f) != 3 {
		return errState
	}
	id, err := stream.ParseID(f[0])
	if err != nil {
		return err
	}
	micros, err := strconv.ParseInt(f[1], 10, 64)
	if err != nil {
		return errState
	}
	cursor, rest, err := quoted(f[2])
	if err != nil {
		return err
	}
	name, rest, err := quoted(rest)
	if err != nil {
		return err
	}
	numbers, err := parseNumbers(rest)
	if err != nil {
		return err
	}
	if s.numbers == nil || s.stream != id {
		s.numbers = make(map[string]int64)
	}
	s.name, s.stream, s.checkpoint = name, id, checkpoint{cursor: cursor, micros: micros}
	maps.Copy(s.numbers, numbers)
	return nil
}

// quoted parses the quoted text at the beginning of s, and skips a blank after it.
func quoted(s string) (text, rest string, err error) {
	prefix, err := strconv.QuotedPrefix(s)
	if err != nil {
		return "", "", errState
	}
	if text, err = strconv.Unquote(prefix); err != nil {
		return "", "", errState
	}
	return text, strings.TrimPrefix(s[len(prefix):], " "), nil
}

func parseNumbers(s string) (map[string]int64, error) {
	numbers := make(map[string]int64)
	for s != "" {
		digits, rest, ok := strings.Cut(s, " ")
		n, err := strconv.ParseInt(digits, 10, 64)
		if !ok || err != nil || n < 0 {
			return nil, errState
		}
		category, behind, err := quoted(rest)
		if err != nil {
			return nil, err
		}
		numbers[category], s = n, behind
	}
	return numbers, nil
}

// body returns a line with the numbers of some categories.
func (s *stateFile) body(numbers map[string]int64) []byte {
	b := append([]byte(s.stream.String()), ' ')
	b = append(strconv.AppendInt(b, s.checkpoint.micros, 10), ' ')
	b = append(strconv.AppendQuote(b, s.checkpoint.cursor), ' ')
	b = strconv.AppendQuote(b, s.name)
	for _, category := range slices.Sorted(maps.Keys(numbers)) {
		b = append(strconv.AppendInt(append(b, ' '), numbers[category], 10), ' ')
		b = strconv.AppendQuote(b, category)
	}
	return b
}

// save records and syncs that everything up to p was acknowledged, with the next numbers of the categories that
// changed. After an error all of it is written by the next save.
func (s *stateFile) save(p checkpoint, changed map[string]int64) error {
	s.checkpoint = p
	maps.Copy(s.numbers, changed)
	if s.lines.Due() {
		return s.rewrite()
	}
	if err := s.lines.Append(s.body(changed)); err != nil {
		return err
	}
	return s.lines.Sync()
}

func (s *stateFile) rewrite() error {
	return s.lines.Rewrite(func(yield func([]byte) bool) { yield(s.body(s.numbers)) })
}

func (s *stateFile) close() error { return s.lines.Close() }

// Position says how many entries of a category were acknowledged, for an audit that compares them with what arrived.
type Position struct {
	Stream   stream.ID
	Category string
	Journal  string
	Number   int64 // acknowledged are the numbers 0 … Number-1
}

// ReadPositions reads the states of journals in a forwarder's state directory, which may be in use. bad counts
// incomplete lines.
func ReadPositions(stateDir string) (list []Position, bad int, err error) {
	dir, err := faultfs.LookBeneath("", stateDir)
	if err != nil {
		return nil, 0, err
	}
	defer dir.Close()
	entries, err := dir.ReadDir()
	if err != nil {
		return nil, 0, err
	}
	for _, e := range entries {
		// .corrupt, and what a write leaves
		if !strings.HasPrefix(e.Name(), statePrefix) || filepath.Ext(e.Name()) != "" {
			continue
		}
		var s stateFile
		known := make(map[stream.ID]map[string]int64) // also of earlier streams that the file still has lines of
		n, err := faultfs.ReadLines(dir, e.Name(), stateHeader, func(body []byte) error {
			if err := s.take(body); err != nil {
				return err
			}
			known[s.stream] = s.numbers
			return nil
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, bad, fmt.Errorf("read the state of a journal: %w", err)
		}
		bad += n
		for id, numbers := range known {
			for category, number := range numbers {
				list = append(list, Position{Stream: id, Category: category, Journal: s.name, Number: number})
			}
		}
	}
	return list, bad, nil
}
