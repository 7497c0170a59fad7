package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/apache/thrift/lib/go/thrift"

	"inkwell/internal/rpc"
	"inkwell/proto/gen/fb303"
)

// The exit codes of scribe_ctrl, on which scripts that watch servers depend.
const (
	ctlAlive   = 2 // of status
	ctlFailed  = 3 // also a status that is not ALIVE
	ctlNotRoot = 4
)

// ctlTimeout bounds the connecting to a server and each wait for its answer.
const ctlTimeout = 10 * time.Second

// control sends commands to a server, or asks for its status, as scribe_ctrl does.
type control struct {
	out io.Writer
	server
	timeout time.Duration   // of a question, 0 = ctlTimeout
	clean   bool            // show control characters of what the server says as escapes
	reason  func(err error) // is called with the cause of a failure; may be nil
}

// ask calls f with a new connection to the server, as scribe_ctrl does: some servers close the connection after each
// answer.
func ask[T any](ctx context.Context, c *control,
	f func(*fb303.FacebookServiceClient, context.Context) (T, error)) (got T, err error) {
	timeout := cmp.Or(c.timeout, ctlTimeout)
	// Thrift repeats a read that timed out, without a pause, until the deadline of its context.
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	client, conn, err := rpc.FB303(c.addr, timeout, c.credentials)
	if err == nil {
		got, err = f(client, ctx)
		_ = conn.Close() // the answer is here
		if err != nil {
			err = fmt.Errorf("ask %s: %w", c.addr, err)
		}
	}
	if err != nil && c.reason != nil {
		c.reason(err)
	}
	return got, err
}

// tell is ask for calls that have no answer.
func (c *control) tell(ctx context.Context, f func(*fb303.FacebookServiceClient, context.Context) error) error {
	_, err := ask(ctx, c, func(client *fb303.FacebookServiceClient, ctx context.Context) (struct{}, error) {
		return struct{}{}, f(client, ctx)
	})
	return err
}

// allCounters asks for the counters. An empty map is a valid answer, but a nil map is an answer without its result.
func allCounters(client *fb303.FacebookServiceClient, ctx context.Context) (map[string]int64, error) {
	counters, err := client.GetCounters(ctx)
	if err == nil && counters == nil {
		err = errors.New("an answer without a result")
	}
	return counters, err
}

// maxText bounds the text from a server that is shown for one item, in bytes.
const maxText = 4096

// text returns a server's text in a form that is safe to show.
func (c *control) text(s string) string {
	if !c.clean {
		return s
	}
	return printable(s)
}

// printable shows control characters as escapes and cuts text that is longer than maxText: a server is not trusted to
// control the terminal.
func printable(s string) string {
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "") + "…"
	}
	if strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 }) < 0 {
		return s
	}
	quoted := strconv.Quote(s)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}

// do runs one command and returns its exit code; known is false if there is no such command.
func (c *control) do(ctx context.Context, command string) (code int, known bool) {
	switch command {
	case "status":
		return c.status(ctx), true
	case "counters":
		return c.counters(ctx), true
	case "version":
		return c.scalar(ctx, command, (*fb303.FacebookServiceClient).GetVersion), true
	case "name":
		return c.scalar(ctx, command, (*fb303.FacebookServiceClient).GetName), true
	case "alive":
		return c.scalar(ctx, command, func(client *fb303.FacebookServiceClient, ctx context.Context) (string, error) {
			since, err := client.AliveSince(ctx)
			return strconv.FormatInt(since, 10), err
		}), true
	case "stop":
		return c.oneway(ctx, command, (*fb303.FacebookServiceClient).Shutdown), true
	case "reload":
		return c.oneway(ctx, command, (*fb303.FacebookServiceClient).Reinitialize), true
	}
	return 0, false
}

func (c *control) status(ctx context.Context) int {
	status, err := ask(ctx, c, (*fb303.FacebookServiceClient).GetStatus)
	details := ""
	if err == nil {
		details, err = ask(ctx, c, (*fb303.FacebookServiceClient).GetStatusDetails)
	}
	if err != nil {
		say(c.out, "Failed to get status\n")
		return ctlFailed
	}
	say(c.out, "%s\n", c.text(statusText(status, details)))
	return statusCode(status)
}

// statusText returns the name of a status followed by its details.
func statusText(status fb303.FbStatus, details string) string {
	if details == "" {
		return status.String()
	}
	return status.String() + " - " + details
}

// statusCode returns the exit code that scripts depend on, odd as it is.
func statusCode(status fb303.FbStatus) int {
	if status == fb303.FbStatus_ALIVE {
		return ctlAlive
	}
	return ctlFailed
}

