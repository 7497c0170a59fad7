package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"inkwell/test/harness"
)

// TestNicedReadersGiveWay starts a reader with nice: all its threads run on what others leave (SCHED_IDLE), and without
// nice as others do.
func TestNicedReadersGiveWay(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "web")
	for nice, policy := range map[string]string{"10": "5", "0": "0"} {
		cmd := exec.Command("nice", "-n", nice, ink.Path, "cat", "-f", dir) // which waits for the directory
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := cmd.Process.Kill(); err != nil {
				t.Error(err)
			}
			_ = cmd.Wait() // it was killed
		})
		harness.Until(t, "a reader with nice "+nice+" has the policy "+policy, func() bool {
			name, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(cmd.Process.Pid), "exe"))
			if err != nil || name != ink.Path {
				return false // it is nice, yet
			}
			threads, err := filepath.Glob(filepath.Join("/proc", strconv.Itoa(cmd.Process.Pid), "task", "*", "stat"))
			if err != nil || len(threads) < 3 {
				return false
			}
			for _, thread := range threads {
				stat, err := os.ReadFile(thread)
				if err != nil {
					return false
				}
				_, rest, _ := strings.Cut(string(stat), ") ")
				if fields := strings.Fields(rest); fields[41-3] != policy { // the fields are numbered from 1, see proc(5)
					return false
				}
			}
			return true
		})
	}
}
