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

// isRefusal reports whether err is an exception of the peer.
func isRefusal(err error) bool {
	var refusal *proto.ApplicationError
	return errors.As(err, &refusal)
}

// hungUp reports whether err means that the connection was closed before an answer began: by the peer, or by the client
// because the call before was cancelled just as its answer came. An incomplete answer and a time-out do not count.
func hungUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		errors.Is(err, net.ErrClosed)
}

// joinFailures joins the errors of several addresses. The result wraps store.ErrTryLater only if all of them do.
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
