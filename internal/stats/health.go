package stats

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// Health remembers the current troubles by the part in which they occur. A trouble is logged when it begins and when it
// ends, but not while it lasts. Safe for concurrent use.
type Health struct {
	log   *slog.Logger
	level slog.Level // of a trouble that comes

	mu      sync.Mutex
	trouble map[string]trouble
}

type trouble struct {
	err   error
	since time.Time
}

// NewHealth returns a Health without troubles.
func NewHealth(log *slog.Logger) *Health { return NewHealthAt(log, slog.LevelError) }

// NewHealthAt is NewHealth with the log level for a trouble that begins.
func NewHealthAt(log *slog.Logger, level slog.Level) *Health {
	return &Health{log: log, level: level, trouble: make(map[string]trouble)}
}

// Set records the outcome of the last attempt at a part; nil ends its trouble.
func (h *Health) Set(part string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t, bad := h.trouble[part]
	switch {
	case err != nil && !bad:
		h.trouble[part] = trouble{err: err, since: time.Now()}
		h.log.Log(context.Background(), h.level, "trouble", "part", part, "error", err)
	case err == nil && bad:
		delete(h.trouble, part)
		h.log.Info("recovered", "part", part, "after", time.Since(t.since).Round(time.Millisecond), "from", t.err)
	}
}

// Forget drops the trouble of a part that does not exist any more, without a word.
func (h *Health) Forget(part string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.trouble, part)
}

// Since returns when the trouble of a part began, or the zero time without one.
func (h *Health) Since(part string) time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.trouble[part].since
}

// Status returns the text of one trouble, "" if there is none.
func (h *Health) Status() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	parts := make([]string, 0, len(h.trouble))
	for part := range h.trouble {
		parts = append(parts, part)
	}
	if len(parts) == 0 {
		return ""
	}
	slices.Sort(parts)
	return parts[0] + ": " + h.trouble[parts[0]].err.Error()
}
