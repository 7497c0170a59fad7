package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// TestManualPagesSayAllThatHelpSays compares the text of each page with those of its command. Once, text between < and
// > and the * of a pattern were lost.
func TestManualPagesSayAllThatHelpSays(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "man")
	if r := inkwell(t, nil, "man", dir); r.code != 0 {
		t.Fatalf("man: %+v", r)
	}
	pages := make(map[string]bool)
	for cmd := range available((&app{screen: newScreen(os.Stderr, func() int { return 0 })}).root()) {
		name := pageName(cmd) + ".1"
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
			continue
		}
		pages[name] = true
		page := spoken(string(text))
		for _, want := range []string{cmd.Short, description(cmd), cmd.Example} {
			if !strings.Contains(page, words(want)) {
				t.Errorf("%s lacks %q", name, want)
			}
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			value, usage := pflag.UnquoteUsage(f)
			if want := words("--" + f.Name + " " + value + " " + usage); !f.Hidden && !strings.Contains(page, want) {
				t.Errorf("%s lacks %q", name, want)
			}
		})
	}
	if len(pages) < 20 || !pages["inkwell-spool-ls.1"] || pages["inkwell-man.1"] {
		t.Errorf("pages: %v", pages)
	}
}

// available returns a command and its subcommands that have a page.
func available(cmd *cobra.Command) func(yield func(*cobra.Command) bool) {
	return func(yield func(*cobra.Command) bool) {
		if !yield(cmd) {
			return
		}
		for _, sub := range cmd.Commands() {
			if sub.IsAvailableCommand() {
				available(sub)(yield)
			}
		}
	}
}

// spoken returns the text of a page without its requests and escapes, as words.
func spoken(page string) string {
	var lines []string
	for line := range strings.Lines(page) {
		if !strings.HasPrefix(line, ".PP") && !strings.HasPrefix(line, ".EX") && !strings.HasPrefix(line, ".EE") {
			lines = append(lines, line)
		}
	}
	return words(strings.NewReplacer(`\fB`, "", `\fI`, "", `\fR`, "", `\&`, "", `\-`, "-", `\e`, `\`).Replace(strings.Join(lines, "")))
}

func words(text string) string { return strings.Join(strings.Fields(text), " ") }
