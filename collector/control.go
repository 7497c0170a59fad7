package collector

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/apache/thrift/lib/go/thrift"

	"inkwell/internal/stats"
	"inkwell/proto/gen/fb303"
	"inkwell/store"
)

// The states a collector tells through fb303.
const (
	alive    = fb303.FbStatus_ALIVE
	stopping = fb303.FbStatus_STOPPING
)

// maxOptions bounds what peers can make the collector remember by setOption and getOption.
const maxOptions = 1000

// control answers the fb303 methods, under the names and with the texts of the original. Safe for concurrent use.
type control struct {
	files    *store.Files
	stats    *stats.Set
	version  string
	since    time.Time
	shutdown chan struct{} // closed when a peer asked for it

	mu      sync.Mutex
	status  fb303.FbStatus
	options map[string]string
	asked   bool
}

func newControl(files *store.Files, set *stats.Set, version string) *control {
	return &control{files: files, stats: set, version: version, since: time.Now(), shutdown: make(chan struct{}), status: fb303.FbStatus_STARTING, options: make(map[string]string)}
}

func (c *control) processor() thrift.TProcessor { return fb303.NewFacebookServiceProcessor(c) }

func (c *control) set(s fb303.FbStatus) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.status = s
}

// GetName is what the original calls itself.
func (c *control) GetName(context.Context) (string, error) { return "Scribe", nil }

// GetVersion is the program's version.
func (c *control) GetVersion(context.Context) (string, error) { return c.version, nil }

// GetStatus is WARNING instead of ALIVE while the files report a trouble.
func (c *control) GetStatus(context.Context) (fb303.FbStatus, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.status == alive && c.files.Status() != "" {
		return fb303.FbStatus_WARNING, nil
	}
	return c.status, nil
}

// GetStatusDetails is the trouble behind a WARNING, "" without one.
func (c *control) GetStatusDetails(context.Context) (string, error) { return c.files.Status(), nil }

// GetCounters returns every counter and gauge.
func (c *control) GetCounters(context.Context) (map[string]int64, error) {
	return c.stats.Snapshot(), nil
}

// GetCounter returns one, 0 if there is none of that name.
func (c *control) GetCounter(_ context.Context, key string) (int64, error) {
	return c.stats.Get(key), nil
}

// SetOption remembers a value; it has no effect, as in the original.
func (c *control) SetOption(_ context.Context, key, value string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.options[key]; known || len(c.options) < maxOptions {
		c.options[key] = value
	}
	return nil
}

// GetOption returns what SetOption set, "" for any other key.
func (c *control) GetOption(_ context.Context, key string) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.options[key], nil
}

// GetOptions returns all that was set.
func (c *control) GetOptions(context.Context) (map[string]string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.options), nil
}

// GetCpuProfile is empty, as in the original.
func (c *control) GetCpuProfile(context.Context, int32) (string, error) { return "", nil }

// AliveSince is when the process started, in Unix seconds.
func (c *control) AliveSince(context.Context) (int64, error) { return c.since.Unix(), nil }

// Reinitialize has nothing to read again: a collector is configured by its command line.
func (c *control) Reinitialize(context.Context) error { return nil }

// Shutdown makes Run end as a signal does.
func (c *control) Shutdown(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.asked {
		c.asked = true
		close(c.shutdown)
	}
	return nil
}
