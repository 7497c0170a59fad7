package hop

import (
	"errors"
	"fmt"
	"time"

	"inkwell/internal/discovery"
	"inkwell/internal/faultfs"
	"inkwell/internal/rpc"
	"inkwell/proto"
	"inkwell/store"
)

// Memory configures what a Network that spreads remembers on disk: the collector that it used last, to which it returns
// after a restart, the addresses that it knew, and the calls of which nobody knows whether they were taken (doubts).
type Memory struct {
	Dir   string        // "" = nothing is remembered
	Root  string        // an ancestor of Dir; symbolic links below it are not followed. "" = Dir
	Name  string        // tells several Networks in Dir apart
	After time.Duration // how long calls wait for the collector that may have them; 0 = 1 h
}

// remembered is the content of the file.
type remembered struct {
	Address string              // of the collector in use
	Clean   bool                // the process ended in good order: no call was without an answer
	Known   []discovery.Address // the list
}

// inDoubt reports whether the peer may have taken a call that ended with err, and recognizes what it has. Without a
// choice of addresses, the caller sends the call again to the same one.
func (n *Network) inDoubt(room *capacity, err error) bool {
	return err != nil && n.o.Spread != "" && !room.foreign && rpc.Unanswered(err) && n.ctx.Err() == nil
}

// askAgain sends a call that is in doubt once more to the same peer, if that has hung up, as after a restart.
func (n *Network) askAgain(t *address, batches []*proto.Batch, err error) (proto.ResultCode, error) {
	if !hungUp(err) {
		return proto.OK, err
	}
	n.link.drop()
	if _, failed := n.link.connect(n.ctx, t); failed != nil {
		return proto.OK, err
	}
	code, again := n.link.client.Log(n.ctx, batches)
	if again == nil && code != proto.OK { // it may nevertheless have taken the first call
		return code, fmt.Errorf("%s answered %d to a call of which it had lost the answer", t.name, code)
	}
	return code, again
}

// park leaves a call that is in doubt to the doubts, and reports whether that succeeded.
func (n *Network) park(t *address, batches []*proto.Batch) bool {
	if n.ctx.Err() != nil { // nobody waits any more: the caller sends the entries again
		return false
	}
	n.link.mu.Lock()
	n.link.loyal = time.Time{} // these are the entries for which it was waited
	n.link.mu.Unlock()
	err := n.doubts.add(t.name, batches)
	if err != nil {
		n.o.Logger.Warn("entries that a collector may have are sent to another one: both may have them",
			"peer", t.name, "error", err)
	}
	return err == nil
}

// InDoubt returns how many entries wait for a collector that may have them.
func (n *Network) InDoubt() int {
	entries, _ := n.doubts.entries()
	return int(entries)
}

// memory keeps the file. It is used by the sender, except for open.
type memory struct {
	dir  *faultfs.Dir // nil: nothing is remembered
	file store.StateFile
	now  remembered

	saved   bool // now is on the disk
	version int  // of the list in now
}

// Remember makes the Network remember, from now on, and use what an earlier process remembered. It must be called
// before the first Append that is to profit from it, once, and does nothing for a Network that does not spread.
func (n *Network) Remember(m Memory) error {
	if n.o.Spread == "" || m.Dir == "" {
		return nil
	}
	dir, err := faultfs.OpenBeneath(m.Root, m.Dir, nil)
	if err != nil {
		return fmt.Errorf("open the memory of the next hop: %w", err)
	}
	file := store.StateFile{Dir: dir, Name: "nexthop" + m.Name, Log: n.o.Logger}
	var before remembered
	if _, err := file.Load(&before); err != nil {
		n.o.Logger.Warn("what was known of the next hop cannot be read: it is found out again", "error", err)
	}
	after := m.After
	if after <= 0 {
		after = defaultAfter
	}
	if err := n.doubts.keep(dir, "doubt"+m.Name+".", after); err != nil {
		return errors.Join(err, n.doubts.close(), dir.Close())
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.memory.dir, n.memory.file, n.memory.now = dir, file, before
	n.link.recall(before)
	return nil
}

// recall uses what an earlier process remembered, if nothing newer is known.
func (l *link) recall(before remembered) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.addrs.list) == 0 {
		l.addrs.set(before.Known)
		l.choice.Store(len(before.Known) > 1)
	}
	if l.home != nil || before.Address == "" {
		return
	}
	l.home = l.addrs.find(before.Address)
	if before.Clean {
		return
	}
	if l.home == nil {
		l.home = &address{name: before.Address, gone: true, room: l.addrs.room()}
	}
	l.loyal = time.Now().Add(loyalTime)
}

// loyalTime is how long, after a start behind a process that was killed, a sender waits for the collector that process
// sent to. That may have entries that are sent again now, and both may have died together.
const loyalTime = 30 * time.Second

// remember writes what has changed. The caller is the sender.
func (n *Network) remember() {
	n.mu.Lock()
	m := &n.memory
	known := m.dir != nil
	n.mu.Unlock()
	if !known {
		return
	}
	l := n.link
	l.mu.Lock()
	now, version := m.now, l.version
	if l.at != nil {
		now.Address = l.at.name
	}
	if m.version != version {
		now.Known = nil
		for _, t := range l.addrs.list {
			now.Known = append(now.Known, discovery.Address{Name: t.name, Priority: t.priority})
		}
	}
	l.mu.Unlock()
	now.Clean = false
	if now.Address == m.now.Address && m.version == version && m.saved {
		return
	}
	m.save(now)
	m.version = version
}

// save writes the file.
func (m *memory) save(now remembered) {
	if err := m.file.Save(now); err != nil {
		m.file.Log.Warn("cannot save what is known of the next hop: after a restart it is found out again",
			"error", err)
		return
	}
	m.now, m.saved = now, true
}

// close writes that the process ends in good order.
func (m *memory) close() error {
	if m.dir == nil {
		return nil
	}
	now := m.now
	now.Clean = true
	if m.saved {
		m.save(now)
	}
	return m.dir.Close()
}
