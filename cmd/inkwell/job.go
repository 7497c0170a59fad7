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

// job is what a daemon does.
type job struct {
	log   *slog.Logger
	stats *stats.Set
	work  func(context.Context) error // until its context ends
	read  func() reading
}

// run does j until it is done, with a status line beside it and its counters as the last word.
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

// counterAttrs are the overall counters that count something, in order of their names.
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
