package forwarder

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"inkwell/internal/stats"
)

// defaultCategories is the default of Options.MaxCategories.
const defaultCategories = 4096

// categories bounds how many categories the paths of files can produce. A category counts as long as it has at least
// one path. Safe for concurrent use.
type categories struct {
	max     int
	log     *slog.Logger
	stats   *stats.Set
	refused *atomic.Int64 // files that are not followed because their category is one too many

	mu    sync.Mutex
	paths map[string]int // how many paths each category has

	told   int64 // the value of refused that was logged last …
	toldAt time.Time
}

func newCategories(log *slog.Logger) *categories {
	c := &categories{max: defaultCategories, log: log, paths: make(map[string]int)}
	c.count(stats.New())
	return c
}

func (c *categories) count(s *stats.Set) {
	c.stats, c.refused = s, s.Overall("files beyond max_categories")
	c.refused.Store(0) // forget what an earlier follower counted
}

// take counts one more path of a category. It is false if that would be one category too many.
func (c *categories) take(category string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.paths[category] == 0 && len(c.paths) >= c.max {
		return false
	}
	c.paths[category]++
	return true
}

// leave undoes one take.
func (c *categories) leave(category string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.paths[category]--; c.paths[category] <= 0 {
		delete(c.paths, category)
	}
}

// tellEvery is the least time between two log messages about files without a category.
const tellEvery = time.Minute

// tell logs that files have no category, or that all have one again. It is called periodically, by one goroutine.
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
