package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"inkwell/internal/conf"
	"inkwell/internal/status"
)

func (a *app) top() *cobra.Command {
	every := 2 * time.Second
	cmd := &cobra.Command{
		Use:   "top [HOST[:PORT]|STATE...]",
		Short: "show daemons, categories and senders on a terminal",
		Long: `top shows the state of daemons: first what is wrong and what to do about it, then each daemon,
then what goes through them: the busiest categories first, and the senders that are furthest
behind first. A collector is queried by its address, a forwarder or pipe by its state directory;
without arguments, the collector on this machine is. It is queried again every two seconds.

Keys: the arrows, j, k, Page Up, Page Down, Home and End scroll; / filters the rows by a word, Esc
removes the filter; q or Ctrl-C ends it.

If standard output is not a terminal it prints everything once, and ends with 0, or with 1 if no
daemon answered.`,
		Example: `  inkwell top
  inkwell top logs1 logs2 tls://logs3:1464 /var/lib/inkwell-forward
  inkwell top logs1 | grep nginx`,
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := a.prober(args, max(every, 5*time.Second))
			if err != nil {
				return err
			}
			size := sizeOf(a.stdout)
			if lines, _ := size(); lines == 0 || a.stdin == nil || !term.IsTerminal(int(a.stdin.Fd())) {
				return a.printTop(cmd.Context(), p)
			}
			t := &topScreen{prober: p, every: every, to: a.stdout, size: size, colours: a.wantsColours()}
			return t.run(cmd.Context(), a.stdin)
		},
	}
	cmd.Flags().Var(conf.Value(&every, "2s", "duration", parsePeriod), "every", "how often to ask")
	tlsFlags(cmd.Flags(), &a.tls)
	return cmd
}

// printTop prints everything once.
func (a *app) printTop(ctx context.Context, p *prober) error {
	v := &topView{answers: p.ask(ctx), now: time.Now()}
	lines := append(v.verdicts(), "")
	if _, err := fmt.Fprintln(a.output(), strings.Join(append(lines, v.body("")...), "\n")); err != nil {
		return err
	}
	if !slices.ContainsFunc(v.answers, func(p probe) bool {
		return p.status != nil || p.verdict.Level == status.Good || p.verdict.Level == status.Warning
	}) {
		return exitCode(exitFailed)
	}
	return nil
}

// topScreen is top on a terminal. The whole screen is drawn again at each change: an answer, a key, a new size.
type topScreen struct {
	prober *prober
	every  time.Duration
	to     io.Writer
	size   func() (lines, columns int)

	colours bool

	view     topView
	from     int    // line of the body that is shown first
	filter   string // a word that rows must have
	typing   bool   // the word is being typed
	page     int    // lines of the body that fit
	finished bool
}

const (
	enterScreen = "\x1b[?1049h\x1b[?25l" // another screen, no cursor
	leaveScreen = "\x1b[?25h\x1b[?1049l"
)

// run shows the screen until a key or a signal ends it, and restores the terminal.
func (t *topScreen) run(ctx context.Context, keys *os.File) (err error) {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT)
	defer stop()
	before, err := term.MakeRaw(int(keys.Fd()))
	if err != nil {
		return fmt.Errorf("prepare the terminal: %w", err)
	}
	defer func() {
		_, werr := io.WriteString(t.to, leaveScreen)
		err = errors.Join(err, werr, term.Restore(int(keys.Fd()), before))
	}()
	if _, err := io.WriteString(t.to, enterScreen); err != nil {
		return err
	}
	resized := make(chan os.Signal, 1)
	signal.Notify(resized, syscall.SIGWINCH)
	defer signal.Stop(resized)
	pressed := make(chan []byte)
	go readKeys(ctx, keys, pressed) // a read of a terminal cannot be broken off: it ends with the process
	answers := make(chan []probe, 1)
	ask := func() { answers <- t.prober.ask(ctx) }
	go ask()
	next := time.NewTimer(time.Hour) // runs from the first answers on, so that queries do not overlap
	defer next.Stop()
	for !t.finished {
		if err := t.draw(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-resized:
		case key := <-pressed:
			for _, k := range keysIn(string(key)) {
				t.press(k)
			}
		case t.view.answers = <-answers:
			next.Reset(t.every)
		case <-next.C:
			go ask()
		}
	}
	return nil
}

// readKeys passes on typed keys.
func readKeys(ctx context.Context, from *os.File, to chan<- []byte) {
	buf := make([]byte, 64)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		select {
		case to <- bytes.Clone(buf[:n]):
		case <-ctx.Done():
			return
		}
	}
}

