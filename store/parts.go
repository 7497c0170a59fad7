package store

import (
	"errors"
	"slices"
	"time"

	"inkwell/proto"
)

// parts are the stores that one is made of. What each is asked to do, those that cannot are left out of.
type parts []Store

// prepare opens what can be opened again, and says whether something has to be marked first.
func (p parts) prepare() (opened bool) {
	for _, s := range p {
		if r, ok := s.(*Reopened); ok {
			opened = r.prepare() || opened
		}
	}
	return opened
}

func (p parts) mark(m *Marks) error {
	return p.each(func(s Store) error {
		if k, ok := s.(Keeper); ok {
			return k.Mark(m)
		}
		return nil
	})
}

func (p parts) seal() error {
	return p.each(func(s Store) error {
		if k, ok := s.(Sealer); ok {
			return k.Seal()
		}
		return nil
	})
}

func (p parts) publish() error {
	return p.each(func(s Store) error {
		if k, ok := s.(Keeper); ok {
			return k.Publish()
		}
		return nil
	})
}

func (p parts) check(now time.Time) error {
	return p.each(func(s Store) error { return Check(s, now) })
}

func (p parts) close() error { return p.each(Store.Close) }

// status is that of the first part that has one.
func (p parts) status() string {
	for _, s := range p {
		if text := Status(s); text != "" {
			return text
		}
	}
	return ""
}

// each does something to all parts, whatever becomes of it with one.
func (p parts) each(do func(Store) error) error {
	var errs []error
	for _, s := range p {
		errs = append(errs, do(s))
	}
	return errors.Join(errs...)
}

// memory knows which parts have taken their share of a batch that failed in others, so that they do not get it again with the next
// attempt. The batch is known again by its content: another one begins anew.
type memory struct {
	sum   uint64 // of the batch
	count int
	done  []bool
}

// recall returns, for each of n parts, whether it has its share of b.
func (m *memory) recall(b *proto.Batch, n int) []bool {
	if m.done != nil && m.count == b.Count() && m.sum == b.Fingerprint() {
		return m.done
	}
	m.done = nil
	return make([]bool, n)
}

// keep remembers done for the next attempt with b; left entries were not taken, and why. It returns what the attempt ends with.
func (m *memory) keep(b *proto.Batch, done []bool, left int, errs []error) error {
	if len(errs) == 0 {
		m.done = nil
		return nil
	}
	m.done, m.count, m.sum = done, b.Count(), b.Fingerprint()
	// A part that only waits is not what is wrong.
	if real := slices.IndexFunc(errs, func(err error) bool { return !errors.Is(err, ErrWaiting) }); real >= 0 {
		errs = slices.DeleteFunc(errs, func(err error) bool { return errors.Is(err, ErrWaiting) })
	}
	return &PartialError{Left: left, Err: errors.Join(errs...)}
}

// missing is how many of count entries a part did not take.
func missing(err error, count int) int {
	var part *PartialError
	if errors.As(err, &part) {
		return part.Left
	}
	return count
}