func (c *control) counters(ctx context.Context) int {
	counters, err := ask(ctx, c, allCounters)
	if err != nil {
		say(c.out, "failed to get counters\n")
		return ctlFailed
	}
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(counters)) {
		fmt.Fprintf(&text, "%s: %d\n", c.text(name), counters[name])
	}
	say(c.out, "%s", text.String())
	return exitOK
}

// scalar prints one answer. The two blanks before a failure are the original's.
func (c *control) scalar(ctx context.Context, what string,
	f func(*fb303.FacebookServiceClient, context.Context) (string, error)) int {
	answer, err := ask(ctx, c, f)
	if err != nil {
		say(c.out, "failed to get  %s\n", what)
		return ctlFailed
	}
	say(c.out, "%s\n", c.text(answer))
	return exitOK
}

func (c *control) oneway(ctx context.Context, what string,
	f func(*fb303.FacebookServiceClient, context.Context) error) int {
	if err := c.tell(ctx, f); err != nil {
		say(c.out, "failed to tell the service to  %s\n", what)
		return ctlFailed
	}
	return exitOK
}

// reloadTimeout is the time that a server may take for a reload.
const reloadTimeout = 2 * time.Minute

// reload makes the server read its configuration again, and prints the outcome.
func (c *control) reload(ctx context.Context) int {
	patient := *c
	patient.timeout, patient.reason = reloadTimeout, nil
	ours, err := ask(ctx, &patient, func(client *fb303.FacebookServiceClient, ctx context.Context) (string, error) {
		return client.GetOption(ctx, rpc.IsInkwell)
	})
	if err != nil || ours != "1" { // if the server is down the next call fails as well
		code := c.oneway(ctx, "reload", (*fb303.FacebookServiceClient).Reinitialize)
		if code == exitOK {
			say(c.out, "told to reload; this server does not say what came of it: see its status\n")
		}
		return code
	}
	err = patient.tell(ctx, func(client *fb303.FacebookServiceClient, ctx context.Context) error {
		return client.SetOption(ctx, rpc.ReloadOption, "now")
	})
	var refusal thrift.TApplicationException
	switch {
	case err == nil:
		say(c.out, "reloaded\n")
		return exitOK
	case errors.As(err, &refusal):
		_, why, _ := strings.Cut(refusal.Error(), "processing setOption: ")
		why = strings.TrimPrefix(cmp.Or(why, refusal.Error()), "reload refused, ")
		say(c.out, "reload refused: %s\n", c.text(why))
		return exitFailed
	}
	if c.reason != nil {
		c.reason(err)
	}
	say(c.out, "failed to tell the service to  reload\n")
	return ctlFailed
}

const (
	scribeCtrlUsage = "Usage: scribe_ctrl command [port]\n  commands: stop counters status version name alive\n"
	scribeCtrlRoot  = "root privileges are required to stop or reload the service.\n"
	scribeCtrlList  = "The following commands are available:\n\tcounters\n\tname\n\tversion\n\talive\n\tstatus\n" +
		"The following commands are available for users with root privileges:\n\tstop\n\treload\n"
)

// scribeCtrl is scribe_ctrl: its arguments, texts and exit codes.
func (a *app) scribeCtrl(ctx context.Context, args []string) int {
	if len(args) == 0 {
		say(a.stdout, scribeCtrlUsage)
		return exitUsage
	}
	port := scribePort
	if len(args) > 1 {
		port = args[1]
	}
	addr := "unix:" + port // as for the last scribe_ctrl
	if !strings.HasPrefix(port, "/") {
		n, err := strconv.ParseUint(strings.TrimSpace(port), 10, 16)
		if err != nil {
			say(a.screen, "scribe_ctrl: port %q: want a number up to 65535\n", port)
			return exitFailed
		}
		addr = "localhost:" + strconv.FormatUint(n, 10)
	}
	if (args[0] == "stop" || args[0] == "reload") && !a.isRoot() {
		say(a.stdout, scribeCtrlRoot)
		return ctlNotRoot
	}
	lines, _ := sizeOf(a.stdout)() // scripts get the text unchanged, a terminal gets no control characters
	c := &control{out: a.stdout, server: server{addr: addr}, clean: lines > 0}
	code, known := c.do(ctx, args[0])
	if !known {
		say(a.stdout, scribeCtrlList)
	}
	return code
}

// isRoot reports whether scribe_ctrl would let this user stop a server.
func (a *app) isRoot() bool { return a.uid() == 0 }