// keysIn splits the result of one read into keys: characters, and sequences that begin with Esc, such as arrows.
func keysIn(text string) (keys []string) {
	for text != "" {
		n := 1
		switch {
		case len(text) > 2 && text[0] == 0x1b && (text[1] == '[' || text[1] == 'O'):
			n = 3
			for text[n-1] < '@' && n < len(text) { // parameters, up to the letter or ~ that ends it
				n++
			}
		case text[0] != 0x1b:
			_, n = utf8.DecodeRuneInString(text)
		}
		keys, text = append(keys, text[:n]), text[n:]
	}
	return keys
}

// press handles a key.
func (t *topScreen) press(key string) {
	switch {
	case key == "\x03": // Ctrl-C
		t.finished = true
	case t.typing && key == "\x1b":
		t.typing, t.filter = false, ""
	case t.typing && (key == "\r" || key == "\n"):
		t.typing = false
	case t.typing && (key == "\x7f" || key == "\b"):
		_, last := utf8.DecodeLastRuneInString(t.filter)
		t.filter = t.filter[:len(t.filter)-last]
	case t.typing && key >= " " && utf8.ValidString(key):
		t.filter, t.from = t.filter+key, 0
	case key == "q":
		t.finished = true
	case key == "/":
		t.typing, t.filter, t.from = true, "", 0
	case key == "\x1b":
		t.filter = ""
	default:
		t.scroll(key)
	}
}

// scroll moves the view; draw keeps it within bounds.
func (t *topScreen) scroll(key string) {
	switch key {
	case "\x1b[A", "\x1bOA", "k":
		t.from--
	case "\x1b[B", "\x1bOB", "j":
		t.from++
	case "\x1b[5~":
		t.from -= t.page
	case "\x1b[6~", " ":
		t.from += t.page
	case "\x1b[H", "\x1b[1~", "\x1bOH", "g":
		t.from = 0
	case "\x1b[F", "\x1b[4~", "\x1bOF", "G":
		t.from = 1 << 30
	}
}

// draw shows the title, the verdicts on a third of the screen at most, and the body from the scroll position on.
func (t *topScreen) draw() error {
	t.view.now = time.Now()
	lines, columns := t.size()
	screen := []string{t.head(), ""}
	verdicts := []string{"asking …"}
	if t.view.answers != nil {
		verdicts = t.view.verdicts()
	}
	screen = append(append(screen, foldAll(verdicts, max(lines/3, 2), columns)...), "")
	body := t.view.body(t.filter)
	t.page = max(lines-len(screen), 1)
	t.from = min(max(t.from, 0), max(len(body)-t.page, 0))
	screen = append(screen, body[t.from:min(t.from+t.page, len(body))]...)
	var out bytes.Buffer
	out.WriteString("\x1b[H")
	for i, line := range screen[:min(len(screen), lines)] {
		if i > 0 {
			out.WriteString("\r\n")
		}
		line = cutTo(line, columns)
		if t.colours {
			line = coloured(line)
		}
		out.WriteString(line + "\x1b[K")
	}
	out.WriteString("\x1b[J")
	_, err := t.to.Write(out.Bytes())
	return err
}

// foldAll folds texts to a number of columns, and returns as many of them as have space in a number of lines, at least
// 2: the first one as far as it fits, the others whole.
func foldAll(texts []string, lines, columns int) (list []string) {
	for i, text := range texts {
		folded := fold(text, columns)
		if i == 0 {
			folded = folded[:min(len(folded), lines)]
		}
		space := lines - len(list)
		if left := len(texts) - i; i > 0 && (len(folded) > space || left > 1 && len(folded) == space) {
			return append(list[:min(len(list), lines-1)], fmt.Sprintf("and %d more", left))
		}
		list = append(list, folded...)
	}
	return list
}

// head returns the title line.
func (t *topScreen) head() string {
	what := fmt.Sprintf("inkwell top  %s  %s", t.view.now.Format("15:04:05"), count(len(t.prober.servers), "daemon"))
	switch {
	case t.typing:
		return what + "  /" + t.filter + "_"
	case t.filter != "":
		return what + "  rows with " + t.filter + " (Esc: all)"
	}
	return what + "  q quit  / filter  arrows scroll"
}

// coloured adds a colour to a line according to its level.
func coloured(line string) string {
	for word, colour := range map[string]string{"CRITICAL ": "\x1b[31m", "UNKNOWN ": "\x1b[35m", "WARNING ": "\x1b[33m",
		"OK ": "\x1b[32m"} {
		if strings.HasPrefix(line, word) {
			return colour + line + "\x1b[0m"
		}
	}
	return line
}
