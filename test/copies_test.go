package test

import (
	"path/filepath"
	"strings"
	"testing"

	"inkwell/test/harness"
)

// TestCopiesKeepAllOptions has the blocks for default, for a prefix and for a list send to a list of servers each: the original forgot the
// lists in the copies for the categories, and all that shared connections shared one.
func TestCopiesKeepAllOptions(t *testing.T) {
	t.Parallel()
	blocks := map[string]string{"category=default": "other", "category=web*": "web1", "categories=a b": "b"}
	var conf strings.Builder
	conf.WriteString(globals)
	servers := make(map[string]*harness.Scribed)
	for pattern, category := range blocks {
		s := ink.Scribed(t, globals+fileStore("category=default", "out"))
		servers[category] = s
		conf.WriteString("<store>\n" + pattern + "\ntype=network\nservice_list=" + s.Addr + "  127.0.0.1:" + s.Port + "\nuse_conn_pool=yes\n</store>\n")
	}
	relay := ink.Scribed(t, conf.String())
	c := dialScribe(t, relay.Addr)
	for category := range servers {
		mustLog(t, c, harness.Entry{Category: category, Message: "for " + category + "\n"})
	}
	relay.Reaches(t, "scribe_overall:sent", int64(len(servers)))
	relay.Shutdown(t)
	for category, s := range servers {
		s.Shutdown(t)
		if got := read(t, s.Dir, "out", category, category+"_00000"); got != "for "+category+"\n" {
			t.Errorf("%s: %q", category, got)
		}
		if all, _ := filepath.Glob(filepath.Join(s.Dir, "out", "*")); len(all) != 1 {
			t.Errorf("the server for %s has %q", category, all)
		}
	}
}

// TestCopiesOfBucketsKeepAllOptions is about those of a bucket store.
func TestCopiesOfBucketsKeepAllOptions(t *testing.T) {
	t.Parallel()
	s := ink.Scribed(t, globals+"<store>\ncategory=default\ntype=bucket\nnum_buckets=2\nbucket_type=key_range\nbucket_range=100\nremove_key=yes\nbucket_subdir=b\n"+
		"<bucket>\ntype=file\nfile_path={DIR}/out\n</bucket>\n</store>\n")
	mustLog(t, dialScribe(t, s.Addr), harness.Entry{Category: "cat", Message: "10:low\n"}, harness.Entry{Category: "cat", Message: "60:high\n"})
	s.Shutdown(t)
	for dir, want := range map[string]string{"b001": "low\n", "b002": "high\n"} {
		if got := read(t, s.Dir, "out", dir, "cat", "cat_00000"); got != want {
			t.Errorf("%s: %q", dir, got)
		}
	}
}
