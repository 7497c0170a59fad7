package collector

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"inkwell/internal/status"
	"inkwell/proto"
)

// TestDocumentTellsWhatIsBehind has one category whose directory cannot be made, beside one that is well.
func TestDocumentTellsWhatIsBehind(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "blocked"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	c, _ := launch(t, Options{Load: filesIn(dir), Version: "1.2.3"})
	client := dial(t, c)
	if code, err := client.Log(context.Background(), []*proto.Batch{batch("well", "1\n", "blocked", "22\n")}); err != nil || code != proto.OK {
		t.Fatal(code, err)
	}
	c.intake.journal.Note(time.Now())
	var s *status.Status
	by := make(map[string]status.Category)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		s = c.Document()
		for _, category := range s.Categories {
			by[category.Name] = category
		}
		if by["blocked"].Trouble != "" && by["well"].Oldest == 0 && by["well"].Backlog == 0 && by["blocked"].Oldest > 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%+v", s)
		}
	}
	if s.Received.Entries != 2 || s.Received.Bytes != 5 || by["blocked"].Entries != 1 || by["blocked"].Backlog != 3 {
		t.Errorf("received %+v, blocked %+v", s.Received, by["blocked"])
	}
	if s.Journal == nil || s.Journal.Bytes == 0 || s.Journal.Oldest <= 0 || s.Journal.Limit != 32<<30 {
		t.Errorf("journal %+v", s.Journal)
	}
	if v := s.Verdict; v.Level != status.Warning || v.Reasons[0].Subject != "blocked" || !s.Daemon.Ready {
		t.Errorf("verdict %+v", v)
	}
	if d := s.Daemon; d.Version != "1.2.3" || d.Role != status.Collector || len(d.Listen) != 1 || d.Listen[0] != c.Addrs()[0].String() {
		t.Errorf("daemon %+v", d)
	}
	if _, err := json.Marshal(s); err != nil {
		t.Error(err)
	}
	if s.Categories[0].Name != "blocked" {
		t.Errorf("the category in trouble is not the first: %+v", s.Categories)
	}
}

// TestDocumentOfACollectorThatStops is not ready.
func TestDocumentOfACollectorThatStops(t *testing.T) {
	c, stop := launch(t, Options{})
	dial(t, c)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if s := c.Document(); s.Daemon.Ready || s.Verdict.Level != status.Critical {
		t.Errorf("%+v %+v", s.Daemon, s.Verdict)
	}
}
