package config

import (
	"strings"
	"testing"
)

// TestStoresOfATopic accepts stores that can be filled from a topic, and says what is wrong with others.
func TestStoresOfATopic(t *testing.T) {
	const journal = "inkwell 1\njournal=kafka://k1,k2/logs\nmax_message_size=1MiB\n"
	file := func(more ...string) string {
		return storeText(append([]string{"category=default", "type=file", "compress=gzip", "file_path=/srv"}, more...)...)
	}
	good := journal + file("publish=/depot") + storeText("category=web", "type=file", "compress=zstd", "file_path=/srv/web", "publish=/depot")
	c := Load("f", []byte(good))
	if c.Topic == nil || len(c.Topic.Brokers) != 2 || c.Errors() > 0 || c.Status != "" {
		t.Errorf("%+v, %v, %s", c.Topic, c.Problems, c.Status)
	}
	if address, err := c.TopicDepot(); err != nil || address != "/depot" {
		t.Errorf("depot %q, %v", address, err)
	}
	if c := Load("f", []byte(journal+file("publish=/depot", "layout=hive", "rotate_period=hourly"))); c.Errors() > 0 {
		t.Errorf("in the layout of Hive: %v", c.Problems)
	}
	for text, want := range map[string]string{
		journal + file(): "has no depot",
		journal + storeText("category=default", "type=null"):                                                            "has no depot",
		journal + file("publish=/depot", "done_markers=yes", "rotate_period=daily"):                                     "done_markers need",
		journal + file("publish=/depot") + strings.Replace(file("publish=/other"), "category=default", "category=a", 1): "two depots",
		journal + file("publish=/depot") + file("publish=/depot"):                                                       "two stores for category default",
		strings.Replace(journal, "max_message_size=1MiB", "", 1) + file("publish=/depot"):                               "needs max_message_size",
		strings.Replace(journal, "kafka://", "kafak://", 1) + file("publish=/depot"):                                    "want kafka://",
	} {
		c := Load("f", []byte(text))
		found := false
		for _, p := range c.Problems {
			found = found || p.Error && strings.Contains(p.Text, want)
		}
		if !found || c.Status == "" {
			t.Errorf("%s\n%v, %q, want %q", text, c.Problems, c.Status, want)
		}
	}
}
