package test

import (
	"bufio"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// edges is who may import whom, of this module. A package that is not named here may not exist.
var edges = map[string][]string{
	"archive":                  {"archive/columns", "archive/format", "archive/inflate", "rotate", "store", "store/audit", "store/books", "store/depot", "store/index", "store/stream", "internal/faultfs"},
	"archive/inflate":          {},
	"archive/moment":           {},
	"archive/search":           {},
	"archive/format":           {},
	"archive/tally":            {},
	"archive/columns":          {},
	"cmd/inkwell":              {"internal/discovery", "store/depot", "store/kafka", "archive", "archive/moment", "archive/search", "archive/format", "archive/tally", "internal/config", "forwarder", "forwarder/ctl", "collector", "store", "store/books", "store/spool", "store/stream", "store/audit", "rotate", "internal/conf", "internal/stats", "internal/faultfs", "internal/killpoint", "internal/rpc", "proto", "proto/gen/fb303", "rotate/pipelog", "internal/access", "forwarder/lines", "forwarder/pattern", "internal/ending", "forwarder/feed", "forwarder/journald", "forwarder/syslog", "internal/status", "internal/fleet", "internal/web"},
	"internal/config":          {"internal/discovery", "store/depot", "store/kafka", "internal/conf", "rotate", "store", "store/series", "internal/access", "forwarder/lines", "forwarder/pattern"},
	"forwarder":                {"forwarder/feed", "store", "store/hop", "store/spool", "store/stream", "proto", "internal/rpc", "internal/stats", "internal/faultfs", "internal/killpoint", "forwarder/lines", "forwarder/packed", "forwarder/pattern", "internal/ending", "internal/status", "internal/fleet"},
	"collector":                {"internal/discovery", "store/depot", "store/kafka", "internal/config", "internal/killpoint", "rotate", "store", "store/hop", "store/plain", "store/series", "store/books", "store/journal", "store/spool", "store/stream", "proto", "proto/gen/fb303", "internal/rpc", "internal/stats", "internal/faultfs", "internal/access", "internal/status", "internal/fleet", "store/tree", "internal/web"},
	"forwarder/ctl":            {"internal/faultfs", "internal/rpc", "internal/stats", "proto", "proto/gen/fb303"},
	"forwarder/lines":          {"proto"},
	"forwarder/packed":         {},
	"forwarder/pattern":        {"forwarder/category"},
	"store":                    {"store/spool", "store/stream", "rotate", "proto", "internal/stats", "internal/faultfs", "internal/killpoint"},
	"forwarder/category":       {},
	"forwarder/feed":           {"store/stream", "proto", "internal/faultfs"},
	"forwarder/journald":       {"forwarder/category", "forwarder/feed", "store/stream", "internal/faultfs", "internal/stats"},
	"forwarder/syslog":         {"forwarder/category", "forwarder/feed", "store/stream", "internal/faultfs", "internal/stats"},
	"store/hop":                {"internal/discovery", "store", "store/spool", "proto", "internal/rpc", "internal/stats", "internal/faultfs", "internal/killpoint"},
	"store/plain":              {"store", "proto", "internal/faultfs", "internal/stats", "internal/killpoint"},
	"store/index":              {"internal/faultfs"},
	"store/series":             {"store", "store/index", "store/plain", "rotate", "proto", "internal/faultfs", "internal/stats", "internal/killpoint"},
	"store/journal":            {"store", "store/books", "store/spool", "store/stream", "rotate", "proto", "internal/faultfs", "internal/stats", "internal/killpoint"},
	"store/books":              {"store", "store/index", "store/stream", "rotate", "internal/faultfs", "internal/killpoint", "internal/stats"},
	"store/depot":              {"store/books", "rotate", "internal/faultfs", "internal/killpoint", "internal/stats"},
	"store/kafka":              {"store", "store/depot", "proto", "internal/faultfs", "internal/killpoint", "internal/stats"},
	"store/audit":              {"store", "store/books", "store/spool", "store/stream", "rotate", "proto", "internal/faultfs"},
	"store/tree":               {"store", "proto", "internal/stats"},
	"store/spool":              {"internal/faultfs", "internal/killpoint"},
	"store/stream":             {"store/spool", "proto", "internal/faultfs", "internal/stats"},
	"rotate":                   {"internal/faultfs", "internal/killpoint"},
	"rotate/pipelog":           {},
	"internal/access":          {},
	"internal/rpc":             {"internal/access", "proto", "proto/gen/bucketupdater", "proto/gen/fb303", "internal/stats", "internal/killpoint", "internal/faultfs"},
	"internal/conf":            {},
	"internal/discovery":       {"internal/rpc"},
	"internal/dnstest":         {},
	"internal/fleet":           {"proto"},
	"internal/ending":          {},
	"internal/stats":           {},
	"internal/testkit":         {"proto"},
	"internal/web":             {"internal/access", "internal/metrics", "internal/stats", "internal/status"},
	"internal/metrics":         {"internal/stats", "internal/status"},
	"internal/status":          {"internal/stats"},
	"internal/faultfs":         {"internal/killpoint"},
	"internal/killpoint":       {},
	"internal/faultfs/crashfs": {"internal/faultfs"},
	"proto":                    {},
	"proto/gen/fb303":          {},
	"proto/gen/bucketupdater":  {},
	"proto/gen/scribe":         {"proto/gen/fb303"},
	"test":                     {},
	"test/bench":               {},
	"test/scale":               {},
	"test/chaos":               {},
	"test/cluster":             {},
	"test/demo":                {},
	"test/harness":             {},
	"test/packages":            {},
	"test/peers":               {},
}

// testEdges is what only the tests of a package may import beside that. cmd's read and write what the packages below it own.
var testEdges = map[string][]string{
	"archive":            {"test/harness"},
	"collector":          {"internal/faultfs/crashfs", "rotate", "store/spool", "store/stream"},
	"internal/discovery": {"internal/dnstest"},
	"internal/rpc":       {"proto/gen/scribe"},
	"proto":              {"proto/gen/scribe", "proto/gen/fb303"},
	"store":              {"internal/faultfs/crashfs"},
	"store/journal":      {"internal/faultfs/crashfs", "store/series"},
	"store/hop":          {"proto/gen/bucketupdater", "proto/gen/fb303", "internal/faultfs/crashfs"},
	"store/spool":        {"internal/faultfs/crashfs", "proto"},
	"store/audit":        {"internal/stats"},
	"store/depot":        {"internal/faultfs/crashfs", "store", "test/harness"},
	"store/tree":         {"store/stream", "internal/faultfs"},
	"test":               {"internal/dnstest", "test/harness", "internal/killpoint"},
	"test/bench":         {"test/harness", "store/index", "internal/faultfs"},
	"test/chaos":         {"test/harness"},
	"test/cluster":       {"test/harness"},
	"test/packages":      {"test/harness"},
	"test/peers":         {"test/harness"},
	"forwarder/journald": {"proto"}, // what is delivered
	"forwarder/syslog":   {"proto"},
}

// outside is what the packages at the bottom may import of other modules; those above choose freely.
var outside = map[string][]string{
	"forwarder/lines":    {"golang.org/x/text/encoding/unicode", "golang.org/x/text/transform"},
	"forwarder/packed":   {"github.com/klauspost/compress/gzip", "github.com/klauspost/compress/zstd", "github.com/ulikunitz/xz"},
	"forwarder/pattern":  {"github.com/bmatcuk/doublestar/v4", "golang.org/x/sys/unix"},
	"store/spool":        {"golang.org/x/sys/unix"},
	"rotate":             {"github.com/klauspost/compress/flate", "github.com/klauspost/compress/gzip", "github.com/klauspost/compress/zstd", "golang.org/x/sys/unix"},
	"internal/faultfs":   {"golang.org/x/sys/unix"},
	"internal/conf":      {"github.com/dustin/go-humanize", "github.com/spf13/pflag"},
	"internal/stats":     {},
	"internal/access":    {},
	"proto":              {"github.com/apache/thrift/lib/go/thrift"},
	"internal/killpoint": {},
}

func TestPackagesImportDownwardsOnly(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,TestImports,XTestImports", "inkwell/...")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	const kit = "internal/testkit" // for the tests of every package
	for d := json.NewDecoder(strings.NewReader(string(out))); ; seen++ {
		var p struct {
			ImportPath                         string
			Imports, TestImports, XTestImports []string
		}
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(p.ImportPath, "inkwell/")
		allowed, known := edges[name]
		if !known {
			t.Errorf("%s is a new package: list in edges what it imports, and it in those that import it", name)
		}
		checkEdges(t, name, p.Imports, allowed)
		checkEdges(t, name+" (test)", append(p.TestImports, p.XTestImports...), slices.Concat(allowed, testEdges[name], []string{name, kit}))
		if only, ok := outside[name]; ok {
			for _, path := range p.Imports {
				if first, _, _ := strings.Cut(path, "/"); strings.Contains(first, ".") && !slices.Contains(only, path) {
					t.Errorf("%s imports %s", name, path)
				}
			}
		}
	}
	if seen < len(edges) {
		t.Errorf("go list shows %d packages only", seen)
	}
}

func checkEdges(t *testing.T, name string, imports, allowed []string) {
	t.Helper()
	for _, path := range imports {
		if to, ours := strings.CutPrefix(path, "inkwell/"); ours && !slices.Contains(allowed, to) {
			t.Errorf("%s imports %s", name, to)
		}
	}
}

// The limits of CONTRIBUTING.md.
const (
	maxColumns   = 120 // with tabs of four; of code that is no test
	maxFile      = 400 // lines
	maxFunction  = 60  // lines
	maxInterface = 4   // methods
	maxParams    = 4
)

// dictated is a method whose parameters are those of an interface of go-fuse (test/fusefs).
const dictated = "Create"

// unfinished are the words of work that was put off; they are put together here because this file is looked at as well.
var unfinished = regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X|HA` + `CK)\b`)

func TestHouseRules(t *testing.T) {
	t.Parallel()
	files := 0
	err := filepath.WalkDir("..", func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && (e.Name() == ".git" || e.Name() == "bin" || e.Name() == ".cache"):
			return fs.SkipDir
		case e.IsDir() || !slices.Contains([]string{".go", ".md", ".thrift"}, filepath.Ext(path)) && e.Name() != "Makefile":
			return nil
		}
		files++
		return checkFile(t, path)
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 50 {
		t.Errorf("only %d files were looked at", files)
	}
}

func checkFile(t *testing.T, path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	generated := strings.HasPrefix(path, "../proto/gen/")
	lines := 0
	for in := bufio.NewScanner(strings.NewReader(string(text))); in.Scan(); {
		lines++
		if word := unfinished.FindString(in.Text()); word != "" && !generated {
			t.Errorf("%s:%d: %s", path, lines, word)
		}
	}
	if filepath.Ext(path) != ".go" || generated {
		return nil
	}
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, text, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	if strings.HasSuffix(path, "_test.go") {
		checkNoSkips(t, set, file)
		return nil
	}
	if lines > maxFile {
		t.Errorf("%s: %d lines, more than %d", path, lines, maxFile)
	}
	checkShapes(t, set, file)
	checkWidth(t, set, file, path, text)
	return nil
}

// stillWide are packages with longer lines, which are broken when somebody works there.
var stillWide = regexp.MustCompile(`^\.\./(archive|proto|internal/faultfs|store/(books|depot|journal|kafka))/|^\.\./(collector/(epoch|topic)|cmd/inkwell/(check|convert)|internal/config/topic)`)

// checkWidth looks for lines that are too long, but for diagrams and examples in comments, which are indented, and
// texts between backquotes.
func checkWidth(t *testing.T, set *token.FileSet, file *ast.File, path string, text []byte) {
	if stillWide.MatchString(path) {
		return
	}
	raw := make(map[int]bool)
	ast.Inspect(file, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && strings.HasPrefix(lit.Value, "`") {
			for line := set.Position(lit.Pos()).Line; line <= set.Position(lit.End()).Line; line++ {
				raw[line] = true
			}
		}
		return true
	})
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		line = strings.TrimSuffix(line, "\n")
		drawn := strings.HasPrefix(strings.TrimLeft(line, "\t"), "//\t")
		if columns := utf8.RuneCountInString(strings.ReplaceAll(line, "\t", "    ")); columns > maxColumns && !raw[number] && !drawn {
			t.Errorf("%s:%d: %d columns, more than %d", path, number, columns, maxColumns)
		}
	}
}

