package collector

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/apache/thrift/lib/go/thrift"

	"inkwell/internal/rpc"
	"inkwell/internal/stats"
	"inkwell/proto/gen/fb303"
)

// The states a collector tells through fb303.
const (
	starting = fb303.FbStatus_STARTING
	alive    = fb303.FbStatus_ALIVE
	stopping = fb303.FbStatus_STOPPING
)

// maxOptions bounds what peers can make the collector remember by setOption and getOption.
const maxOptions = 1000

// control answers the fb303 methods, under the names and with the texts of the original. Safe for concurrent use.
type control struct {
	to       *intake
	gate     *gate
	fleet    *muster // nil = there is none
	stats    *stats.Set
	version  string
	fixed    bool // there is nothing to read again
	since    time.Time
	shutdown chan struct{} // closed when a peer asked for it

	reloading sync.Mutex

	mu      sync.Mutex
	status  fb303.FbStatus
	options map[string]string
	asked   bool
}

func newControl(to *intake, set *stats.Set, version string) *control {
	return &control{to: to, stats: set, version: version, since: time.Now(), shutdown: make(chan struct{}), status: starting, options: make(map[string]string)}
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

// GetStatus is WARNING instead of ALIVE while there is a trouble.
func (c *control) GetStatus(context.Context) (fb303.FbStatus, error) {
	c.mu.Lock()
	status := c.status
	c.mu.Unlock()
	if status == alive && c.to.trouble() != "" {
		return fb303.FbStatus_WARNING, nil
	}
	return status, nil
}

// ready says whether calls are taken now, and what is wrong, "" if nothing is.
func (c *control) ready() (ready bool, trouble string) {
	c.mu.Lock()
	status := c.status
	c.mu.Unlock()
	trouble = c.to.trouble()
	return status == alive && c.to.takes(), trouble
}

// GetStatusDetails is the trouble behind a WARNING, "" without one.
func (c *control) GetStatusDetails(context.Context) (string, error) {
	c.mu.Lock()
	status := c.status
	c.mu.Unlock()
	if status == starting {
		return "configuring", nil
	}
	return c.to.trouble(), nil
}

// GetCounters returns every counter and gauge.
func (c *control) GetCounters(context.Context) (map[string]int64, error) {
	return c.stats.Snapshot(), nil
}

// GetCounter returns one, 0 if there is none of that name.
func (c *control) GetCounter(_ context.Context, key string) (int64, error) {
	return c.stats.Get(key), nil
}

// SetOption remembers a value; it has no effect, as in the original, but for rpc.ReloadOption. Who may not control the
// server gets an exception.
func (c *control) SetOption(ctx context.Context, key, value string) error {
	if !c.gate.controls(ctx, "setOption") {
		return errors.New("not allowed: only this machine, or a peer of an <allow> block with control=yes, may do that")
	}
	if key == rpc.ReloadOption {
		return c.reload()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.options[key]; known || len(c.options) < maxOptions {
		c.options[key] = value
	}
	return nil
}

// GetOption returns what SetOption set, "" for any other key.
func (c *control) GetOption(ctx context.Context, key string) (string, error) {
	switch key {
	case rpc.IsInkwell:
		return "1", nil
	case detailOption:
		return c.tell(ctx)
	}
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

// Reinitialize reads the configuration again, where there is a file of it. Nobody waits for it.
func (c *control) Reinitialize(ctx context.Context) error {
	if !c.gate.controls(ctx, "reinitialize") {
		return nil // there is no answer to it
	}
	go c.reload() // it logs what it has to say
	return nil
}

// reload reads the configuration again; the error says why the one of before stays in use.
func (c *control) reload() error {
	if c.fixed {
		return errors.New("there is nothing to read again: it runs on flags (collect -c FILE reads its file again)")
	}
	c.reloading.Lock()
	defer c.reloading.Unlock()
	if !c.swap(alive, starting) {
		return errors.New("the server has not begun to serve yet, or is about to end")
	}
	defer c.swap(starting, alive)
	return c.to.reload()
}

// swap changes the status if it is as expected.
func (c *control) swap(from, to fb303.FbStatus) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.status != from {
		return false
	}
	c.status = to
	return true
}

// Shutdown makes Run end as a signal does.
func (c *control) Shutdown(ctx context.Context) error {
	if !c.gate.controls(ctx, "shutdown") {
		return nil // there is no answer to it
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.asked {
		c.asked = true
		close(c.shutdown)
	}
	return nil
}
