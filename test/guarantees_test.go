package test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestGuaranteesNameTests: each row of each table of docs/guarantees.md names a test that exists, or says that there is none.
func TestGuaranteesNameTests(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/guarantees.md")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`([a-z0-9/]+)\\.((?:Test|Fuzz)[A-Za-z0-9_]+)`")
	tests := make(map[string]map[string]bool) // by package
	rows, within := 0, false
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "|") {
			within = false
			continue
		}
		if strings.HasPrefix(line, "| ---") {
			within = true
			continue
		}
		if !within {
			continue
		}
		rows++
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		proof := cells[len(cells)-1]
		found := named.FindAllStringSubmatch(proof, -1)
		if len(found) == 0 && !strings.Contains(proof, "no test") {
			t.Errorf("no test is named: %s", line)
		}
		if words := strings.Count(proof, "`") / 2; words != len(found) && !strings.Contains(proof, "no test") {
			t.Errorf("%d words are no names of tests: %s", words-len(found), proof)
		}
		for _, m := range found {
			if tests[m[1]] == nil {
				tests[m[1]] = testsOf(t, m[1])
			}
			if !tests[m[1]][m[2]] {
				t.Errorf("there is no test %s.%s", m[1], m[2])
			}
		}
	}
	if rows < 40 {
		t.Errorf("only %d rows were read", rows)
	}
}

// testsOf are the tests of a package.
func testsOf(t *testing.T, name string) map[string]bool {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("..", filepath.FromSlash(name), "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]bool)
	for _, path := range paths {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil {
				found[f.Name.Name] = true
			}
		}
	}
	return found
}
