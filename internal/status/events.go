package status

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// maxEvents is the number of different warnings and errors that are kept, and maxDetail the bytes kept of the
// attributes of one.
const (
	maxEvents = 50
	maxDetail = 1 << 10
)

// Events remembers the latest warnings and errors of the log. Safe for concurrent use.
type Events struct {
	mu   sync.Mutex
	list []Event // the oldest first
}

// Handler returns a slog.Handler that remembers warnings and errors and passes all records on to next.
func (e *Events) Handler(next slog.Handler) slog.Handler { return &eventHandler{Handler: next, to: e} }

// List returns the remembered events, the newest first.
func (e *Events) List() []Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	list := make([]Event, 0, len(e.list))
	for i := len(e.list) - 1; i >= 0; i-- {
		list = append(list, e.list[i])
	}
	return list
}

// add notes an event. A repeated one replaces its earlier occurrence, so that it is listed once.
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

// eventHandler is the slog.Handler that Handler returns.
type eventHandler struct {
	slog.Handler
	to    *Events
	attrs []slog.Attr // of the logger
}

// Enabled is true for every warning and error, even where the log level would leave it out.
func (h *eventHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn || h.Handler.Enabled(ctx, level)
}

// Handle remembers a warning or an error, and passes on what the log's level wants.
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
		h.to.add(Event{At: r.Time.Round(time.Millisecond), Level: strings.ToLower(r.Level.String()), Message: r.Message,
			Detail: detail})
	}
	if !h.Handler.Enabled(ctx, r.Level) {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs returns a handler that adds attrs to every record.
func (h *eventHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &eventHandler{Handler: h.Handler.WithAttrs(attrs), to: h.to,
		attrs: append(h.attrs[:len(h.attrs):len(h.attrs)], attrs...)}
}

// WithGroup returns a handler that puts records into a group. The remembered events ignore the group.
func (h *eventHandler) WithGroup(name string) slog.Handler {
	return &eventHandler{Handler: h.Handler.WithGroup(name), to: h.to, attrs: h.attrs}
}
