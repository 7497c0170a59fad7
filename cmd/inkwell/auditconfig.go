package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"inkwell/internal/config"
	"inkwell/store/audit"
	"inkwell/store/kafka"
)

// audited lists what to audit: directories, and what configurations name.
type audited struct {
	sources []audit.Source
	senders []sender
	configs []*config.Config          // of collectors
	depots  []string                  // addresses, or directories
	topics  map[string]*kafka.Address // by the depot of its collectors
}

// sender is the state of a forwarder or a spool: it records the numbers that its streams have reached, or holds entries
// that are still under way.
type sender struct {
	path   string // state, or spool
	spools bool   // search only for spools below path
}

// configured adds what a configuration file names: a collector with its files, or a forwarder with its state.
func (w *audited) configured(file, state string, lookup func(string) (string, bool)) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	c := config.Load(file, data)
	if len(c.Stores) == 0 {
		return usagef("%s: this has no <store> (give the directory of a collector's files, or a configuration)", file)
	}
	roots, err := stateRoots(c, lookup)
	if err != nil {
		return err
	}
	if len(c.Tails)+len(c.Pipes)+len(c.Journals)+len(c.Syslogs) > 0 {
		places := []string{state, c.State}
		for _, root := range roots {
			places = append(places, filepath.Join(root, "forward"), root)
		}
		w.senders = append(w.senders, sender{path: firstThere(places)})
		for _, s := range c.Stores {
			w.addSpools(s.Sink)
		}
		return nil
	}
	s := audit.Source{Name: file, State: state}
	for _, b := range c.Stores {
		w.addSpools(b.Sink)
		for _, dir := range config.Files(b.Sink) {
			if isDir(dir) && !slices.Contains(s.Dirs, dir) {
				s.Dirs = append(s.Dirs, dir)
			}
		}
	}
	if s.State == "" {
		if s.State, err = collectorState(c, roots); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	if c.Topic != nil {
		address, err := c.TopicDepot()
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if w.topics[address] == nil {
			w.depots, w.topics[address] = append(w.depots, address), c.Topic
		}
		// nothing is left of a journal here
		if is, err := isSpool(filepath.Join(s.State, "journal")); !is || err != nil {
			return err
		}
	}
	w.senders = append(w.senders, sender{path: s.State, spools: true}) // entries that the next hop refuses permanently
	w.sources, w.configs = append(w.sources, s), append(w.configs, c)
	return nil
}

// addSpools adds the spools of a sink.
func (w *audited) addSpools(s config.Sink) {
	for _, dir := range config.Spools(s) {
		if of := (sender{path: dir, spools: true}); isDir(dir) && !slices.Contains(w.senders, of) {
			w.senders = append(w.senders, of)
		}
	}
}

// stateRoots lists the directories in which a daemon with this configuration may keep its state. There can be several,
// because the daemon may run with other environment variables than this command.
func stateRoots(c *config.Config, lookup func(string) (string, bool)) (roots []string, err error) {
	root, err := stateRoot(c, lookup)
	if c.StateDir != "" && c.StateDir != root {
		return []string{root, c.StateDir}, err
	}
	return []string{root}, err
}

// firstThere returns the first of paths that holds the state of a forwarder, or else the first that is not "".
func firstThere(paths []string) (first string) {
	for _, path := range paths {
		if path == "" {
			continue
		}
		if first == "" {
			first = path
		}
		for _, name := range []string{"positions", "lock", "spool", "ack"} {
			if _, err := os.Stat(filepath.Join(path, name)); err == nil {
				return path
			}
		}
	}
	return first
}

// collectorState returns the directory in which a collector with a configuration keeps its journal.
func collectorState(c *config.Config, roots []string) (string, error) {
	port := c.Port
	if port == 0 {
		if port = listened(c); port == 0 {
			port = defaultPort
		}
	}
	places := []string{c.State}
	if c.State != "" {
		roots = []string{c.State} // an older one had its state in a directory there
	}
	for _, root := range roots {
		for _, name := range []string{"collect-", "scribed-"} {
			places = append(places, filepath.Join(root, name+strconv.Itoa(port)))
		}
	}
	var there []string
	for _, path := range places {
		if path != "" && isDir(filepath.Join(path, "journal")) {
			there = append(there, path)
		}
	}
	switch len(there) {
	case 0:
		return "", usagef("there is no journal in %s: has it ever run? (say where its state is with "+
			"--collector-state FILE=STATE)", places[len(places)-1])
	case 1:
		return there[0], nil
	}
	return "", usagef("there are several states: %v (say which with --collector-state FILE=STATE)", there)
}

// destinations returns the places that must have the entries of a category according to the configurations. A collector
// that only forwards the category says nothing about the places in which others write it. If several collectors write
// it to the same number of places, the first place of one is paired with the first places of the others, and so on;
// otherwise it is enough that one of the places has the entries.
func (w *audited) destinations(category string) (all []audit.Destination) {
	var lists [][]audit.Destination
	writers := false
	for _, c := range w.configs {
		list, writes := placesOf(c, category)
		switch {
		case len(list) == 0 || writers && !writes:
		case writes && !writers:
			lists, writers = [][]audit.Destination{list}, true
		default:
			lists = append(lists, list)
		}
	}
	for _, list := range lists {
		if all == nil {
			all = list
			continue
		}
		if len(list) != len(all) {
			return nil
		}
		for i := range list {
			all[i].Roots = append(all[i].Roots, list[i].Roots...)
		}
	}
	for i := range all {
		if slices.ContainsFunc(all[:i], func(d audit.Destination) bool { return d.Name == all[i].Name }) {
			all[i].Name += " " + strconv.Itoa(i+1)
		}
	}
	return all
}

// placesOf returns the places in which one collector has the entries of a category, and whether it writes them to
// files.
func placesOf(c *config.Config, category string) (list []audit.Destination, writes bool) {
	for _, b := range c.Match(category) {
		if b.Sink == nil {
			continue
		}
		for _, place := range config.Places(b.Sink) {
			d := audit.Destination{Name: placeName(place), Roots: config.Files(place), HandsOn: config.HandsOn(place)}
			list, writes = append(list, d), writes || !d.HandsOn
		}
	}
	return list, writes
}

// placeName returns the name of a destination in a report.
func placeName(s config.Sink) string {
	switch s := s.(type) {
	case config.File:
		return s.Dir
	case config.Buffer:
		return placeName(s.Primary)
	case config.Network:
		if len(s.Addrs) > 0 {
			return s.Addrs[0]
		}
		return "network"
	case config.Kafka:
		return "topic " + s.Address.Topic
	case config.ByCategory:
		return placeName(s.Model)
	case config.Bucket:
		if dirs := config.Files(s); len(dirs) > 0 {
			return "buckets in " + filepath.Dir(dirs[0])
		}
		return "buckets"
	case config.Null:
		return "nowhere"
	}
	return s.String()
}
