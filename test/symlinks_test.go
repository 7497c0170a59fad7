package test

import (
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"inkwell/test/harness"
)

// elsewhere is a place that no daemon may touch.
type elsewhere struct {
	dir    string
	before string
}

func newElsewhere(t *testing.T) elsewhere {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	harness.WriteFile(t, filepath.Join(dir, "victim"), "precious\n")
	harness.WriteFile(t, filepath.Join(dir, "sub", "victim"), "precious, too\n")
	return elsewhere{dir, describe(t, dir)}
}

func (o elsewhere) at(name string) string { return filepath.Join(o.dir, name) }

// describe is everything about a tree that somebody could have changed.
func describe(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		fmt.Fprintf(&all, "%s %v %v", path, info.Mode(), info.ModTime())
		if info.Mode().IsRegular() {
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(&all, " %q", text)
		}
		fmt.Fprintln(&all)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

func (o elsewhere) untouched(t *testing.T) {
	t.Helper()
	if after := describe(t, o.dir); after != o.before {
		t.Errorf("what lies outside was touched:\n%swas\n%s", after, o.before)
	}
}

// plant makes links below dir; parents are made where they are missing.
func plant(t *testing.T, dir string, links map[string]string) {
	t.Helper()
	for name, target := range links {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, path); err != nil {
			t.Fatal(err)
		}
	}
}

func removeAll(t *testing.T, dir string, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
}

// sendTo sends line number n of each category, whose name is that of the source.
func sendTo(t *testing.T, addr string, n int, categories ...string) {
	t.Helper()
	s := dialScribe(t, addr)
	for _, c := range categories {
		mustLog(t, s, harness.Entry{Category: c, Message: string(harness.AppendLine(nil, c, n))})
	}
}

// taken says whether nothing of the categories, of which something came in, waits for its files.
func taken(t *testing.T, c *harness.Collector, categories ...string) bool {
	t.Helper()
	for _, category := range categories {
		if c.Counter(t, category+":received good") == 0 || c.Counter(t, category+":queue bytes") > 0 {
			return false
		}
	}
	return true
}

// today is the date in the names of files; a test that runs over midnight plants a name too few.
func today() string { return time.Now().Format("2006-01-02") }

// TestCollectorFollowsNoPlantedLink: links that stand below --dir before the start. What cannot be written waits in the journal and is
// told; the other categories go on; when the links are gone everything is there.
func TestCollectorFollowsNoPlantedLink(t *testing.T) {
	t.Parallel()
	for _, codec := range []string{"gzip", "zstd", "none"} {
		t.Run(codec, func(t *testing.T) {
			t.Parallel()
			dir, o := t.TempDir(), newElsewhere(t)
			suffix := map[string]string{"gzip": ".gz", "zstd": ".zst", "none": ""}[codec]
			plant(t, dir, map[string]string{
				"away":            o.dir,
				"inner":           "good",
				"cur/cur_current": o.at("victim"),
				".manifest":       o.at("victim"),
				"books/.manifest": o.at("new"),
				"open/.open-" + today() + "_00000" + suffix + ".open": o.at("new"),
				"final/final-" + today() + "_00000" + suffix:          o.at("victim"),
			})
			categories := []string{"away", "inner", "cur", "books", "open", "final", "good"}
			c := ink.Collect(t, dir, "--compress", codec)
			sendTo(t, c.Addr, 0, categories...)
			harness.Until(t, "the other categories are written and the links are told", func() bool {
				text := c.Stderr()
				return taken(t, c, "cur", "books", "good") && strings.Contains(text, filepath.Join(dir, "away")) && strings.Contains(text, filepath.Join(dir, "inner")) && strings.Contains(text, "symbolic link")
			})
			c.StopAnyhow(t)
			o.untouched(t)
			harness.Audit(t, dir, "good").Exactly(t, map[string]int{"good": 1})
			removeAll(t, dir, "away", "inner", ".manifest", "books/.manifest")
			c.Restart(t)
			c.Stop(t)
			o.untouched(t)
			removeAll(t, dir, "final/final-"+today()+"_00000"+suffix, "open/.open-"+today()+"_00000"+suffix+".open")
			for _, category := range categories {
				harness.Audit(t, dir, category).Exactly(t, map[string]int{category: 1})
			}
			harness.Clean(t, dir)
			if link, err := os.Readlink(filepath.Join(dir, "cur", "cur_current")); codec == "none" && (err != nil || strings.Contains(link, "victim")) {
				t.Errorf("the link to the newest file points to %q, %v", link, err)
			}
		})
	}
}

