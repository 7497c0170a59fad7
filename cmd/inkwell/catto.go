package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"inkwell/internal/rpc"
	"inkwell/proto"
)

const (
	exitTryLater   = 84 // the server said TRY_LATER ('T', as scribe_cat)
	scribeCatUsage = "usage (message is stdin): scribe_cat [-h host[:port]] category"

	// catToMax bounds the message: the original accepts frames of 256 MiB, which also have to hold the category and
	// some bytes of the call.
	catToMax = 256<<20 - 4096
)

func (a *app) catTo() *cobra.Command {
	var files rpc.TLSFiles
	cmd := &cobra.Command{
		Use:   "cat-to HOST[:PORT] CATEGORY",
		Short: "send all of standard input as one message",
		Long: `cat-to sends all of its standard input, with its newlines, as one message. It waits for the answer
and ends with 0 if the message was accepted, with 84 and TRY_LATER on standard error if the server
cannot accept it now, and with 1 after any other failure. The message can have up to 255 MiB; a
server may accept less (an Inkwell 64 MiB).

HOST can be tls://HOST, whose certificate is verified, and unix:PATH. Under the name scribe_cat
the program takes the arguments of scribe_cat: scribe_cat [-h host[:port]] category.`,
		Example: `  date | inkwell cat-to localhost cron
  inkwell cat-to logs.example.com:1463 deploy < notes.txt`,
		Args: exactly("HOST[:PORT]", "CATEGORY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			addr, err := scribeAddr(args[0])
			if err != nil {
				return usageError{err}
			}
			secret, err := credentials(addr, files)
			if err != nil {
				return err
			}
			code, err := a.sendAll(cmd.Context(), server{addr, secret}, args[1])
			if err != nil {
				return err
			}
			return exitCode(a.answered(code))
		},
	}
	tlsFlags(cmd.Flags(), &files)
	return cmd
}

// server is an address, with the credentials for it.
type server struct {
	addr        string
	credentials *rpc.Credentials
}

// scribeCat is scribe_cat: its arguments, texts and exit codes.
func (a *app) scribeCat(ctx context.Context, args []string) int {
	to, category := scribeHost, ""
	switch {
	case len(args) == 1:
		category = args[0]
	case len(args) == 3 && args[0] == "-h":
		to, category = args[1], args[2]
	default:
		say(a.screen, "%s\n", scribeCatUsage)
		return exitFailed
	}
	addr, err := scribeAddr(to)
	var code proto.ResultCode
	if err == nil {
		code, err = a.sendAll(ctx, server{addr: addr}, category)
	}
	if err != nil {
		say(a.screen, "scribe_cat: %v\n", err)
		return exitFailed
	}
	return a.answered(code)
}

// answered prints what a server answered and returns the exit code for it.
func (a *app) answered(code proto.ResultCode) int {
	switch code {
	case proto.OK:
		return exitOK
	case proto.TryLater:
		say(a.screen, "TRY_LATER\n")
		return exitTryLater
	}
	say(a.screen, "Unknown error code.\n")
	return exitFailed
}

// sendAll sends standard input as one message.
func (a *app) sendAll(ctx context.Context, to server, category string) (proto.ResultCode, error) {
	message, err := io.ReadAll(io.LimitReader(a.stdin, catToMax+1))
	switch {
	case err != nil:
		return 0, fmt.Errorf("read standard input: %w", err)
	case len(message)+len(category) > catToMax:
		return 0, fmt.Errorf("the message is longer than %d bytes, which no server takes as one call (to send lines "+
			"as messages of their own: inkwell pipe)", catToMax)
	}
	var b proto.Batch
	b.Append([]byte(category), message)
	// The wait allows for a line as slow as a megabyte per second.
	timeout := time.Minute + time.Duration(len(message)>>20)*time.Second
	c, err := rpc.Dial(ctx, to.addr, rpc.ClientOptions{Timeout: timeout, TLS: to.credentials})
	if err != nil {
		return 0, err
	}
	code, err := c.Log(ctx, []*proto.Batch{&b})
	if err != nil {
		return 0, err
	}
	_ = c.Close() // the answer is here
	return code, nil
}
