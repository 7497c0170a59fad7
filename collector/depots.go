package collector

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"inkwell/internal/faultfs"
	"inkwell/store/books"
	"inkwell/store/depot"
)

// openDepots opens the depots that the configuration names and starts to bring finished files there; nil if it names
// none. The caller holds mu, or is the only one who knows i.
func (i *intake) openDepots() books.Depot {
	routes, err := i.depotRoutes()
	if err == nil && len(routes) == 0 {
		return nil
	}
	if err == nil {
		i.depots, err = i.ship(routes)
	}
	if err != nil {
		i.log.Error("finished files are not brought to their depot, and are not listed before they can be: "+
			"correct this and reload", "error", err)
		return noDepot{err}
	}
	return i.depots
}

// depotRoutes opens the depots of the configuration.
func (i *intake) depotRoutes() (routes []depot.Route, err error) {
	var kept []string
	for _, f := range i.router.files() {
		c := f.Compress
		if c == nil || c.Depot == "" {
			kept = append(kept, filepath.Join(f.Dir, f.Sub, f.Base))
			continue
		}
		d, err := depot.Open(c.Depot, depot.Options{Logger: i.log, Injector: i.o.tuning.injector})
		if err != nil {
			return nil, err
		}
		routes = append(routes, depot.Route{
			Root: filepath.Join(f.Dir, f.Sub), Address: c.Depot, Depot: d, Who: c.Who, Hive: c.Hive, AwayMax: c.AwayMax,
		})
	}
	for k := range routes {
		routes[k].Kept = kept
	}
	return routes, nil
}

// ship starts the shipper, which keeps its notes in the state directory.
func (i *intake) ship(routes []depot.Route) (_ *depot.Shipper, err error) {
	state, err := faultfs.OpenBeneath(i.o.StateRoot, i.o.StateDir, i.o.tuning.injector)
	if err != nil {
		return nil, fmt.Errorf("open state directory %s: %w", i.o.StateDir, err)
	}
	defer func() { err = errors.Join(err, state.Close()) }()
	notes, err := state.Sub("depot")
	if err != nil {
		return nil, fmt.Errorf("open the notes of the depot in %s: %w", i.o.StateDir, err)
	}
	s, err := depot.NewShipper(depot.ShipperOptions{State: notes, Routes: routes, Logger: i.log, Stats: i.stats})
	if err != nil {
		return nil, errors.Join(err, notes.Close())
	}
	return s, nil
}

// closeDepots closes what openDepots opened. The caller holds mu.
func (i *intake) closeDepots(limit time.Duration) {
	if i.depots == nil {
		return
	}
	if err := i.depots.Close(limit); err != nil {
		i.log.Error("close the depots", "error", err)
	}
	i.depots = nil
}

// depotStatus says what is wrong with the depots, "" if nothing is. The caller holds mu.
func (i *intake) depotStatus() string {
	if i.depots == nil {
		return ""
	}
	return i.depots.Status()
}

// noDepot takes the place of depots that could not be opened: finished files wait, unlisted, until a reload or restart
// can open them.
type noDepot struct{ err error }

func (d noDepot) Add(string, []books.File) error   { return d.err }
func (d noDepot) Mark(string, *books.Marker) error { return d.err }
func (d noDepot) Holds(string, string) bool        { return true }
