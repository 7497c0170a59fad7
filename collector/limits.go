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
	MaxTrusted     int           // the same for this machine and peers that an <allow> block names, if it is more
	MaxEntries     int           // per call; 0 = one for each 32 bytes of the largest frame
	MaxMessage     int           // bytes; 0 = as much as fits into a frame
	MaxConnections int           // 0 = as many as there are descriptors for
	MaxPerAddress  int           // connections of an address, except this machine's; 0 = 256, < 0 = no limit
	MaxInFlight    int64         // bytes of large calls at the same time; 0 = 256 MiB
	IdleTimeout    time.Duration // between two calls; 0 = 10 minutes
	HeaderTimeout  time.Duration // from connecting to the first call; 0 = 1 minute
}

// server returns the options of the server. Large calls are spilled to files beside the journal, which gets them next.
func (o *Options) server(g *gate) rpc.ServerOptions {
	l := o.Limits
	trusted := func(c *access.Caller) bool { return c.Local() || g.rules.Load().Trusts(c) }
	return rpc.ServerOptions{
		MaxFrame: l.MaxFrame, MaxTrusted: l.MaxTrusted, Trusted: trusted, SpillDir: o.StateDir,
		MaxEntries: l.MaxEntries, MaxConnections: l.MaxConnections, MaxPerAddress: l.MaxPerAddress,
		MaxInFlight: l.MaxInFlight, IdleTimeout: l.IdleTimeout, HeaderTimeout: l.HeaderTimeout,
		Logger: o.Logger, Stats: o.Stats,
	}
}

// fitDescriptors lowers the limit of connections so that half of the process's open files are left for the stores. A
// store that cannot be opened reports that and is retried.
func fitDescriptors(o *Options) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("read the limit of open files: %w", err)
	}
	most := max(int(min(limit.Cur, 1<<20))/2, 1)
	o.Limits.MaxConnections = min(cmp.Or(o.Limits.MaxConnections, most), most)
	return nil
}

// The number of open files of a category: its directory and the file that is written in it; or, where entries are
// sent, a connection, and a spool with its lock and two files.
const (
	descriptorsOfFiles = 2
	descriptorsOfAny   = 6
)

// fitCategories lowers the limit of categories to what the limit of open files allows, after half of the open files
// were reserved for connections.
func fitCategories(c *config.Config, log *slog.Logger) int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return c.MaxCategories // a store that cannot be opened reports that
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
		log.Warn("fewer categories than allowed: each needs open files (raise the limit, e.g. with ulimit -n); "+
			"further ones go to _overflow",
			"categories", room, "asked", c.MaxCategories, "open files", limit.Cur)
	}
	return min(c.MaxCategories, room)
}

// otherDescriptors is for the open files of the journal, the books and the log.
const otherDescriptors = 64
