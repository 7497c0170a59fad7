package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"inkwell/internal/ending"
)

// untilSignal returns a context that ends at the first SIGINT or SIGTERM. The second signal ends the process at once,
// which loses nothing that was acknowledged. SIGHUP makes the process open its log file again and call hup. stop
// restores the signals and waits for the goroutine.
func (a *app) untilSignal(parent context.Context, log *slog.Logger, hup func()) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancel(parent)
	giveBack := a.onSignals(log, hup, cancel)
	return ctx, func() { giveBack(); cancel() }
}

// untilSignals is untilSignal for a command that would lose something if the second signal ended it: the second signal
// ends abort, and only the third ends the process.
func (a *app) untilSignals(parent context.Context, log *slog.Logger) (ctx, abort context.Context, stop func()) {
	ctx, cancel := context.WithCancel(parent)
	abort, now := context.WithCancel(context.WithoutCancel(parent))
	giveBack := a.onSignals(log, func() {}, cancel, now)
	return ctx, abort, func() { giveBack(); cancel(); now() }
}

// onSignals calls the next step at each SIGINT or SIGTERM; after the last step a signal ends the process. A signal that
// comes twice within a second counts as one.
func (a *app) onSignals(log *slog.Logger, hup func(), steps ...func()) (stop func()) {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	done := make(chan struct{})
	go func() {
		defer close(done)
		var repeats ending.Repeats
		for s := range signals {
			switch {
			case s == syscall.SIGHUP:
				a.log.reopen(log)
				hup()
			case repeats.Same(s, time.Now()):
			case len(steps) == 0:
				log.Warn("ended before everything was done", "signal", s.String())
				os.Exit(128 + int(s.(syscall.Signal)))
			default:
				log.Info("ending", "signal", s.String())
				steps[0]()
				steps = steps[1:]
			}
		}
	}()
	return func() {
		signal.Stop(signals)
		close(signals)
		<-done
	}
}

// takeGroupSignals makes signals harmless that a web server sends to its whole process group but means for itself. They
// are caught and not ignored, because programs that this one starts would inherit the ignoring. The result restores
// them.
func takeGroupSignals() (stop func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGWINCH, syscall.SIGPIPE, syscall.SIGXFSZ)
	return func() { signal.Stop(signals) }
}