// checkShapes looks at the functions and interfaces of a file.
func checkShapes(t *testing.T, set *token.FileSet, file *ast.File) {
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if lines := set.Position(n.End()).Line - set.Position(n.Pos()).Line + 1; lines > maxFunction {
				t.Errorf("%s: %s has %d lines, more than %d", set.Position(n.Pos()), n.Name.Name, lines, maxFunction)
			}
			if params := n.Type.Params.NumFields(); params > maxParams && n.Name.Name != dictated {
				t.Errorf("%s: %s has %d parameters, more than %d", set.Position(n.Pos()), n.Name.Name, params, maxParams)
			}
		case *ast.InterfaceType:
			if n.Methods.NumFields() > maxInterface {
				t.Errorf("%s: interface of %d methods, more than %d", set.Position(n.Pos()), n.Methods.NumFields(), maxInterface)
			}
		}
		return true
	})
}

// TestNoConflictMarkers looks at every file of the working tree that git knows: a merge once left its markers in a document.
func TestNoConflictMarkers(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("git", "-C", "..", "ls-files", "-z").Output()
	if err != nil {
		t.Fatal(err)
	}
	marker := regexp.MustCompile(`(?m)^(<{7}|\|{7}|>{7}) `)
	files := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	for _, name := range files {
		text, err := os.ReadFile(filepath.Join("..", name))
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed, and not yet committed
		}
		if err != nil {
			t.Fatal(err)
		}
		if at := marker.FindIndex(text); at != nil {
			t.Errorf("%s:%d: a conflict of a merge was left", name, 1+strings.Count(string(text[:at[0]]), "\n"))
		}
	}
	if len(files) < 50 {
		t.Errorf("git knows %d files only", len(files))
	}
}