// TestCollectorFollowsNoLinkWhileRunning: the directory of a category, the names that come next, and after a crash the open file are
// replaced by links.
func TestCollectorFollowsNoLinkWhileRunning(t *testing.T) {
	t.Parallel()
	dir, o := t.TempDir(), newElsewhere(t)
	c := ink.Collect(t, dir, "--keep-open", "--max-size", "100KB")
	sendTo(t, c.Addr, 0, "moved", "next", "crashed", "good")
	harness.Until(t, "files are open", func() bool { return len(harness.Unfinished(t, dir)) == 4 })
	if err := os.Rename(filepath.Join(dir, "moved"), filepath.Join(dir, "elsewhere")); err != nil {
		t.Fatal(err)
	}
	next := map[string]string{"moved": o.dir}
	for n := range 3 {
		next[fmt.Sprintf("next/next-%s_%05d.gz", today(), n)] = o.at("victim")
		next[fmt.Sprintf("next/.next-%s_%05d.gz.open", today(), n+1)] = o.at("new")
	}
	plant(t, dir, next)
	sendTo(t, c.Addr, 1, "moved", "next", "crashed", "good")
	harness.Until(t, "lines are written", func() bool { return taken(t, c, "good", "crashed") })
	o.untouched(t)
	c.Kill()
	open := filepath.Join("crashed", ".crashed-"+today()+"_00000.gz.open")
	removeAll(t, dir, open)
	plant(t, dir, map[string]string{open: o.at("victim")})
	c.Restart(t)
	sendTo(t, c.Addr, 2, "moved", "next", "crashed", "good")
	harness.Until(t, "the link is told, the others go on", func() bool {
		return taken(t, c, "good") && strings.Contains(c.Stderr(), "symbolic link")
	})
	c.StopAnyhow(t)
	o.untouched(t)
}

// scribedLinks is a configuration with a model for every category, one of each kind of file, and a buffer.
const scribedLinks = `
port={PORT}
max_queue_size=10000000
check_interval=1
<store>
category=default
type=multi
<store0>
type=file
file_path={DIR}/plain
rotate_period=daily
add_newlines=0
write_stats=yes
</store0>
<store1>
type=buffer
retry_interval=1
<primary>
type=network
remote_host=127.0.0.1
remote_port=1
timeout=100
</primary>
<secondary>
type=file
file_path={DIR}/buffer
</secondary>
</store1>
</store>
`

// TestScribedFollowsNoPlantedLink is the same for the stores of a configuration: plain files and the spools of buffers.
func TestScribedFollowsNoPlantedLink(t *testing.T) {
	t.Parallel()
	s := ink.NewScribed(t, scribedLinks)
	o := newElsewhere(t)
	plain, buffer := filepath.Join(s.Dir, "plain"), filepath.Join(s.Dir, "buffer")
	plant(t, plain, map[string]string{
		"away":                              o.dir,
		"inner":                             "good",
		"cur/cur_current":                   o.at("victim"),
		"stats/scribe_stats":                o.at("victim"),
		"final/final-" + today() + "_00000": o.at("victim"),
		"spooled/.spooled-" + today() + "_00000.open": o.at("new"),
	})
	plant(t, buffer, map[string]string{"spooled/spooled.spool": o.dir, "cur": "good"})
	s.Restart(t)
	categories := []string{"away", "inner", "cur", "stats", "final", "spooled", "good"}
	sendTo(t, s.Addr, 0, categories...)
	written := func(category string) func() bool {
		return func() bool {
			paths, _ := filepath.Glob(filepath.Join(plain, category, category+"-*"))
			for _, path := range paths {
				info, err := os.Lstat(path)
				if err == nil && info.Mode().IsRegular() && info.Size() > 0 {
					return true
				}
			}
			return false
		}
	}
	for _, category := range []string{"cur", "stats", "final", "spooled", "good"} {
		harness.Until(t, category+" is written", written(category))
	}
	harness.Until(t, "the links are told", func() bool {
		text := s.Stderr()
		return strings.Contains(text, filepath.Join(plain, "away")) && strings.Contains(text, filepath.Join(buffer, "spooled", "spooled.spool")) && strings.Contains(text, "symbolic link")
	})
	s.Becomes(t, harness.Warning, "")
	if err := os.Rename(filepath.Join(plain, "good"), filepath.Join(plain, "elsewhere")); err != nil { // while it runs
		t.Fatal(err)
	}
	plant(t, plain, map[string]string{"good": o.dir})
	sendTo(t, s.Addr, 1, "good", "final")
	harness.Until(t, "the directory that is a link now is told", func() bool { return strings.Contains(s.Stderr(), filepath.Join(plain, "good")) })
	o.untouched(t)
	removeAll(t, plain, "away", "inner", "good")
	harness.Until(t, "away is written when the link is gone", written("away"))
	s.Signal(os.Interrupt)
	s.Wait(t)
	o.untouched(t)
}

