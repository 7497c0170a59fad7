package collector

import (
	"cmp"
	"fmt"
	"log/slog"
	"syscall"
	"time"

	"inkwell/internal/rpc"
)

// Limits bound what peers can make a collector do. The zero value of a field is its default.
type Limits struct {
	MaxFrame       int           // bytes; 0 = 64 MiB
	MaxEntries     int           // of a call; 0 = one for each 64 bytes of MaxFrame
	MaxMessage     int           // bytes; 0 = what a frame holds
	MaxConnections int           // 0 = as many as there are descriptors for
	MaxPerAddress  int           // connections of one address but those of this machine; 0 = 256, below 0 = no limit
	MaxInFlight    int64         // bytes of large calls at once; 0 = 256 MiB
	IdleTimeout    time.Duration // between two calls; 0 = 10 minutes
	HeaderTimeout  time.Duration // from connecting to the first call; 0 = 1 minute
}

// server is what the server is told.
func (o *Options) server() rpc.ServerOptions {
	l := o.Limits
	return rpc.ServerOptions{MaxFrame: l.MaxFrame, MaxEntries: l.MaxEntries, MaxConnections: l.MaxConnections, MaxPerAddress: l.MaxPerAddress,
		MaxInFlight: l.MaxInFlight, IdleTimeout: l.IdleTimeout, HeaderTimeout: l.HeaderTimeout, Logger: o.Logger, Stats: o.Stats}
}

// fitDescriptors lowers the limit of connections so that they leave half of the open files that the process may have to the stores, which
// tell when they cannot be opened and are tried again.
func fitDescriptors(o *Options) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("read the limit of open files: %w", err)
	}
	most := max(int(min(limit.Cur, 1<<20))/2, 1)
	o.Limits.MaxConnections = min(cmp.Or(o.Limits.MaxConnections, most), most)
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
