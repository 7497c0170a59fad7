package test

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"inkwell/test/harness"
)

// maxExposure is the largest exposure level that a unit may have, of 10.
const maxExposure = 3.0

// unit is a packaged unit: its lines as they stand, by key.
type unit struct {
	path  string
	text  string
	lines map[string][]string
}

func units(t *testing.T) (all []unit) {
	t.Helper()
	paths, err := filepath.Glob("../packaging/systemd/*.service")
	if err != nil || len(paths) != 3 {
		t.Fatalf("units %q, %v", paths, err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		u := unit{path: path, text: string(text), lines: make(map[string][]string)}
		for line := range strings.Lines(u.text) {
			if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(key, "#") {
				u.lines[key] = append(u.lines[key], value)
			}
		}
		all = append(all, u)
	}
	return all
}

// TestUnitsAreRightAndHard has systemd's own tools look at the packaged units.
func TestUnitsAreRightAndHard(t *testing.T) {
	t.Parallel()
	for _, u := range units(t) {
		// systemd looks for the program.
		path := filepath.Join(t.TempDir(), filepath.Base(u.path))
		harness.WriteFile(t, path, strings.ReplaceAll(u.text, "/usr/bin/inkwell", ink.Path))
		checkUnit(t, path)
	}
}

// level is what systemd says of the hardness of a unit.
var level = regexp.MustCompile(`Overall exposure level for \S+: ([0-9.]+)`)

// checkUnit has systemd look at a unit.
func checkUnit(t *testing.T, path string) {
	t.Helper()
	if out := harness.Tool(t, "systemd-analyze", "verify", "--man=no", path); out != "" {
		t.Errorf("%s: %s", path, out)
	}
	out := harness.Tool(t, "systemd-analyze", "security", "--offline=true", "--no-pager", path)
	found := level.FindStringSubmatch(out)
	if found == nil {
		t.Fatalf("%s: no level in\n%s", path, out)
	}
	if n, err := strconv.ParseFloat(found[1], 64); err != nil || n > maxExposure {
		t.Errorf("%s: exposure %s, more than %v\n%s", path, found[1], maxExposure, out)
	}
}

// TestUnitsStartWhatThereIs: the commands and flags of the units are those of the program, the packaged configurations are without a
// mistake, and a unit gives a daemon the time that it takes to stop.
func TestUnitsStartWhatThereIs(t *testing.T) {
	t.Parallel()
	for _, u := range units(t) {
		for _, key := range []string{"ExecStartPre", "ExecStart"} {
			if len(u.lines[key]) != 1 {
				t.Fatalf("%s: %s is %q", u.path, key, u.lines[key])
			}
			args := strings.Fields(u.lines[key][0])
			if args[0] != "/usr/bin/inkwell" {
				t.Errorf("%s: %s runs %s", u.path, key, args[0])
			}
			// Flags that are not known are an error, also before --help.
			if r := ink.Run(t, append(args[1:], "--help")...); r.Code != 0 || !strings.Contains(r.Stdout, "inkwell "+args[1]) {
				t.Errorf("%s: %q ends with %d\n%s", u.path, args, r.Code, r.Stderr)
			}
			packaged := filepath.Join("..", "packaging", filepath.Base(args[len(args)-1]))
			if filepath.Dir(args[len(args)-1]) != "/etc/inkwell" {
				continue // of the original
			}
			if r := ink.Run(t, "check", packaged); r.Code != 0 || !strings.Contains(r.Stdout, "0 errors, 0 warnings") {
				t.Errorf("check %s ends with %d\n%s%s", packaged, r.Code, r.Stdout, r.Stderr)
			}
		}
		for key, want := range map[string]string{"Type": "exec", "KillSignal": "SIGTERM", "Restart": "always", "NoNewPrivileges": "yes", "UMask": "0027", "ProtectSystem": "strict"} {
			if got := strings.Join(u.lines[key], " "); got != want {
				t.Errorf("%s: %s=%s, want %s", u.path, key, got, want)
			}
		}
		if _, dynamic := u.lines["DynamicUser"]; !dynamic && u.lines["User"] == nil {
			t.Errorf("%s: runs as root", u.path)
		}
	}
}

// TestExampleUnitConverts: systemd finds nothing wrong with the example, it is as hard as the others, and its command is
// one of the program.
func TestExampleUnitConverts(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../packaging/systemd/examples/inkwell-convert.service")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "inkwell-convert.service")
	harness.WriteFile(t, path, strings.ReplaceAll(string(text), "/usr/bin/inkwell", ink.Path))
	checkUnit(t, path)
	command := regexp.MustCompile(`(?m)^ExecStart=/usr/bin/inkwell (.*)$`).FindStringSubmatch(string(text))
	dir, out := t.TempDir(), t.TempDir()
	c := ink.Collect(t, dir, "--max-size", "20kB")
	args := strings.Fields(strings.NewReplacer("${STATE_DIRECTORY}", out, "/var/lib/inkwell-collect", filepath.Join(dir, ".inkwell"),
		"/var/log/inkwell", dir).Replace(command[1]))
	p := ink.Start(t, harness.Command{Args: args})
	sendNoise(t, c.Addr, 0, 200)
	harness.Until(t, "a file is converted", func() bool { return len(files(t, out, "web/dt=*/*.parquet")) > 0 })
	p.Stop(t)
	c.Stop(t)
}

// TestPackagedCollectorRuns starts the packaged configuration as the unit does, but for the places.
func TestPackagedCollectorRuns(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../packaging/collect.conf")
	if err != nil {
		t.Fatal(err)
	}
	top, addr := t.TempDir(), harness.FreeAddr(t)
	conf := filepath.Join(top, "collect.conf")
	harness.WriteFile(t, conf, strings.NewReplacer("127.0.0.1:1463", addr, "/var/log/inkwell", filepath.Join(top, "log")).Replace(string(text)))
	c := &harness.Collector{Addr: addr, Process: ink.Start(t, harness.Command{Args: []string{"collect", "-c", conf}, Env: []string{"INKWELL_STATE=" + filepath.Join(top, "state")}})}
	c.Listening(t)
	sendTo(t, addr, 0, "web")
	c.Stop(t)
	harness.Audit(t, filepath.Join(top, "log"), "web").Exactly(t, map[string]int{"web": 1})
}

// TestPackagedExamplesAreRight: what stands behind # in the packaged configurations is right when it is taken in.
func TestPackagedExamplesAreRight(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../packaging/forward.conf")
	if err != nil {
		t.Fatal(err)
	}
	all := regexp.MustCompile(`(?m)^#(</?[a-z]+>|[a-z_]+=)`).ReplaceAllString(string(text), "$1")
	if strings.Count(all, "\n<tail>\n") != 3 {
		t.Fatalf("not taken in:\n%s", all)
	}
	conf := filepath.Join(t.TempDir(), "forward.conf")
	harness.WriteFile(t, conf, all)
	if r := ink.Run(t, "check", conf); r.Code != 0 || !strings.Contains(r.Stdout, "0 errors, 0 warnings") {
		t.Errorf("check ends with %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
}