// TestStateIsNoPlantedLink: a daemon whose state has a link in it says so, ends, and leaves alone what the link points to.
func TestStateIsNoPlantedLink(t *testing.T) {
	t.Parallel()
	segment := "0000000000000000.log"
	in := t.TempDir()
	harness.WriteFile(t, filepath.Join(in, "app.log"), "line\n")
	configured := harness.FreeAddr(t)
	_, port, _ := net.SplitHostPort(configured)
	collect := "collect-" + port // the state of a configured collector has its port
	for _, test := range []struct {
		name  string
		links []string
		args  func(state string) []string
	}{
		{"collect", []string{"lock", "checkpoint", "journal", "journal/" + segment, "journal/ack", "journal/lock"}, func(state string) []string {
			return []string{"collect", "--listen", harness.FreeAddr(t), "--dir", t.TempDir(), "--state", state}
		}},
		{"collect below", []string{".inkwell", ".inkwell/lock", ".inkwell/checkpoint", ".inkwell/journal"}, func(state string) []string {
			return []string{"collect", "--listen", harness.FreeAddr(t), "--dir", state}
		}},
		{"configured", []string{collect, collect + "/lock", collect + "/checkpoint", collect + "/journal", collect + "/journal/" + segment}, func(state string) []string {
			conf := filepath.Join(t.TempDir(), "conf")
			harness.WriteFile(t, conf, fmt.Sprintf("inkwell 1\nlisten=%s\nstate_dir=%s\n<store>\ncategory=default\ntype=file\nfile_path=%s\n</store>\n", configured, state, t.TempDir()))
			return []string{"collect", "-c", conf}
		}},
		{"configured forward", []string{"forward", "forward/positions", "forward/spool"}, func(state string) []string {
			conf := filepath.Join(t.TempDir(), "conf")
			harness.WriteFile(t, conf, fmt.Sprintf("inkwell 1\nstate_dir=%s\n<tail>\ncategory=app\npath=%s/app.log\n</tail>\n<store>\ncategory=default\ntype=network\nservice_list=127.0.0.1:1\n</store>\n", state, in))
			return []string{"forward", "-c", conf}
		}},
		{"forward", []string{"lock", "positions", "spool", "spool/" + segment, "spool/lock"}, func(state string) []string {
			return []string{"forward", "--to", "127.0.0.1:1", "--state", state, "app=" + filepath.Join(in, "app.log")}
		}},
		{"pipe", []string{"lock", segment, "ack"}, func(state string) []string {
			return []string{"pipe", "--to", "127.0.0.1:1", "--drain-timeout", "1s", "--spool", state, "app"}
		}},
	} {
		for _, link := range test.links {
			t.Run(test.name+"/"+link, func(t *testing.T) {
				state, o := t.TempDir(), newElsewhere(t)
				target := o.at("victim")
				if base := filepath.Base(link); base == "journal" || base == "spool" || base == ".inkwell" || base == collect || base == "forward" {
					target = o.dir
				}
				plant(t, state, map[string]string{link: target})
				args := test.args(state)
				r := ink.Run(t, args...)
				if r.Code != 1 || !strings.Contains(r.Stderr, filepath.Join(state, link)) || !strings.Contains(r.Stderr, "symbolic link") {
					t.Errorf("%q ends with %d:\n%s", args, r.Code, r.Stderr)
				}
				o.untouched(t)
			})
		}
	}
}

// TestModes: files are 0640 and directories 0750, less what the umask takes.
func TestModes(t *testing.T) {
	t.Parallel()
	for _, umask := range []fs.FileMode{0, 0o027, 0o077} {
		t.Run(fmt.Sprintf("%04o", umask), func(t *testing.T) {
			t.Parallel()
			top := t.TempDir()
			masked := func(args ...string) harness.Command {
				return harness.Command{Program: "/bin/sh", Args: append([]string{"-c", fmt.Sprintf(`umask %04o; exec "$0" "$@"`, umask), ink.Path}, args...)}
			}
			run := func(addr string, args ...string) {
				c := &harness.Collector{Process: ink.Start(t, masked(args...)), Addr: addr}
				c.Listening(t)
				sendTo(t, addr, 0, "web", "../unsafe")
				if r := ink.RunCommand(t, masked("forward", "--once", "--to", addr, "--state", filepath.Join(top, "forward"), "app="+filepath.Join("..", "go.mod"))); r.Code != 0 {
					t.Errorf("forward ends with %d\n%s", r.Code, r.Stderr)
				}
				c.Stop(t)
			}
			for i, codec := range []string{"gzip", "none"} {
				addr := harness.FreeAddr(t)
				run(addr, "collect", "--listen", addr, "--compress", codec, "--dir", filepath.Join(top, fmt.Sprint("out", i)))
			}
			conf := filepath.Join(t.TempDir(), "conf")
			addr := harness.FreeAddr(t)
			harness.WriteFile(t, conf, fmt.Sprintf("inkwell 1\nlisten=%s\nstate_dir=%s/state\n<store>\ncategory=default\ntype=file\nwrite_stats=yes\nfile_path=%s/plain\n</store>\n", addr, top, top))
			run(addr, "collect", "-c", conf)
			seen := 0
			err := filepath.WalkDir(top, func(path string, e fs.DirEntry, err error) error {
				if err != nil || path == top {
					return err
				}
				info, err := e.Info()
				if err != nil {
					return err
				}
				want := 0o640 &^ umask
				if e.IsDir() {
					want = (0o750 &^ umask) | fs.ModeDir
				}
				if seen++; info.Mode() != want && info.Mode()&fs.ModeSymlink == 0 {
					t.Errorf("%s: %v, want %v", path, info.Mode(), want)
				}
				return nil
			})
			if err != nil || seen < 30 {
				t.Errorf("%d files and directories were looked at, %v", seen, err)
			}
		})
	}
}
