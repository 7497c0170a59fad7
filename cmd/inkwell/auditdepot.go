package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"inkwell/internal/faultfs"
	"inkwell/store/audit"
	"inkwell/store/books"
	"inkwell/store/depot"
	"inkwell/store/kafka"
)

// isDepot reports whether an argument is a depot: an address, or a directory in which Inkwell has put manifests.
func isDepot(arg string) bool {
	return depot.IsAddress(arg) || isDir(filepath.Join(arg, depot.Manifests))
}

// mirror lays out what the manifests of a depot say like the directories of a collector. It makes an empty file for
// each object that a manifest lists and that exists in the depot with the listed length.
type mirror struct {
	depot depot.Depot
	there map[string]int64    // objects and their lengths
	lines map[string][][]byte // by directory: bodies of manifests
	names map[string][]string // by directory: files to make
}

// auditDepot adds a depot to an audit, and the topic whose entries come into it, nil if there is none. The topic is
// read first, because entries move from there into the depot.
func auditDepot(ctx context.Context, sum *audit.Audit, address string, topic *kafka.Address) (err error) {
	d, err := depot.Open(address, depot.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	root, err := os.MkdirTemp("", "inkwell-audit-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(root)) }()
	m := &mirror{depot: d, there: make(map[string]int64), lines: make(map[string][][]byte),
		names: make(map[string][]string)}
	read := func() error {
		err := m.read(ctx)
		if err == nil {
			err = m.lay(root)
		}
		if err != nil {
			err = fmt.Errorf("audit %s: %w", address, err)
		}
		return err
	}
	source := audit.Source{Name: address, Dirs: []string{root}}
	if topic == nil {
		if err := read(); err != nil {
			return err
		}
		return sum.Collector(source)
	}
	source.Topic = func(to audit.Topic) error {
		w := kafka.Waiting{Record: to.Record, File: to.File, Step: to.Step}
		if err := kafka.ReadWaiting(ctx, *topic, d, w); err != nil {
			return fmt.Errorf("audit %s: %w", topic, err)
		}
		return read()
	}
	return sum.Collector(source)
}

// read lists the depot and reads its manifests, several at a time.
func (m *mirror) read(ctx context.Context) error {
	var manifests []string
	err := m.depot.List(ctx, "", func(o depot.Object) error {
		if strings.HasPrefix(o.Name, depot.Manifests+"/") {
			manifests = append(manifests, o.Name)
		} else {
			m.there[o.Name] = o.Size
		}
		return nil
	})
	if err != nil {
		return err
	}
	read, err := depot.ReadManifests(ctx, m.depot, manifests)
	if err != nil {
		return err
	}
	for i, name := range manifests {
		if err := m.take(name, read[i]); err != nil {
			return err
		}
	}
	for name := range m.there { // of which no manifest speaks
		if dir, base := path.Split(name); !strings.HasPrefix(name, "_") && !strings.HasPrefix(base, "_") {
			m.names[path.Dir(path.Clean(dir))] = append(m.names[path.Dir(path.Clean(dir))], base)
		}
	}
	return nil
}

// take takes over one manifest: CATEGORY/dt=DATE/FILE becomes CATEGORY/FILE.
func (m *mirror) take(name string, data []byte) error {
	about := depot.Described(name)
	dir := path.Dir(path.Dir(about))
	_, err := faultfs.ParseLines(name, books.ManifestHeader, data, func(body []byte) error {
		f, err := books.ParseFile(body)
		if err != nil {
			return err
		}
		m.lines[dir] = append(m.lines[dir], bytes.Clone(body))
		if size, there := m.there[about]; there && size == f.Bytes {
			m.names[dir] = append(m.names[dir], f.Name)
		}
		delete(m.there, about)
		return nil
	})
	return err
}

// lay makes the directories of the mirror.
func (m *mirror) lay(root string) error {
	for dir, names := range m.names {
		if err := layDir(filepath.Join(root, filepath.FromSlash(dir)), root, names, m.lines[dir]); err != nil {
			return err
		}
		delete(m.lines, dir)
	}
	for dir, bodies := range m.lines {
		if err := layDir(filepath.Join(root, filepath.FromSlash(dir)), root, nil, bodies); err != nil {
			return err
		}
	}
	return nil
}

func layDir(at, root string, names []string, bodies [][]byte) (err error) {
	dir, err := faultfs.OpenBeneath(root, at, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	for _, name := range names {
		f, err := dir.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o600)
		if err == nil {
			_, err = f.Write([]byte{0}) // an empty one would be passed over
			err = errors.Join(err, f.Close())
		}
		if err != nil {
			return err
		}
	}
	if len(bodies) == 0 {
		return nil
	}
	return faultfs.AppendLines(dir, books.Manifest, books.ManifestHeader, bodies...)
}