// TestHouseMapOfTests compares the table of CONTRIBUTING.md, which says where the tests of a subject are, with the files.
func TestHouseMapOfTests(t *testing.T) {
	text, err := os.ReadFile("../CONTRIBUTING.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "| subject | files of `test/` |")
	listed := make(map[string]bool) // whether there is such a file
	for _, name := range regexp.MustCompile("`([a-z_]+\\*?)`").FindAllStringSubmatch(table, -1) {
		listed[name[1]] = false
	}
	paths, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		name := strings.TrimSuffix(path, "_test.go")
		if strings.HasPrefix(name, "original") {
			name = "original*"
		}
		if _, ok := listed[name]; !ok {
			t.Errorf("%s is in no row of the table at the end of CONTRIBUTING.md: add it to its subject", path)
		}
		listed[name] = true
	}
	for name, ok := range listed {
		if !ok {
			t.Errorf("the table at the end of CONTRIBUTING.md names %s, and there is no %s_test.go", name, name)
		}
	}
}

// checkNoSkips keeps tests from passing without having run.
func checkNoSkips(t *testing.T, set *token.FileSet, file *ast.File) {
	ast.Inspect(file, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok && slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, sel.Sel.Name) {
			t.Errorf("%s: %s", set.Position(sel.Pos()), sel.Sel.Name)
		}
		return true
	})
}
