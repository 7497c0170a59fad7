package discovery

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"inkwell/internal/rpc"
)

const (
	filePoll   = time.Second            // between two looks at a file
	fileSettle = 200 * time.Millisecond // a file that changes within this time is still being written
	maxFile    = 1 << 20                // bytes
)

// lookupFile is lookup for file. A file that does not end with a newline, or that changes while it is looked at, is
// still being written.
func (s *Source) lookupFile(ctx context.Context) (answer, error) {
	before, err := s.readFile()
	if err != nil {
		return answer{}, err
	}
	select {
	case <-ctx.Done():
		return answer{}, ctx.Err()
	case <-time.After(fileSettle):
	}
	after, err := s.readFile()
	switch {
	case err != nil:
		return answer{}, err
	case !bytes.Equal(before, after):
		return answer{}, failf("%s is being written", s.name)
	case len(after) == 0:
		return answer{}, failf("%s is empty", s.name)
	case after[len(after)-1] != '\n':
		return answer{}, failf("the last line of %s has no end: it is still being written, or needs a newline", s.name)
	}
	return s.parseFile(string(after))
}

func (s *Source) readFile() ([]byte, error) {
	if info, err := os.Stat(s.name); err != nil {
		return nil, failf("%v", err)
	} else if !info.Mode().IsRegular() { // reading it might hang
		return nil, failf("%s is no regular file", s.name)
	}
	f, err := os.Open(s.name)
	if err != nil {
		return nil, failf("%v", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("it is longer than %d bytes", maxFile)
	}
	if err != nil {
		return nil, failf("read %s: %v", s.name, err)
	}
	return data, nil
}

// parseFile reads addresses; "#" begins a comment. One that is invalid spoils the file, because others may be missing.
func (s *Source) parseFile(text string) (answer, error) {
	a := answer{again: filePoll}
	seen := make(map[string]bool)
	number := 0
	for line := range strings.Lines(text) {
		number++
		line, _, _ = strings.Cut(line, "#")
		for _, word := range strings.Fields(line) {
			addr, err := s.complete(word)
			if err != nil {
				return answer{}, failf("%s:%d: %v", s.name, number, err)
			}
			if !seen[addr] {
				seen[addr] = true
				a.list = append(a.list, Address{Name: addr})
			}
		}
	}
	if len(a.list) == 0 {
		return answer{}, failf("%s names no address", s.name)
	}
	return a, nil
}

// complete adds to an address of a file what it lacks: the port, and TLS if the source has it.
func (s *Source) complete(word string) (string, error) {
	if strings.HasPrefix(word, "unix:") {
		_, err := rpc.ParseAddress(word)
		return word, err
	}
	bare, secure := strings.CutPrefix(word, "tls://")
	addr, err := withPort(bare, DefaultPort)
	if err != nil {
		return "", err
	}
	if secure || s.secure {
		addr = "tls://" + addr
	}
	_, err = rpc.ParseAddress(addr)
	return addr, err
}
