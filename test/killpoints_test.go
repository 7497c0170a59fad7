package test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"inkwell/internal/killpoint"
	"inkwell/test/harness"
)

// killTimes is how often each point is died at. INKWELL_TEST_KILLS says another number (make killpoints: 20).
const killTimes = 3

// atOnce is how many points are died at at the same time: they wait more than they work.
const atOnce = 4

// tuned makes what is rare in production happen all the time.
var tuned = []string{"INKWELL_SEGMENT_BYTES=4096", "INKWELL_CUT_EVERY=100000000", "INKWELL_BLOCK_WAIT=100000000"}

// killInk is the program with the points in it.
var killInk = sync.OnceValues(func() (harness.Inkwell, error) {
	return harness.Build(filepath.Dir(ink.Path), ink.Race, "killpoints")
})

// roles says which programs come by a point.
func roles(name string) []string {
	all := func(names ...string) []string { return names }
	switch stage, _, _ := strings.Cut(name, "."); {
	case name == "rpc.call.sent" || stage == "buffer" || stage == "replay":
		return all("forwarder", "relay")
	case stage == "depot":
		return all("configured")
	case name == "plain.told": // who writes scribe_stats
		return all("scribed")
	case stage == "plain":
		return all("scribed", "configured")
	case name == "spool.retire.unlinked", stage == "rotate", stage == "lines", stage == "rpc": // a forwarder's spool is seldom so full
		return all("collector", "configured", "scribed")
	case strings.HasPrefix(name, "spool.commit."):
		return all("collector", "forwarder", "relay")
	case stage == "spool", stage == "replace":
		return all("configured", "scribed", "forwarder")
	case name == "outlet.marked", name == "outlet.synced", stage == "manifest", strings.HasPrefix(name, "checkpoint.books."):
		return all("collector", "configured", "scribed")
	case stage == "outlet", stage == "checkpoint":
		return all("configured", "collector", "relay", "scribed")
	}
	return all("forwarder")
}

// TestKillPoints dies at every point, early and late, and looks for what is missing, twice, or not what was sent.
func TestKillPoints(t *testing.T) {
	t.Parallel()
	times := killTimes
	if text := os.Getenv("INKWELL_TEST_KILLS"); text != "" {
		var err error
		if times, err = strconv.Atoi(text); err != nil || times < 1 {
			t.Fatalf("INKWELL_TEST_KILLS=%q: must be a number from 1", text)
		}
	}
	program, err := killInk()
	if err != nil {
		t.Fatal(err)
	}
	sum := new(figures)
	var died sync.Map // by name; those that -run leaves out are not in it
	t.Run("points", func(t *testing.T) {
		free := make(chan struct{}, atOnce)
		for _, p := range killpoint.Points {
			if strings.HasPrefix(p.Name, "move.") { // TestJournalMoveKilled dies there
				continue
			}
			t.Run(p.Name, func(t *testing.T) {
				t.Parallel()
				free <- struct{}{}
				defer func() { <-free }()
				n := 0
				defer func() { died.Store(p.Name, n) }()
				all := roles(p.Name)
				for i, role := range all[:min(len(all), times)] {
					d := &deaths{t: t, program: program, point: p, first: i, step: len(all), times: times, sum: sum}
					d.run(role)
					n += d.died
				}
			})
		}
	})
	points := 0
	died.Range(func(name, n any) bool {
		points++
		if n.(int) < times {
			t.Errorf("%s: died there %d times, want %d", name, n, times)
		}
		return true
	})
	sum.log(t)
	sum.enough(t, times*points)
}

