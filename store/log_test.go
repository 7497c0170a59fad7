package store

import (
	"bytes"
	"log/slog"
	"sync"
)

// captureLog returns a logger and what it was told so far.
func captureLog() (*slog.Logger, func() string) {
	w := new(lockedBuffer)
	return slog.New(slog.NewTextHandler(w, nil)), w.String
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (w *lockedBuffer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.Write(p)
}

func (w *lockedBuffer) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.String()
}
