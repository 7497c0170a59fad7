package collector

import (
	"slices"
	"time"

	"inkwell/internal/config"
	"inkwell/internal/killpoint"
	"inkwell/rotate"
	"inkwell/store/journal"
)

const (
	blockBytes = 1 << 20          // gathered for a compressed block
	blockWait  = 10 * time.Second // the longest wait for that: small blocks compress badly
	plainBytes = 256 << 10        // gathered for our own uncompressed files
)

// pace makes the outlets of our own file formats gather enough for good blocks, and check every second whether their
// files still exist.
func pace(o *journal.OutletOptions, place config.Sink) {
	wait := time.Duration(killpoint.Tuned(killpoint.BlockWait, int64(blockWait)))
	config.Walk(place, func(s config.Sink) {
		f, ok := s.(config.File)
		switch {
		case !ok || f.Compress == nil:
			return
		case f.Compress.Codec == rotate.None:
			o.Target = max(o.Target, plainBytes)
		default:
			o.Target, o.Interval = max(o.Target, blockBytes), max(o.Interval, wait)
		}
		o.Check = min(o.Check, time.Second)
	})
	if f, ok := place.(config.File); ok && f.Compress != nil {
		o.Turn = func(at time.Time) time.Time { return f.Compress.Period.Next(killpoint.Clock(at), f.Compress.At) }
	}
}

// blocks says whether a store may have to wait for a peer.
func blocks(s config.Sink) bool {
	switch s := s.(type) {
	case config.File, config.Null, config.Unusable:
		return false
	case config.Buffer:
		return blocks(s.Primary) || blocks(s.Secondary)
	case config.Bucket:
		return slices.ContainsFunc(s.Children, blocks)
	case config.Multi:
		return slices.ContainsFunc(s.Children, blocks)
	case config.ByCategory:
		return blocks(s.Model)
	}
	return true
}

// continued says whether files that are open at the end are continued by the next run.
func continued(s config.Sink) bool {
	f, ok := s.(config.File)
	return ok && f.Compress != nil && f.Compress.KeepOpen
}
