package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
)

// tools are the other names of the binary, which are installed as links to it. Each tool takes the arguments, prints
// the texts and returns the exit codes of the original program of that name, and is implemented by the subcommands.
var tools = map[string]func(a *app, ctx context.Context, args []string) int{
	"scribed":     (*app).scribedAs,
	"scribe_cat":  (*app).scribeCat,
	"scribe_ctrl": (*app).scribeCtrl,
	"scribe_pipe": (*app).scribePipe,
	"rotatelogs":  (*app).rotateLogs,
}

// as runs the tool of that name, or else the command line of inkwell.
func (a *app) as(ctx context.Context, name string, args []string) int {
	if tool, ok := tools[name]; ok {
		return tool(a, ctx, args)
	}
	if strings.HasPrefix(name, muninPrefix) {
		return a.muninPlugin(ctx, name, args)
	}
	return a.main(ctx, args)
}

// say prints a text of another tool. A failure to print does not change the exit code.
func say(w io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) }

// The original's host and port.
const (
	scribeHost = "127.0.0.1"
	scribePort = "1463"
)

// scribeAddr completes HOST[:PORT] to an address; the original's values stand for missing parts. An address may begin
// with tls://. unix:PATH is an address too, and so is a path alone, as with the original's latest tools.
func scribeAddr(s string) (string, error) {
	if strings.HasPrefix(s, "/") {
		return "unix:" + s, nil
	}
	if strings.HasPrefix(s, "unix:/") {
		return s, nil
	}
	if rest, ok := strings.CutPrefix(s, "tls://"); ok {
		addr, err := scribeAddr(rest)
		return "tls://" + addr, err
	}
	host, port := s, scribePort
	if ip := strings.Trim(s, "[]"); net.ParseIP(ip) != nil {
		host = ip
	} else if strings.Contains(s, ":") {
		var err error
		if host, port, err = net.SplitHostPort(s); err != nil {
			return "", fmt.Errorf("%q: want HOST or HOST:PORT, as in logs.example.com:1463", s)
		}
	}
	if host == "" {
		host = scribeHost
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", fmt.Errorf("%q: the port must be a number between 1 and 65535", s)
	}
	return net.JoinHostPort(host, port), nil
}

const scribePipeUsage = "usage: scribe_pipe [-h host[:port]] [-p port] category"

// scribePipe is `inkwell pipe` with the arguments of scribe_pipe. Flags of pipe that scribe_pipe does not have can be
// set by their environment variables (INKWELL_SPOOL …).
func (a *app) scribePipe(ctx context.Context, args []string) int {
	to, port := scribeHost, ""
	for len(args) >= 2 {
		switch args[0] {
		case "-h":
			to = args[1]
		case "-p":
			port = args[1]
		default:
			say(a.screen, "%s\n", scribePipeUsage)
			return exitFailed
		}
		args = args[2:]
	}
	if len(args) != 1 || args[0] == "" || args[0][0] == '-' {
		say(a.screen, "%s\n", scribePipeUsage)
		return exitFailed
	}
	addr, err := scribeAddr(to)
	if err == nil && port != "" && !strings.HasPrefix(addr, "unix:") {
		host, _, _ := net.SplitHostPort(strings.TrimPrefix(addr, "tls://")) // which scribeAddr has put together
		addr, err = scribeAddr(net.JoinHostPort(host, port))
	}
	if err != nil {
		say(a.screen, "scribe_pipe: %v\n", err)
		return exitFailed
	}
	return a.main(ctx, []string{"pipe", "--to", addr, "--", args[0]})
}
