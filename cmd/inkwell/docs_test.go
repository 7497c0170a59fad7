package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// foreign are flags of other programs that occur in the documents.
var foreign = []string{"inplace", "append", "bind", "now", "strip-components", "install", "set", "auto", "create", "unix-socket",
	"bootstrap-server", "topic", "partitions", "replication-factor", "config"}

// TestDocumentsNameEveryFlag, and no flag that does not exist.
func TestDocumentsNameEveryFlag(t *testing.T) {
	paths, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(paths) < 8 {
		t.Fatalf("%q, %v", paths, err)
	}
	named := make(map[string]string) // by which document
	for _, path := range append(paths, "../../README.md", "../../packaging/README.md") {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`--([a-z][a-z-]+)`).FindAllStringSubmatch(string(text), -1) {
			named[m[1]] = path
		}
	}
	all := map[string]bool{"help": true, "version": true}
	a := &app{screen: newScreen(&bytes.Buffer{}, func() int { return 0 })}
	var look func(cmd *cobra.Command)
	look = func(cmd *cobra.Command) {
		note := func(f *pflag.Flag) {
			all[f.Name] = true
			if _, ok := named[f.Name]; !ok && !f.Hidden {
				t.Errorf("no document names --%s of %s", f.Name, cmd.CommandPath())
			}
		}
		cmd.Flags().VisitAll(note)
		cmd.PersistentFlags().VisitAll(note)
		for _, sub := range cmd.Commands() {
			look(sub)
		}
	}
	look(a.root())
	for name, path := range named {
		if !all[name] && !slices.Contains(foreign, name) {
			t.Errorf("%s names --%s, which no command has", path, name)
		}
	}
}

// TestReadmeTellsFlagsAndDefaults compares the table of the README with the commands.
func TestReadmeTellsFlagsAndDefaults(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	a := &app{screen: newScreen(&bytes.Buffer{}, func() int { return 0 })}
	rows := 0
	for _, cmd := range a.root().Commands() {
		_, row, ok := strings.Cut(string(text), "\n| `"+cmd.Name()+"` | ")
		if !ok {
			continue
		}
		rows++
		row, _, _ = strings.Cut(row, "\n")
		for _, m := range regexp.MustCompile("`--([a-z-]+)[^`]*`(?: \\(([^)]*)\\))?").FindAllStringSubmatch(row, -1) {
			f := cmd.Flags().Lookup(m[1])
			if f == nil {
				t.Errorf("%s has no --%s", cmd.Name(), m[1])
			} else if m[2] != "" && f.DefValue != m[2] && !strings.Contains(f.Usage, m[2]) && !strings.Contains(f.DefValue, m[2]) {
				t.Errorf("README says that --%s of %s is %s, it is %s: %s", m[1], cmd.Name(), m[2], f.DefValue, f.Usage)
			}
		}
	}
	if rows < 10 {
		t.Errorf("only %d commands are in the table", rows)
	}
}

// TestDocumentsPrintWhatCheckPrints runs the examples of check --print -- FLAGS.
func TestDocumentsPrintWhatCheckPrints(t *testing.T) {
	text, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := regexp.MustCompile("(?s)```\n\\$ inkwell (check --print -- [^\n]*)\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	for _, m := range examples {
		if r := inkwell(t, nil, strings.Fields(strings.ReplaceAll(m[1], "'", ""))...); r.code != exitOK || r.stdout != m[2] {
			t.Errorf("%s: code %d, %s prints\n%s", m[1], r.code, r.stderr, r.stdout)
		}
	}
	if len(examples) != 2 {
		t.Errorf("%d examples", len(examples))
	}
}
