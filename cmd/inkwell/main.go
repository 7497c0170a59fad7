// Command inkwell ships log lines: from files and pipes, over the Scribe protocol, into rotated and compressed files
// per category.
//
//	collect   takes what is sent and writes the files        one per site
//	forward   follows files and sends their lines            one per machine
//	pipe      sends the lines of its standard input          one per daemon
//	cat, ls   what the files of a category hold, and which there are
//	audit     what is missing, twice or refused, from the manifests of collectors
//	spool     looks into a spool or journal without its owner
//	cat-to, ctl, rotatelogs   what scribe_cat, scribe_ctrl and rotatelogs do
//
// Under one of the names in names.go it behaves as the tool of that name.
//
// Each subcommand has a file of its own. It turns flags into the options of a package and does nothing else; the flags
// of collect, forward and pipe become a configuration first (flaglines.go). The subcommands share the flags from the
// environment (internal/conf), the log, signals, the status line and the exit codes, each in a file of that name.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"golang.org/x/term"

	"inkwell/internal/rpc"
)

func main() {
	// When a reader goes away (inkwell cat … | head), the write must fail; SIGPIPE must not kill the process.
	signal.Ignore(syscall.SIGPIPE)
	a := &app{stdin: os.Stdin, stdout: os.Stdout, screen: newScreen(os.Stderr, terminalWidth), lookup: os.LookupEnv,
		environ: os.Environ, uid: os.Getuid}
	a.log.dress = dressFor(os.Stderr, a.screen.terminal(), a.lookup)
	os.Exit(a.as(context.Background(), filepath.Base(os.Args[0]), os.Args[1:]))
}

// terminalWidth returns the number of columns of standard error: 80 if the terminal does not say, 0 if it is no
// terminal.
func terminalWidth() int {
	fd := int(os.Stderr.Fd())
	if !term.IsTerminal(fd) {
		return 0
	}
	if width, _, err := term.GetSize(fd); err == nil && width > 0 {
		return width
	}
	return 80
}

// app is one run of the program: its streams and whatever else the subcommands share.
type app struct {
	stdin  *os.File
	stdout io.Writer
	screen *screen // standard error
	lookup func(string) (string, bool)
	uid    func() int

	environ func() []string // all variables, as NAME=VALUE; nil = they are not looked at

	log     logging
	tls     rpc.TLSFiles // of ctl
	running bool         // the command line was understood
}

// main runs one command line, until ctx ends, and returns the exit code.
func (a *app) main(ctx context.Context, args []string) int {
	root := a.root()
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	if cmd, err := mistyped(root, args); err != nil {
		return a.finish(cmd, err)
	}
	root.SetArgs(args)
	failed, err := root.ExecuteContextC(ctx)
	return a.finish(failed, err)
}
