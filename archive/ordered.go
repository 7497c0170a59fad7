package archive

import (
	"context"
	"runtime"
	"sync"
)

// Ordered works on items in parallel, and uses the results in the order of the items. Its methods are for one
// goroutine.
type Ordered[In, Out any] struct {
	Work func(In) Out
	Use  func(Out) error

	Room  chan struct{} // bounds what is worked on at once, for several of them; nil = one item for each core
	Ahead int           // how many items may wait; 0 = twice as many as are worked on

	queue []chan Out
	err   error
	once  sync.Once
}

// Add starts the work on an item, and uses results that are ready. The error is the first one of Use; it is returned by
// every later call.
func (o *Ordered[In, Out]) Add(ctx context.Context, item In) error {
	o.once.Do(func() {
		if o.Room == nil {
			o.Room = make(chan struct{}, runtime.GOMAXPROCS(0))
		}
		if o.Ahead == 0 {
			o.Ahead = 2 * cap(o.Room)
		}
	})
	if o.err == nil {
		o.err = ctx.Err()
	}
	done := make(chan Out, 1)
	go func() {
		o.Room <- struct{}{}
		done <- o.Work(item)
		<-o.Room
	}()
	o.queue = append(o.queue, done)
	for len(o.queue) > o.Ahead {
		o.use()
	}
	for len(o.queue) > 0 && len(o.queue[0]) > 0 {
		o.use()
	}
	return o.err
}

// Flush waits for the remaining results and uses them.
func (o *Ordered[In, Out]) Flush() error {
	for len(o.queue) > 0 {
		o.use()
	}
	return o.err
}

func (o *Ordered[In, Out]) use() {
	result := <-o.queue[0]
	o.queue = o.queue[1:]
	if o.err == nil {
		o.err = o.Use(result)
	}
}