// TestKillPointsAreListed compares the list with the source.
func TestKillPointsAreListed(t *testing.T) {
	t.Parallel()
	used := make(map[string]int)
	err := filepath.WalkDir("..", func(path string, e fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return err
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if f, ok := call.Fun.(*ast.SelectorExpr); !ok || f.Sel.Name != "Reach" {
				return true
			}
			name, ok := call.Args[0].(*ast.BasicLit)
			if !ok {
				t.Errorf("%s: the name of a point must stand there", set.Position(call.Pos()))
				return true
			}
			text, err := strconv.Unquote(name.Value)
			if err != nil {
				t.Error(err)
			}
			used[text]++
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range killpoint.Points {
		if used[p.Name] != 1 {
			t.Errorf("%s is listed, and used %d times: a point is one place", p.Name, used[p.Name])
		}
		if p.What == "" || p.Most < 1 {
			t.Errorf("%s: what has happened there, and how often it is reached, has to be said", p.Name)
		}
		delete(used, p.Name)
	}
	for name := range used {
		t.Errorf("%s is used and not in killpoint.Points", name)
	}
	if len(killpoint.Points) < 40 {
		t.Errorf("%d points only", len(killpoint.Points))
	}
}

// deaths is what one point is told to do to one program.
type deaths struct {
	t       *testing.T
	program harness.Inkwell
	point   killpoint.Point
	first   int // of all times that are this program's, one in step is
	step    int
	times   int // by all programs
	died    int
	sum     *figures
}

func (d *deaths) run(role string) {
	t := d.t
	w := newWorld(t, d.program, role)
	w.begin()
	started := time.Now()
	for i := d.first; i < d.times; i += d.step {
		d.die(w, i)
	}
	took := time.Since(started)
	w.start()
	w.ready()
	w.livesOn()
	w.end()
	w.judge()
	w.figures.kills = d.died
	d.sum.add(&w.figures)
	t.Logf("%s: %d deaths in %v; %s", role, d.died, took.Round(10*time.Millisecond), w.figures.String())
}

// die has the victim die once at the point. What is reached while a program starts has to be prepared by another death.
func (d *deaths) die(w *world, i int) {
	d.t.Helper()
	recovers := strings.Contains(d.point.Name, "recover")
	for attempt := range 100 {
		switch {
		case d.point.Name == "rotate.recover.removed": // what no checkpoint knows is there for a moment only
			p := w.start(fmt.Sprintf("INKWELL_KILL=rotate.block.written:%d", 1+(i+attempt)%5))
			harness.Until(d.t, "it dies with a block that no checkpoint knows", p.Ended)
		case recovers:
			p := w.start()
			w.ready()
			harness.Until(d.t, "the files are written to", func() bool { return w.wrote(p, d.point.Name) })
			time.Sleep(time.Duration((150+100*i+170*attempt)%1100) * time.Millisecond) // what is left depends on the moment
			p.Kill()
		}
		n := d.arrival(w.role, i)
		p := w.start(fmt.Sprintf("INKWELL_KILL=%s:%d", d.point.Name, n))
		var works time.Time
		harness.Until(d.t, fmt.Sprintf("%s: the %s dies at arrival %d", d.point.Name, w.role, n), func() bool {
			if works.IsZero() && recovers && w.works() && w.wrote(p, d.point.Name) {
				works = time.Now()
			}
			// One file was brought in order, or there was nothing to do; the others come with the first entries for them.
			return p.Ended() || !works.IsZero() && time.Since(works) > time.Second
		})
		if p.Died() {
			d.died++
			return
		}
		if p.Ended() {
			d.t.Fatalf("%s: the %s ends by itself: %s\n%s", d.point.Name, w.role, p, p.Stderr())
		}
		p.Kill()
	}
	d.t.Fatalf("%s: the %s does not come by", d.point.Name, w.role)
}

// arrival is the one to die at the i-th time: early ones first, then ever later ones. A forwarder replaces its positions as it starts,
// and uses its spool while the network is away.
func (d *deaths) arrival(role string, i int) int {
	most := d.point.Most
	if role == "forwarder" && strings.HasPrefix(d.point.Name, "replace.") {
		most = 1
	} else if role == "forwarder" {
		most = min(most, 12)
	}
	if role == "forwarder" && strings.HasPrefix(d.point.Name, "spool.") {
		most = min(most, 4)
	}
	x := float64(i) / float64(max(1, d.times-1))
	return 1 + int(math.Round(x*x*float64(most-1)))
}

// TestKillPointVariablesAreKnown to the builds in which they have an effect, and are warned of in the others.
func TestKillPointVariablesAreKnown(t *testing.T) {
	t.Parallel()
	program, err := killInk()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{killpoint.SegmentBytes, killpoint.BlockWait, killpoint.CutEvery, killpoint.MoveBatch, killpoint.ClockVariable} {
		env := []string{name + "=1"}
		with := program.Start(t, harness.Command{Args: []string{"version"}, Env: env})
		with.Expect(t, 0)
		if text := with.Stderr(); text != "" {
			t.Errorf("a build with kill points says of %s: %s", name, text)
		}
		without := ink.Start(t, harness.Command{Args: []string{"version"}, Env: env})
		without.Expect(t, 0)
		if text := without.Stderr(); !strings.Contains(text, name+" stands for no flag and has no effect") {
			t.Errorf("a build without kill points says of %s: %s", name, text)
		}
	}
}
