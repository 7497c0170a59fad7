package forwarder

import (
	"fmt"
	"os"
	"testing"
	"time"
)

// TestNamesAndLinks: whatever names and links there are for a file, each line comes once.
func TestNamesAndLinks(t *testing.T) {
	link := func(r *rig, target, name string) {
		r.t.Helper()
		if err := os.Symlink(target, r.path("tmp")); err != nil {
			r.t.Fatal(err)
		}
		r.rename("tmp", name)
	}
	for _, tt := range []struct {
		name string
		glob string
		from func(r *rig)
		then func(r *rig, write func(name string))
	}{
		{"glog: a link beside what it points to, both match", "app*", func(r *rig) {
			r.write("app.INFO.1", "")
			link(r, "app.INFO.1", "app.INFO")
		}, func(r *rig, write func(name string)) {
			for i := 1; i < 4; i++ {
				write(fmt.Sprintf("app.INFO.%d", i))
				next := fmt.Sprintf("app.INFO.%d", i+1)
				write(next)
				link(r, next, "app.INFO")
				write(next)
			}
		}},
		{"two names of one file, the first is removed", "*.log", func(r *rig) {
			r.write("a.log", "")
			if err := os.Link(r.path("a.log"), r.path("b.log")); err != nil {
				r.t.Fatal(err)
			}
		}, func(r *rig, write func(name string)) {
			write("b.log")
			r.remove("a.log")
			write("b.log")
			write("a.log")
			if err := os.Link(r.path("b.log"), r.path("c.log")); err != nil {
				r.t.Fatal(err)
			}
			write("c.log")
		}},
		{"the directory is renamed, and made again", "*/app.log", func(r *rig) {
			if err := os.Mkdir(r.path("a"), 0o755); err != nil {
				r.t.Fatal(err)
			}
			r.write("a/app.log", "")
		}, func(r *rig, write func(name string)) {
			write("a/app.log")
			r.rename("a", "b")
			write("b/app.log")
			if err := os.Mkdir(r.path("a"), 0o755); err != nil {
				r.t.Fatal(err)
			}
			write("a/app.log")
			write("b/app.log")
		}},
		{"odd names", "*", func(*rig) {}, func(r *rig, write func(name string)) {
			for _, name := range []string{"a\nb", "\xff\xfe", `"a\n\`, " ", "%d%s", "a=b", "\u202e"} {
				write(name)
				r.rename(name, name+".1")
				write(name)
			}
		}},
	} {
		for _, down := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, down: %v", tt.name, down), func(t *testing.T) {
				t.Parallel()
				r := newRig(t, tt.glob)
				var want []string
				write := func(name string) {
					lines := numbered("line", len(want), len(want)+3)
					want = append(want, lines...)
					r.write(name, joined(lines))
					if !down {
						time.Sleep(r.timing.poll)
					}
				}
				r.write("first.log", "")
				tt.from(r)
				r.start()
				r.until("the first look", func() bool { return r.counter("lines read") == 0 && len(readAll(t, r.state)) > 100 })
				if down {
					r.stop()
				}
				tt.then(r, write)
				if down {
					r.start()
				}
				r.until("all lines", func() bool { return r.store.count("c") >= len(want) })
				r.settle()
				times := make(map[string]int)
				for _, line := range r.store.get("c") {
					times[line]++
				}
				for _, line := range want {
					if times[line] != 1 {
						t.Errorf("%q came %d times", line, times[line])
					}
				}
			})
		}
	}
}
