// Package harness runs the real program for whole-program tests and benchmarks, and checks what it left on disk.
//
//	lines with numbers ─► file, pipe, raw Thrift call ─► inkwell … inkwell ─► category files ─► gzip, zstd, python3 ─► ledger
//	     (Line)                  (Scribe)                   (Process)             (Published)                           (Ledger)
//
// The expected results do not depend on Inkwell's own code: calls are encoded byte by byte, and files are read with the
// standard library and the tools of the system. Processes run until they are stopped or until the test that started
// them ends; each is ended by its own process id. A process that wrote a data race or a panic to standard error fails
// its test, whatever else it did.
//
// Limitations: Linux and loopback only. Ports are chosen below the range from which the system takes the ports of
// clients. Otherwise a sender that dials a port on which nobody listens could be given that very port and be connected
// to itself.
package harness

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Patience bounds every wait in a test. INKWELL_TEST_PATIENCE shortens it, which helps when looking for a mistake.
var Patience = patience()

func patience() time.Duration {
	if d, err := time.ParseDuration(os.Getenv("INKWELL_TEST_PATIENCE")); err == nil && d > 0 {
		return d
	}
	return 5 * time.Minute
}

// Inkwell is the path of the built program.
type Inkwell struct {
	Path string
	Race bool // with the race detector
}

// Build builds the program into dir, with build tags if there are any.
func Build(dir string, race bool, tags ...string) (Inkwell, error) {
	k := Inkwell{Path: filepath.Join(dir, strings.Join(append([]string{"inkwell"}, tags...), "-")), Race: race}
	args := []string{"build", "-tags", strings.Join(tags, ",")}
	if race {
		k.Path += "-race"
		args = append(args, "-race")
	}
	cmd := exec.Command("go", append(args, "-o", k.Path, "inkwell/cmd/inkwell")...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return Inkwell{}, fmt.Errorf("%v: %w\n%s", cmd.Args, err, out)
	}
	return k, nil
}

// ReadSources lists the directories of the module. The go command keeps the result of a test until something changes
// that the test itself has read, and does not see what the program under test was built of.
func ReadSources(tb testing.TB) {
	tb.Helper()
	root := strings.TrimSpace(Tool(tb, "go", "list", "-m", "-f", "{{.Dir}}"))
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		hidden := strings.HasPrefix(e.Name(), ".") || e.Name() == "bin" || e.Name() == "testdata"
		if err == nil && path != root && e.IsDir() && hidden {
			return filepath.SkipDir
		}
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
}

// Until waits until done returns true.
func Until(tb testing.TB, what string, done func() bool) {
	tb.Helper()
	for deadline := time.Now().Add(Patience); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			tb.Fatalf("waited %v in vain: %s", Patience, what)
		}
	}
}

// Tool runs a tool of the system and returns its output; it must end with 0.
func Tool(tb testing.TB, name string, args ...string) string {
	tb.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		tb.Fatalf("%s %v: %v\n%s\n(the tests need Debian's packages: make deps)", name, args, err, out)
	}
	return string(out)
}

// WriteFile writes a text to a file.
func WriteFile(tb testing.TB, path, text string) {
	tb.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		tb.Fatal(err)
	}
}
