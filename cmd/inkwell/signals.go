package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

// untilSignal returns a context that ends at the first SIGINT or SIGTERM; the second ends the process at once, which loses nothing that
// was acknowledged. SIGHUP makes the log file be opened anew, then calls hup. stop gives the signals back and waits.
func (a *app) untilSignal(parent context.Context, log *slog.Logger, hup func()) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancel(parent)
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for s := range signals {
			switch {
			case s == syscall.SIGHUP:
				if err := a.log.reopen(); err != nil {
					log.Error("reopen log file", "error", err)
				}
				log.Info("log file opened anew")
				hup()
			case ctx.Err() == nil:
				log.Info("ending", "signal", s.String())
				cancel()
			default:
				os.Exit(128 + int(s.(syscall.Signal)))
			}
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(signals)
		<-done
		cancel()
	}
}
