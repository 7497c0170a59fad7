package status

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// maxEvents is how many different warnings and errors are remembered, and maxDetail how many bytes of the attributes of one.
const (
	maxEvents = 50
	maxDetail = 1 << 10
)

// Events remembers the warnings and errors that were logged last. Safe for concurrent use.
type Events struct {
	mu   sync.Mutex
	list []Event // the oldest first
}

// Handler returns a slog.Handler that hands on to next and remembers warnings and errors.
func (e *Events) Handler(next slog.Handler) slog.Handler { return &eventHandler{Handler: next, to: e} }

// List returns what is remembered, the newest first.
func (e *Events) List() []Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	list := make([]Event, 0, len(e.list))
	for i := len(e.list) - 1; i >= 0; i-- {
		list = append(list, e.list[i])
	}
	return list
}

// add notes an event; one that is like another takes its place.
func (e *Events) add(new Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	new.Count = 1
	for i, old := range e.list {
		if old.Level == new.Level && old.Message == new.Message && old.Detail == new.Detail {
			new.Count += old.Count
			e.list = append(e.list[:i], e.list[i+1:]...)
			break
		}
	}
	e.list = append(last(e.list, maxEvents-1), new)
}

// eventHandler is a slog.Handler beside another.
type eventHandler struct {
	slog.Handler
	to    *Events
	attrs []slog.Attr // of the logger
}

// Enabled is true for warnings and errors, also those that the log leaves out.
func (h *eventHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn || h.Handler.Enabled(ctx, level)
}

// Handle notes a warning or an error and hands on what the log wants.
func (h *eventHandler) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelWarn {
		var b strings.Builder
		add := func(a slog.Attr) bool {
			if b.Len() > 0 {
				b.WriteByte(' ')
			}
			b.WriteString(a.Key + "=" + a.Value.String())
			return b.Len() < maxDetail
		}
		for _, a := range h.attrs {
			add(a)
		}
		r.Attrs(add)
		detail := b.String()
		detail = strings.ToValidUTF8(detail[:min(len(detail), maxDetail)], "\uFFFD")
		h.to.add(Event{At: r.Time.Round(time.Millisecond), Level: strings.ToLower(r.Level.String()), Message: r.Message, Detail: detail})
	}
	if !h.Handler.Enabled(ctx, r.Level) {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs returns a handler whose records have attrs, too.
func (h *eventHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &eventHandler{Handler: h.Handler.WithAttrs(attrs), to: h.to, attrs: append(h.attrs[:len(h.attrs):len(h.attrs)], attrs...)}
}

// WithGroup returns a handler whose records stand in a group; what is remembered of them does not.
func (h *eventHandler) WithGroup(name string) slog.Handler {
	return &eventHandler{Handler: h.Handler.WithGroup(name), to: h.to, attrs: h.attrs}
}
