package collector

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"inkwell/internal/web"
)

// Statistics are made by this program in another process, inkwell stats: at the lowest priority, on one core and with
// memory of its own, so that it takes nothing from the collector and cannot end it.
const (
	countKeys   = 30 // of the table
	countMemory = "GOMEMLIMIT=200MiB"
	countOutput = 4 << 20 // bytes of its output, at most
)

// count makes the statistics of a category from its files.
func (f files) count(ctx context.Context, q web.Question) (*web.Counts, error) {
	var dirs []string
	for _, s := range f.places(q.Category) {
		dir := filepath.Join(s.Dir, s.Sub)
		if _, err := os.Lstat(dir); err == nil {
			dirs = append(dirs, dir)
		}
	}
	if len(dirs) == 0 {
		return nil, fmt.Errorf("count the lines of %s: %w (it has no files here)", q.Category, fs.ErrNotExist)
	}
	c := new(web.Counts)
	args := []string{"--format", q.Format, "--since", q.Last.String(), "--output", "json", "--fold"}
	note, err := runStats(ctx, &c.Rows, append(append(args, "--by", q.By, "--top", strconv.Itoa(countKeys), "--"),
		dirs...))
	if err == nil {
		_, err = runStats(ctx, &c.Series, append(append(args, "--by", "", "--every", q.Every.String(), "--"), dirs...))
	}
	c.Note = note
	return c, err
}

// runStats runs inkwell stats and reads its rows. note is what it said beside.
func runStats(ctx context.Context, rows *[]web.Counted, args []string) (note string, err error) {
	program, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find this program, to count lines: %w", err)
	}
	cmd := exec.CommandContext(ctx, program)
	cmd.Args = append([]string{"inkwell", "stats"}, args...)
	if nice, err := exec.LookPath("nice"); err == nil {
		cmd.Path = nice
		cmd.Args = append([]string{"nice", "-n", "19", program, "stats"}, args...)
	}
	cmd.Env = append(ownEnvironment(), "GOMAXPROCS=1", countMemory)
	var out, words limited
	cmd.Stdout, cmd.Stderr = &out, &words
	err = cmd.Run()
	note, _, _ = strings.Cut(strings.TrimPrefix(words.String(), "inkwell stats: "), "\n")
	if exit := new(exec.ExitError); errors.As(err, &exit) && out.Len() > 0 && exit.ExitCode() == 1 {
		err = nil // some of the files are damaged: the note says that
	}
	if err != nil {
		return "", fmt.Errorf("count lines: %w: %s", err, note)
	}
	if err := json.Unmarshal(out.Bytes(), rows); err != nil {
		return "", fmt.Errorf("read what inkwell stats counted: %w", err)
	}
	return note, nil
}

// ownEnvironment is the environment without the variables that stand for flags of the collector.
func ownEnvironment() (env []string) {
	for _, one := range os.Environ() {
		if !strings.HasPrefix(one, "INKWELL_") {
			env = append(env, one)
		}
	}
	return env
}

// limited keeps the first countOutput bytes.
type limited struct{ bytes.Buffer }

// Write implements io.Writer.
func (l *limited) Write(p []byte) (int, error) {
	if l.Len()+len(p) > countOutput {
		return 0, errors.New("inkwell stats prints more than can be shown")
	}
	return l.Buffer.Write(p)
}
