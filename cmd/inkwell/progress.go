package main

import (
	"fmt"
	"os"
	"sync"
	"time"

	"inkwell/archive"
)

// progressEvery is the time between two updates of the line.
const progressEvery = time.Second / 10

// progress shows on a terminal how far a task is and how long it will take: the live line of the screen, from the first
// second on. The nil progress shows nothing. Safe for concurrent use.
type progress struct {
	screen *screen

	mu          sync.Mutex
	began       time.Time // of the step
	shown       time.Time
	what        string // the step; "" if the task has one step only
	done, whole int64  // bytes
	unitless    bool   // done and whole are not bytes
}

// progress returns the progress of a task that prints when it is done, after end. whole is 0 if at or step will tell
// it.
func (a *app) progress(whole int64) *progress {
	if !a.screen.terminal() {
		return nil
	}
	now := time.Now()
	return &progress{screen: a.screen, whole: whole, began: now, shown: now.Add(a.screen.after - progressEvery)}
}

// printingProgress returns the progress of a task that prints while it runs. Into a pipe it shows nothing: the program
// at the other end, such as less, may write to the same terminal.
func (a *app) printingProgress(whole int64) *progress {
	if f, ok := a.stdout.(*os.File); ok {
		if st, err := f.Stat(); err != nil || st.Mode()&(os.ModeNamedPipe|os.ModeSocket) != 0 {
			return nil
		}
	}
	return a.progress(whole)
}

// bytesOf returns the bytes of all files of list.
func bytesOf(list []archive.Series) (n int64) {
	for _, s := range list {
		for _, f := range s.Files {
			n += f.Size
		}
	}
	return n
}

// add counts bytes that are done.
func (p *progress) add(n int64) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done += n
	p.show()
}

// at says how far the task is.
func (p *progress) at(done, whole int64) { p.step("", done, whole) }

// step says how far a step of the task is. Steps are measured in bytes or in anything else, so that the line shows a
// share and a time.
func (p *progress) step(what string, done, whole int64) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if what != p.what {
		p.what, p.began, p.unitless = what, time.Now(), true
	}
	p.done, p.whole = done, whole
	p.show()
}

// show updates the line, now and then. The caller holds mu.
func (p *progress) show() {
	now := time.Now()
	if now.Sub(p.shown) < progressEvery {
		return
	}
	p.shown = now
	p.screen.show(p.line(now.Sub(p.began), p.screen.width()))
}

// line returns the text for a terminal of that width, after d.
func (p *progress) line(d time.Duration, width int) string {
	done, whole := min(p.done, p.whole), max(p.whole, 1)
	rate := float64(done) / max(d.Seconds(), 0.001)
	parts := []linePart{
		{bar(done, whole, 24), 5},
		{fmt.Sprintf("%d %%", int(float64(done)/float64(whole)*100)), 0},
		{printable(p.what), 2},
	}
	if !p.unitless {
		parts = append(parts, linePart{size(done) + " of " + size(p.whole), 3}, linePart{size(int64(rate)) + "/s", 4})
	}
	if done > 0 && done < p.whole {
		left := time.Duration(float64(whole-done)/rate) * time.Second
		parts = append(parts, linePart{left.String() + " left", 1})
	}
	return fitted(parts, width)
}

// end removes the line. It may be called again.
func (p *progress) end() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shown = time.Now().Add(24 * time.Hour) // nothing is shown any more
	p.screen.show("")
}
