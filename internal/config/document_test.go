package config

import (
	"bytes"
	_ "embed"
	"flag"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/template"
)

var update = flag.Bool("update", false, "write docs/configuration.md")

//go:embed configuration.md.tmpl
var document string

const documentPath = "../../docs/configuration.md"

type documentedSection struct {
	Title, Intro string
	Options      []documentedOption
}

type documentedOption struct {
	Key, Kind, Default, Meaning string
	Ours                        bool
}

// TestDocument keeps docs/configuration.md what the table of options says; with -update it writes the file.
func TestDocument(t *testing.T) {
	var all []documentedSection
	for _, s := range sections {
		d := documentedSection{Title: regexp.MustCompile(`^(type=.*|<.*>)$`).ReplaceAllString(s.title, "`$1`"), Intro: s.intro}
		if s.name == "multifile" || s.name == "thriftmultifile" {
			s.options = nil
			d.Intro += " Its options are those of `" + strings.Replace(s.name, "multi", "", 1) + "`."
		}
		for _, o := range s.options {
			fallback := o.value
			if fallback != "" {
				fallback = "`" + fallback + "`"
			}
			if o.newer != "" {
				fallback += ", new style: `" + o.newer + "`"
			}
			d.Options = append(d.Options, documentedOption{Key: o.key, Kind: kinds[o.kind], Default: fallback, Meaning: o.meaning, Ours: o.ours && !slices.Contains(ownBlocks, s.name)})
		}
		all = append(all, d)
	}
	var want bytes.Buffer
	if err := template.Must(template.New("").Parse(document)).Execute(&want, all); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(documentPath, want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(documentPath)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want.Bytes()) {
		t.Error("docs/configuration.md is not what the table of options says: run go generate ./internal/config")
	}
}

// TestEveryOptionIsRead puts each option into a block of its kind, with a value other than its default, and checks that
// exactly the meaning of the option changes: the file has no problems, and the result differs from that without the
// option.
func TestEveryOptionIsRead(t *testing.T) {
	idle := regexp.MustCompile("Has no effect")
	read := []string{"buffer_send_rate", "buffer_bypass_max_ratio", "num_thrift_server_threads"} // into a Config, and no further
	for _, s := range sections {
		for _, o := range s.options {
			if o.meaning == "" || strings.HasSuffix(o.meaning, ".") == false || kinds[o.kind] == "" {
				t.Errorf("%s %s: no meaning, or one without an end", s.name, o.key)
			}
			if s.name == "store" {
				continue // TestQueueOptions and TestCategories
			}
			without, _ := load(sample(s.name, o.key, ""))
			documented, problems := load(sample(s.name, o.key, o.key+"="+o.value))
			if o.value != "" && (len(problems) > 0 || !same(documented, without)) {
				t.Errorf("%s: %s=%s is not what a missing key is, problems %q", s.name, o.key, o.value, problems)
			}
			line := o.key + "=" + another(o)
			with, problems := load(sample(s.name, o.key, line))
			if with.Status != "" || len(problems) > 0 && o.key != "smc_service" {
				t.Errorf("%s: %s: %q", s.name, line, problems)
			}
			if idle := idle.MatchString(o.meaning) || o.key == "fs_type"; same(with, without) != idle && !slices.Contains(read, o.key) {
				t.Errorf("%s: %s makes a difference: %v, is said to: %v", s.name, line, idle, !idle)
			}
		}
	}
}
