package main

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"

	"inkwell/internal/stats"
)

// job is the work of a daemon.
type job struct {
	log   *slog.Logger
	stats *stats.Set
	work  func(context.Context) error // until its context ends
	read  func() reading
}

// run runs j to its end. Meanwhile it shows a status line, and at the end it logs the counters.
func (a *app) run(ctx context.Context, j job) error {
	shown, hide := context.WithCancel(context.Background())
	var showing sync.WaitGroup
	m := &meter{read: j.read, log: j.log, screen: a.screen}
	showing.Go(func() { m.run(shown) })
	err := j.work(ctx)
	hide()
	showing.Wait()
	j.log.Info("counters", counterAttrs(j.stats)...)
	return err
}

// counterAttrs returns the overall counters that are not zero, sorted by name.
func counterAttrs(set *stats.Set) []any {
	counters := set.Snapshot()
	var attrs []any
	for _, key := range slices.Sorted(maps.Keys(counters)) {
		if name, ok := strings.CutPrefix(key, stats.Overall+":"); ok && counters[key] != 0 {
			attrs = append(attrs, name, counters[key])
		}
	}
	return attrs
}
