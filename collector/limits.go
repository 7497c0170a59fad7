package collector

import (
	"cmp"
	"fmt"
	"log/slog"
	"syscall"
	"time"

	"inkwell/internal/access"
	"inkwell/internal/config"
	"inkwell/internal/rpc"
)

// Limits bound what peers can make a collector do. The zero value of a field is its default.
type Limits struct {
	MaxFrame       int           // bytes; 0 = 64 MiB
	MaxTrusted     int           // the same from this machine, or a peer that an <allow> block names, if it is more
	MaxEntries     int           // of a call; 0 = one for each 32 bytes of the largest frame
	MaxMessage     int           // bytes; 0 = what a frame holds
	MaxConnections int           // 0 = as many as there are descriptors for
	MaxPerAddress  int           // connections of one address but those of this machine; 0 = 256, below 0 = no limit
	MaxInFlight    int64         // bytes of large calls at once; 0 = 256 MiB
	IdleTimeout    time.Duration // between two calls; 0 = 10 minutes
	HeaderTimeout  time.Duration // from connecting to the first call; 0 = 1 minute
}

// server is what the server is told. Large calls go through files beside the journal, which holds them next.
func (o *Options) server(g *gate) rpc.ServerOptions {
	l := o.Limits
	trusted := func(c *access.Caller) bool { return c.Local() || g.rules.Load().Names(c) }
	return rpc.ServerOptions{MaxFrame: l.MaxFrame, MaxTrusted: l.MaxTrusted, Trusted: trusted, SpillDir: o.StateDir, MaxEntries: l.MaxEntries, MaxConnections: l.MaxConnections, MaxPerAddress: l.MaxPerAddress,
		MaxInFlight: l.MaxInFlight, IdleTimeout: l.IdleTimeout, HeaderTimeout: l.HeaderTimeout, Logger: o.Logger, Stats: o.Stats}
}

// fitDescriptors lowers the limit of connections so that they leave half of the open files that the process may have to
// the stores, which tell when they cannot be opened and are tried again.
func fitDescriptors(o *Options) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("read the limit of open files: %w", err)
	}
	most := max(int(min(limit.Cur, 1<<20))/2, 1)
	o.Limits.MaxConnections = min(cmp.Or(o.Limits.MaxConnections, most), most)
	return nil
}

// The open files that a category may take: its directory and the file in it that is written; or, where something is
// sent, a connection, and a spool with its lock and two files.
const (
	descriptorsOfFiles = 2
	descriptorsOfAny   = 6
)

// fitCategories is how many categories there can be at once, of those asked for, within the limit of open files: half
// of them are for connections.
func fitCategories(c *config.Config, log *slog.Logger) int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return c.MaxCategories // what cannot be opened will be told by its store
	}
	each := int64(descriptorsOfFiles)
	for _, b := range c.Stores {
		if _, file := b.Sink.(config.File); !file {
			each = descriptorsOfAny
		}
	}
	connections := cmp.Or(int64(c.MaxConnections), int64(limit.Cur)/2)
	room := max(int((int64(min(limit.Cur, 1<<30))-min(connections, int64(limit.Cur)/2)-otherDescriptors)/each), 16)
	if room < c.MaxCategories {
		log.Warn("fewer categories than allowed: each needs open files (raise the limit, e.g. with ulimit -n); further ones go to _overflow",
			"categories", room, "asked", c.MaxCategories, "open files", limit.Cur)
	}
	return min(c.MaxCategories, room)
}

// otherDescriptors are those of the journal, the books and the log.
const otherDescriptors = 64
