package journald

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestFileThatIsNotShown has a journalctl that does not show some entries at first, as happens while journald renames their file, and
// others never, which belong to another user.
func TestFileThatIsNotShown(t *testing.T) {
	bin, state := t.TempDir(), t.TempDir()
	export := func(numbers ...int) string {
		text := ""
		for _, n := range numbers {
			text += fmt.Sprintf("__CURSOR=s=aa;i=%x;b=bb;m=1;t=2;x=3\n__REALTIME_TIMESTAMP=%d\n_SYSTEMD_UNIT=a.service\nMESSAGE=line %d\n\n", n, n, n)
		}
		return text
	}
	for name, text := range map[string]string{
		"first": export(0, 1, 2, 3, 6, 7, 10, 11, 12, 16), // 4 and 5 are not shown yet
		"next":  export(3, 4, 5, 6, 7, 10, 11, 12, 16),    // 8 and 9, and 13 to 15 never are
		"journalctl": fmt.Sprintf("#!/bin/sh\ncase \"$*\" in *--lines=0*) exit;; *--cursor=*i=3\\;*) cat %[1]s/next;; "+
			"*--cursor=*) sed -n '/i=7;/,$p' %[1]s/next;; *) cat %[1]s/first;; esac\n", bin),
	} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	c := newCollected()
	if err := begin(t, state, Options{Bare: true, Once: true}, c).end(); err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, n := range []int{0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12, 16} {
		want = append(want, fmt.Sprintf("line %d\n", n))
	}
	if got := c.of("a.service"); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}
