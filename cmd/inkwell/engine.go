package main

import (
	"errors"
	"slices"

	"inkwell/collector"
	"inkwell/internal/config"
	"inkwell/internal/rpc"
	"inkwell/store"
	"inkwell/store/spool"
)

// options is what runs the configuration c, and the only place that chooses an engine: store.Files for what flags stand for, queues for
// everything else. With one engine for both it is Routed for every configuration, and the rest of this file goes.
func (s *configured) options(c *config.Config, listen []string, state stateDir) (collector.Options, error) {
	o := collector.Options{Listen: listen, TLS: rpc.TLSFiles(c.TLS), Limits: limitsOf(c), Version: s.version}
	files, err := filesOf(c)
	switch {
	case err == nil && state.dir == c.State: // another one is that of queues
		o.Allow, o.Files = c.Allow, files
		o.Files.StateDir = state.dir
	case err != nil && onlyFiles(c):
		return o, err
	default:
		o.Routed = &collector.Routed{Load: s.load, Listen: listen, StateRoot: state.root, StateDir: state.dir}
	}
	return o, nil
}

// errNotFiles says that store.Files cannot do what a configuration asks for.
var errNotFiles = errors.New("keep_total, keep_open and done_markers need state=DIR, and one store with category=default, type=file and compress or publish")

// filesOf is what store.Files has to do for c, which must name the directory of its state: states of queues are in others.
func filesOf(c *config.Config) (store.FilesOptions, error) {
	durability, err := spool.ParseDurability(c.Durability)
	if err != nil || c.State == "" || c.MaxQueueSize != config.NoLimit || c.MaxMessagesPerSecond > 0 || !c.ThreadPerCategory || len(c.Stores) != 1 {
		return store.FilesOptions{}, errNotFiles
	}
	s := c.Stores[0]
	f, isFile := s.Sink.(config.File)
	if !isFile || f.Compress == nil || f.Sub != "" || f.WriteCategory || f.RotateOnReopen || f.Compress.KeepBytes > 0 {
		return store.FilesOptions{}, errNotFiles
	}
	if s.List || !s.MustSucceed || !slices.Equal(s.Categories, []string{"default"}) {
		return store.FilesOptions{}, errNotFiles
	}
	p := f.Compress
	return store.FilesOptions{
		Dir: f.Dir, Codec: p.Codec, Level: p.Level, Period: p.Period, At: p.At, MaxSize: f.MaxSize, Newlines: f.Newlines, Durability: durability,
		MaxCategories: c.MaxCategories, KeepOpen: p.KeepOpen, Keep: p.Keep, KeepBytes: p.KeepTotal, JournalMax: c.JournalMax, StreamTTL: c.StreamTTL,
		DoneMarkers: p.DoneMarkers, Lateness: max(p.Lateness, 1),
	}, nil
}

// onlyFiles says whether c has something that only store.Files does.
func onlyFiles(c *config.Config) (only bool) {
	for _, s := range c.Stores {
		if s.Sink == nil {
			continue
		}
		config.Walk(s.Sink, func(s config.Sink) {
			if f, ok := s.(config.File); ok && f.Compress != nil {
				only = only || f.Compress.KeepTotal > 0 || f.Compress.KeepOpen || f.Compress.DoneMarkers
			}
		})
	}
	return only
}
