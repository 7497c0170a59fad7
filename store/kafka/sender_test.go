package kafka

import (
	"strings"
	"testing"
)

func TestParseTarget(t *testing.T) {
	a, err := ParseTarget("kafka://k/logs.{category}?tls=yes&sasl=plain&user=u&password_file=/p")
	if err != nil || a.Topic != "logs.{category}" || !a.TLS || a.User != "u" {
		t.Errorf("%+v, %v", a, err)
	}
	for text, want := range map[string]string{
		"kafka://k/a{b}": "only word in braces", "kafka://k/{category": "only word in braces", "kafka://k/a/b": "want kafka://",
		"kafka://k/t?every=1m": "unknown option", "kafka://k": "want kafka://",
	} {
		if _, err := ParseTarget(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestTopicOf(t *testing.T) {
	for category, want := range map[string]string{"web": "l.web", "a b/ü": "l.a_b__", "x\xff\n": "l.x__", "": "l."} {
		if got := TopicOf("l.{category}", []byte(category)); got != want {
			t.Errorf("%q: %q, want %q", category, got, want)
		}
	}
	if got := TopicOf("l.{category}", []byte(strings.Repeat("x", 500))); len(got) != maxTopic {
		t.Errorf("a name of %d bytes", len(got))
	}
	if got := TopicOf("all", []byte("web")); got != "all" {
		t.Errorf("%q", got)
	}
}
