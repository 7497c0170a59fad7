package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"path/filepath"
	"time"
)

// Files gives access to the output files of a collector and to its incoming messages. Safe for concurrent use.
type Files interface {
	// List returns the finished files of a category, the newest first. The error is fs.ErrNotExist if there is no such
	// category.
	List(category string) ([]File, error)
	// Complete returns the periods of a category for which all files are present (done markers), the newest first.
	Complete(category string) []string
	// Open opens a file that List returns. The error is fs.ErrNotExist for any other name.
	Open(category, name string) (io.ReadSeekCloser, File, error)
	// Tail calls each with the messages of a category as they come, until ctx ends or each fails. skipped is the number
	// of messages that were left out before these because each was too slow. A call without messages and with skipped 0
	// says that nothing came for a while.
	Tail(ctx context.Context, category string, each func(message []byte, skipped int64) error) error
}

// File is a finished file.
type File struct {
	Name    string
	Bytes   int64
	Written time.Time // last
	Entries int64     // by the manifest; -1 = not in the manifest
}

// patience is how long a reader may take to receive what was written to it.
const patience = 30 * time.Second

// patient is an answer that may take any time, as long as its reader keeps receiving.
type patient struct {
	http.ResponseWriter
	control *http.ResponseController
}

func wait(w http.ResponseWriter) patient { return patient{w, http.NewResponseController(w)} }

// Write implements io.Writer.
func (p patient) Write(data []byte) (int, error) {
	if err := p.control.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	return p.ResponseWriter.Write(data)
}

// maxReads is the number of requests that may read from a disk at the same time. If the disk hangs, only that many
// requests hang with it, and all others are answered.
const maxReads = 8

// listWait is the longest time that a request waits for the list of a category's files.
const listWait = 5 * time.Second

var (
	errBusy = errors.New("others read files already, or a file system does not answer: try again later")
	errHang = errors.New("the file system does not answer")
)

// reads takes a slot for a request that reads from a disk; leave gives it back.
func (h *handler) reads() (leave func(), err error) {
	select {
	case h.reading <- struct{}{}:
		return func() { <-h.reading }, nil
	default:
		return nil, errBusy
	}
}

// list returns Files.List and Files.Complete, and gives up after listWait.
func (h *handler) list(category string) (files []File, complete []string, err error) {
	leave, err := h.reads()
	if err != nil {
		return nil, nil, err
	}
	type result struct {
		files    []File
		complete []string
		err      error
	}
	done := make(chan result, 1)
	go func() {
		defer leave()
		files, err := h.o.Files.List(category)
		done <- result{files, h.o.Files.Complete(category), err}
	}()
	timer := time.NewTimer(listWait)
	defer timer.Stop()
	select {
	case r := <-done:
		return r.files, r.complete, r.err
	case <-timer.C:
		return nil, nil, errHang
	}
}

// file sends a finished file of a category as it is on disk.
func (h *handler) file(w http.ResponseWriter, r *http.Request) {
	category, name := r.URL.Query().Get("category"), r.URL.Query().Get("name")
	leave, err := h.reads()
	if err != nil {
		say(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	defer leave()
	f, info, err := h.o.Files.Open(category, name)
	if err != nil {
		refuse(w, err)
		return
	}
	defer f.Close()
	w.Header().Set("Content-Type", kindOf(name))
	w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": name}))
	http.ServeContent(wait(w), r, "", info.Written, f)
}

// kindOf returns the media type of a file. It is never one that a browser would render as a page.
func kindOf(name string) string {
	switch filepath.Ext(name) {
	case ".gz":
		return "application/gzip"
	case ".zst":
		return "application/zstd"
	}
	return "application/octet-stream"
}

// refuse answers that something cannot be read.
func refuse(w http.ResponseWriter, err error) {
	if errors.Is(err, fs.ErrNotExist) {
		say(w, http.StatusNotFound, "no such file of that category: see its page")
		return
	}
	say(w, http.StatusInternalServerError, err.Error())
}

// maxTails is the number of live tails at the same time.
const maxTails = 8

// tail streams the incoming messages of a category as text without an end.
func (h *handler) tail(w http.ResponseWriter, r *http.Request) {
	select {
	case h.tails <- struct{}{}:
		defer func() { <-h.tails }()
	default:
		say(w, http.StatusServiceUnavailable, fmt.Sprintf("%d others look on already: try again later", maxTails))
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	to := wait(w)
	if _, err := to.Write(nil); err != nil || to.control.Flush() != nil || r.Method == http.MethodHead {
		return
	}
	err := h.o.Files.Tail(r.Context(), r.URL.Query().Get("category"), func(message []byte, skipped int64) error {
		if skipped > 0 {
			if _, err := fmt.Fprintf(to, "… %d entries came faster than they could be shown …\n", skipped); err != nil {
				return err
			}
		}
		if len(message) > 0 {
			if message[len(message)-1] != '\n' {
				message = append(message, '\n')
			}
			if _, err := to.Write(message); err != nil {
				return err
			}
		}
		return to.control.Flush()
	})
	if err != nil && r.Context().Err() == nil {
		_, _ = io.WriteString(to, err.Error()+"\n") // who has gone does not read it
	}
}
