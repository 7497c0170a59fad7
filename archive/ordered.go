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

	queue []chan Out
	err   error
	room  chan struct{}
	once  sync.Once
}

// Add starts the work on an item, and uses results that are ready. The error is the first one of Use; it is returned by
// every later call.
func (o *Ordered[In, Out]) Add(ctx context.Context, item In) error {
	o.once.Do(func() { o.room = make(chan struct{}, runtime.GOMAXPROCS(0)) })
	if o.err == nil {
		o.err = ctx.Err()
	}
	done := make(chan Out, 1)
	go func() {
		o.room <- struct{}{}
		done <- o.Work(item)
		<-o.room
	}()
	o.queue = append(o.queue, done)
	for len(o.queue) > 2*cap(o.room) {
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
