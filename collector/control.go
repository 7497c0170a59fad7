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

// The states that a collector reports through fb303.
const (
	starting = fb303.FbStatus_STARTING
	alive    = fb303.FbStatus_ALIVE
	stopping = fb303.FbStatus_STOPPING
)

// maxOptions bounds how many options peers can make the collector remember by setOption.
const maxOptions = 1000

// control answers the fb303 methods, under the names and with the texts of the original. Safe for concurrent use.
type control struct {
	to       *intake
	gate     *gate
	fleet    *roster // nil = there is none
	stats    *stats.Set
	version  string
	fixed    bool // there is no file to read again
	since    time.Time
	shutdown chan struct{} // closed when a peer has asked for it

	reloading sync.Mutex

	mu      sync.Mutex
	status  fb303.FbStatus
	options map[string]string
	asked   bool
}

func newControl(to *intake, set *stats.Set, version string) *control {
	return &control{
		to: to, stats: set, version: version, since: time.Now(), shutdown: make(chan struct{}),
		status: starting, options: make(map[string]string),
	}
}

func (c *control) processor() thrift.TProcessor { return fb303.NewFacebookServiceProcessor(c) }

func (c *control) set(s fb303.FbStatus) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.status = s
}

// GetName returns the name of the original.
func (c *control) GetName(context.Context) (string, error) { return "Scribe", nil }

// GetVersion returns the program's version.
func (c *control) GetVersion(context.Context) (string, error) { return c.version, nil }

// GetStatus is WARNING instead of ALIVE while something is wrong.
func (c *control) GetStatus(context.Context) (fb303.FbStatus, error) {
	c.mu.Lock()
	status := c.status
	c.mu.Unlock()
	if status == alive && c.to.trouble() != "" {
		return fb303.FbStatus_WARNING, nil
	}
	return status, nil
}

// ready says whether calls are accepted now, and what is wrong, "" if nothing is.
func (c *control) ready() (ready bool, trouble string) {
	c.mu.Lock()
	status := c.status
	c.mu.Unlock()
	trouble = c.to.trouble()
	return status == alive && c.to.takes(), trouble
}

// GetStatusDetails says what a WARNING is about, "" without one.
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

// GetCounter returns one counter, 0 if there is none of that name.
func (c *control) GetCounter(_ context.Context, key string) (int64, error) {
	return c.stats.Get(key), nil
}

// SetOption stores a value. As in the original that has no effect, except for rpc.ReloadOption, which reloads the
// configuration. A caller that may not control the server gets an exception.
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

// GetOptions returns all options that were set.
func (c *control) GetOptions(context.Context) (map[string]string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.options), nil
}

// GetCpuProfile is empty, as in the original.
func (c *control) GetCpuProfile(context.Context, int32) (string, error) { return "", nil }

// AliveSince is when the process started, in Unix seconds.
func (c *control) AliveSince(context.Context) (int64, error) { return c.since.Unix(), nil }

// Reinitialize reloads the configuration, where there is a file of it. It does not wait for that.
func (c *control) Reinitialize(ctx context.Context) error {
	if !c.gate.controls(ctx, "reinitialize") {
		return nil // the call has no answer
	}
	go c.reload() // it logs what it has to say
	return nil
}

// reload reads the configuration again; the error says why the former one stays in use.
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

// swap changes the status from one value to another, and is false if it had a third one.
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
		return nil // the call has no answer
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.asked {
		c.asked = true
		close(c.shutdown)
	}
	return nil
}
