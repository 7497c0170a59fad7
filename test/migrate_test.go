package test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"inkwell/test/harness"
)

// TestMigrateAndBack goes the way of docs/migrating-from-scribe.md: look, do it, start by the old name, and take it back, with what waits
// then told.
func TestMigrateAndBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	bin, conf, addr := filepath.Join(dir, "bin"), filepath.Join(dir, "scribe.conf"), harness.FreeAddr(t)
	_, port, _ := strings.Cut(addr, ":")
	for _, name := range []string{"scribed", "scribe_ctrl"} {
		harness.WriteFile(t, filepath.Join(bin, name), "#!/bin/sh\necho the old "+name+"\n")
		if err := os.Chmod(filepath.Join(bin, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	harness.WriteFile(t, conf, fmt.Sprintf("port=%s\nstate_dir=%s/state\n%s<store>\ncategory=away\ntype=buffer\n<primary>\ntype=network\nremote_host=localhost\nremote_port=1\n</primary>\n"+
		"<secondary>\ntype=file\nfile_path=%[2]s/spool\n</secondary>\n</store>\n", port, dir, strings.ReplaceAll(fileStore("category=default", "out"), "{DIR}", dir)))
	args := []string{"migrate", "scribed", "-c", conf, "--bin", bin}
	if r := ink.Run(t, args...); r.Code != 0 || !strings.Contains(r.Stdout, "nothing was changed. To make the change: ") || !strings.Contains(r.Stdout, "is kept as scribed.before-inkwell") {
		t.Errorf("to look: %+v", r)
	}
	if r := ink.Run(t, append(args, "--apply")...); r.Code != 0 || !strings.Contains(r.Stdout, "next: start scribed as before") {
		t.Errorf("to do it: %+v", r)
	}
	s := ink.Start(t, harness.Command{Program: filepath.Join(bin, "scribed"), Args: []string{"-c", conf, "--listen", "127.0.0.1"}})
	harness.Until(t, "it answers", func() bool {
		status := ink.Run(t, "ctl", "status", addr).Stdout // a warning, once the hop that is away was tried
		return strings.HasPrefix(status, "ALIVE") || strings.HasPrefix(status, "WARNING")
	})
	mustLog(t, dialScribe(t, addr), harness.Entry{Category: "cat", Message: "m\n"}, harness.Entry{Category: "away", Message: "m\n"})
	s.Stop(t)
	r := ink.Run(t, append(args, "--back")...)
	if r.Code != 0 || !strings.Contains(r.Stdout, bin+"/scribed is the old program again") || !strings.Contains(r.Stdout, "away.spool: ") || strings.Contains(r.Stdout, "/journal: ") {
		t.Errorf("to take it back: %+v", r)
	}
	if got := read(t, bin, "scribed"); got != "#!/bin/sh\necho the old scribed\n" {
		t.Errorf("scribed is %q", got)
	}
}
