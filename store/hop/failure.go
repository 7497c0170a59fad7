package hop

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"syscall"

	"inkwell/proto"
	"inkwell/store"
)

// isRefusal says whether err is a peer's exception.
func isRefusal(err error) bool {
	var refusal *proto.ApplicationError
	return errors.As(err, &refusal)
}

// hungUp says whether err is what a connection gives that was closed before anything was answered: by the peer, or by
// the client when the call before it was given up at the moment it was answered. Part of an answer, or none in time, is
// another matter.
func hungUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, net.ErrClosed)
}

// joinFailures makes one error of what the addresses said; it is store.ErrTryLater only if all said that.
func joinFailures(errs []error) error {
	all := !slices.ContainsFunc(errs, func(err error) bool { return !errors.Is(err, store.ErrTryLater) })
	var joined error
	for _, err := range errs {
		if !all && errors.Is(err, store.ErrTryLater) {
			err = errors.New(err.Error())
		}
		if joined == nil {
			joined = err
		} else {
			joined = fmt.Errorf("%w; %w", joined, err)
		}
	}
	return joined
}
