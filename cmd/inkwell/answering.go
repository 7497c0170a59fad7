package main

import (
	"context"
	"errors"

	"inkwell/forwarder"
	"inkwell/forwarder/ctl"
	"inkwell/internal/faultfs"
)

// answer makes d answer on the control socket in its state directory, whose lock the caller holds. If the socket cannot
// be opened that is logged, and the daemon runs without it. The result closes the socket.
func (a *app) answer(d ctl.Daemon, state stateDir, o ctl.Options) (stop func()) {
	o.Version = version()
	dir, err := faultfs.OpenBeneath(state.root, state.dir, nil)
	if err != nil {
		o.Logger.Warn("the control socket cannot be opened, so that inkwell ctl cannot be used", "state", state.dir,
			"error", err)
		return func() {}
	}
	s, err := ctl.Listen(dir, d, o)
	if err != nil {
		o.Logger.Warn("the control socket cannot be opened, so that inkwell ctl cannot be used: remove what stands "+
			"in the way and start it again",
			"state", state.dir, "error", err)
		_ = dir.Close() // nothing was done there
		return func() {}
	}
	return func() {
		if err := errors.Join(s.Close(), dir.Close()); err != nil {
			o.Logger.Warn("cannot remove the control socket", "state", state.dir, "error", err)
		}
	}
}

// pipeDaemon makes a pipe answer on its control socket.
type pipeDaemon struct {
	*forwarder.Pipe
	end context.CancelFunc
}

// Detail describes the pipe in full.
func (p pipeDaemon) Detail(ctx context.Context) any { return p.Pipe.Detail(ctx) }

// Reload is refused: a pipe is restarted with the daemon that writes into it.
func (p pipeDaemon) Reload(context.Context) error {
	return errors.New("a pipe has nothing to read again: restart the daemon that writes into it")
}

// Stop ends the pipe as SIGTERM does.
func (p pipeDaemon) Stop() { p.end() }

// answerOnce opens the control socket of a pipe as soon as the pipe has its spool. The result closes the socket.
func (a *app) answerOnce(p pipeDaemon, spool stateDir, o ctl.Options) (stop func()) {
	ended, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-p.Spooled():
		case <-ended:
			return
		}
		defer a.answer(p, spool, o)()
		<-ended
	}()
	return func() { close(ended); <-done }
}
