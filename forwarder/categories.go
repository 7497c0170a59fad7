package forwarder

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"inkwell/internal/stats"
)

// defaultCategories is how many there can be at once.
const defaultCategories = 4096

// categories bounds how many categories paths can come to, and keeps a category only as long as there is a path of
// it. Safe for concurrent use.
type categories struct {
	max     int
	log     *slog.Logger
	stats   *stats.Set
	refused *atomic.Int64 // files that are not followed for want of one

	mu    sync.Mutex
	paths map[string]int // by category

	told   int64 // refused when it was told last …
	toldAt time.Time
}

func newCategories(log *slog.Logger) *categories {
	c := &categories{max: defaultCategories, log: log, paths: make(map[string]int)}
	c.count(stats.New())
	return c
}

func (c *categories) count(s *stats.Set) {
	c.stats, c.refused = s, s.Overall("files beyond max_categories")
	c.refused.Store(0) // what a follower before this one told is over
}

// take has a path be of a category. It is false if that would be one too many.
func (c *categories) take(category string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.paths[category] == 0 && len(c.paths) >= c.max {
		return false
	}
	c.paths[category]++
	return true
}

// leave gives back what take has taken.
func (c *categories) leave(category string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.paths[category]--; c.paths[category] <= 0 {
		delete(c.paths, category)
	}
}

// tellEvery is how often more files without a category are told of.
const tellEvery = time.Minute

// tell tells of files that have no category, or that there are none any more. One goroutine calls it, now and then.
func (c *categories) tell(now time.Time) {
	n := c.refused.Load()
	switch {
	case n == c.told, n > 0 && c.told > 0 && now.Sub(c.toldAt) < tellEvery:
		return
	case n > 0:
		c.log.Error("there are more categories than max_categories, and files of further ones are not followed; "+
			"raise it, or use fewer names in the category", "files", n, "max_categories", c.max)
	default:
		c.log.Info("all files have a category again")
	}
	c.told, c.toldAt = n, now
}
