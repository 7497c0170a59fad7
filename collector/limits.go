package collector

import (
	"cmp"
	"fmt"
	"log/slog"
	"path/filepath"
	"syscall"
	"time"

	"inkwell/internal/access"
	"inkwell/internal/rpc"
)

// The defaults, and the descriptors that are needed besides connections and output files.
const (
	defaultConnections = 1024
	defaultCategories  = 4096
	otherDescriptors   = 64
	descriptorsPerName = 2 // of a category: its directory, and the file in it that is written
)

// Limits bound what peers can make a collector do. The zero value of a field is its default.
type Limits struct {
	MaxFrame       int           // bytes; 0 = 64 MiB
	MaxTrusted     int           // the same from this machine, or a peer that an Allow rule names, if it is more
	MaxEntries     int           // of a call; 0 = one for each 32 bytes of the largest frame
	MaxMessage     int           // bytes; 0 = what a frame holds
	MaxConnections int           // 0 = 1024, with Routed as many as there are descriptors for
	MaxPerAddress  int           // connections of one address but those of this machine; 0 = 256, below 0 = no limit
	MaxInFlight    int64         // bytes of large calls at once; 0 = 256 MiB
	IdleTimeout    time.Duration // between two calls; 0 = 10 minutes
	HeaderTimeout  time.Duration // from connecting to the first call; 0 = 1 minute
}

// server is what the server is told. Large calls go through files beside the journal, which holds them next.
func (o *Options) server(g *gate) rpc.ServerOptions {
	l := o.Limits
	dir := cmp.Or(o.Files.StateDir, filepath.Join(o.Files.Dir, ".inkwell"))
	if o.Routed != nil {
		dir = o.Routed.StateDir
	}
	trusted := func(c *access.Caller) bool { return c.Local() || g.rules.Load().Names(c) }
	return rpc.ServerOptions{MaxFrame: l.MaxFrame, MaxTrusted: l.MaxTrusted, Trusted: trusted, SpillDir: dir, MaxEntries: l.MaxEntries, MaxConnections: l.MaxConnections, MaxPerAddress: l.MaxPerAddress,
		MaxInFlight: l.MaxInFlight, IdleTimeout: l.IdleTimeout, HeaderTimeout: l.HeaderTimeout, Logger: o.Logger, Stats: o.Stats}
}

// fitDescriptors lowers the limit of categories so that with every connection open and every category written the process stays
// within its limit of open files, or says that it cannot be done.
func fitDescriptors(o *Options) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("read the limit of open files: %w", err)
	}
	if o.Routed != nil { // its stores tell when they cannot be opened, and are tried again
		most := max(int(min(limit.Cur, 1<<20))/2, 1)
		o.Limits.MaxConnections = min(cmp.Or(o.Limits.MaxConnections, most), most)
		return nil
	}
	o.Limits.MaxConnections = cmp.Or(o.Limits.MaxConnections, defaultConnections)
	o.Files.MaxCategories = cmp.Or(o.Files.MaxCategories, defaultCategories)
	room := (int64(min(limit.Cur, 1<<30)) - int64(o.Limits.MaxConnections) - otherDescriptors) / descriptorsPerName
	room -= 2 // _overflow and _unsafe
	if room < 16 {
		return fmt.Errorf("this process may open %d files, too few for %d connections (raise the limit, e.g. with ulimit -n, or lower --max-connections)", limit.Cur, o.Limits.MaxConnections)
	}
	if room < int64(o.Files.MaxCategories) {
		o.Logger.Warn("fewer categories than asked for: each needs two open files (raise the limit, e.g. with ulimit -n)",
			"categories", room, "asked", o.Files.MaxCategories, "open files", limit.Cur)
		o.Files.MaxCategories = int(room)
	}
	return nil
}

// descriptorsPerCategory is what a category of a configuration may take: a file or a connection, and a spool with its lock.
const descriptorsPerCategory = 6

// fitCategories is how many categories there can be at once, of those asked for, within the limit of open files.
func fitCategories(asked int, log *slog.Logger) int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return asked // what cannot be opened will be told by its store
	}
	room := max(int(min(limit.Cur, 1<<30)/2/descriptorsPerCategory), 16)
	if room < asked {
		log.Warn("fewer categories than allowed: each needs open files (raise the limit, e.g. with ulimit -n); further ones go to _overflow",
			"categories", room, "asked", asked, "open files", limit.Cur)
	}
	return min(asked, room)
}
