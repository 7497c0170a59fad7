package test

import (
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"inkwell/test/harness"
)

// TestPageCounts asks a running collector for the statistics of a category, which it makes of its files, the open one
// included, and for what is complete.
func TestPageCounts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := ink.Collect(t, dir, "--layout", "hive", "--rotate", "hourly", "--max-size", "20kB")
	s := dialScribe(t, c.Addr)
	for k := range 300 {
		mustLog(t, s, harness.Entry{Category: "web", Message: fmt.Sprintf("10.0.0.1 - - [%s] \"GET /item/%d?s=%s HTTP/1.1\" %d 512 \"-\" \"x\" 2000\n",
			time.Now().Format("02/Jan/2006:15:04:05 -0700"), k, hexNoise(k, 200), 200+300*(k%10/9))})
	}
	harness.Until(t, "all is in files", func() bool {
		return strings.Count(ink.Run(t, "cat", filepath.Join(dir, "web")).Stdout, "\n") == 300
	})
	page := httpGet(t, "http://"+c.Addr+"/counts?name=web")
	for _, want := range []string{"/item/{n}", ">300<", ">30<", "2 ms", "points="} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in\n%s", want, page)
		}
	}
	if page := httpGet(t, "http://"+c.Addr+"/counts?name=web&by=status&hours=1"); !strings.Contains(page, ">270<") || !strings.Contains(page, ">500<") {
		t.Errorf("by status:\n%s", page)
	}
	if page := httpGet(t, "http://"+c.Addr+"/counts?name=web&format=json"); !strings.Contains(page, "300 lines are not json") {
		t.Errorf("as json:\n%s", page)
	}
	if page := httpGet(t, "http://"+c.Addr+"/complete"); !strings.Contains(page, "No hour and no day") {
		t.Errorf("complete:\n%s", page)
	}
	c.Stop(t)
}

// httpGet returns a page.
func httpGet(t *testing.T, url string) string {
	t.Helper()
	answer, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v\n%s", url, answer.Status, err, body)
	}
	return string(body)
}
