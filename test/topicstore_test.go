package test

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inkwell/test/harness"
)

// TestTopicForOthers writes categories into topics of a fake broker, beside their files.
func TestTopicForOthers(t *testing.T) {
	t.Parallel()
	topicForOthers(t, harness.NewFakeKafka(t))
}

// TestTopicForOthersOfKafka does so with a real broker, which is killed in between.
func TestTopicForOthersOfKafka(t *testing.T) {
	if k, ok := harness.NewKafka(t); ok {
		topicForOthers(t, k)
	}
}

// topicForOthers follows a file of each of two categories into topics of their own. The collector is killed twice, and
// the broker too if it is real. Each line is in the topic; those that are there twice have the same stream and number,
// and without them the lines are in their order.
func topicForOthers(t *testing.T, k *harness.Kafka) {
	k.Topic(t, "logs.web", 3)
	k.Topic(t, "logs.a_b", 3)
	dir := t.TempDir()
	c := ink.NewConfigured(t, dir, fmt.Sprintf(`<store>
category=default
type=multi
<store>
type=file
file_path={DIR}
compress=gzip
</store>
<store>
type=kafka
topic=kafka://%s/logs.{category}
</store>
</store>
`, k.Addr))
	c.Restart(t)
	s := &shared{input: t.TempDir()}
	files := map[string]string{"web": filepath.Join(s.input, "web.log"), "a b": filepath.Join(s.input, "a.log")}
	for category, file := range files {
		harness.WriteFile(t, file, "")
		ink.Start(t, harness.Command{Args: []string{"forward", "--to", c.Addr, "--state", t.TempDir(), category + "=" + file}})
	}
	want := 0
	more := func() {
		for _, file := range files {
			var text strings.Builder
			for i := range 500 {
				fmt.Fprintf(&text, "%08d %s\n", want+i, hexNoise(want+i, 50))
			}
			appendTo(t, file, text.String())
		}
		want += 500
	}
	consumer := newConsumer(t, k, "logs.web", "logs.a_b")
	for round := range 3 {
		more()
		consumer.until(t, "logs.web", want)
		if round == 2 {
			break
		}
		c.Kill()
		if k.Real() {
			k.Kill()
		}
		more()
		c.Restart(t)
		if k.Real() {
			k.Begin(t)
		}
		more()
	}
	consumer.until(t, "logs.web", want)
	consumer.until(t, "logs.a_b", want)
	c.Stop(t)
}

// consumer reads topics and drops what it has seen, by stream and number.
type consumer struct {
	client *kgo.Client
	lines  map[string][]string // by topic, in their order
	seen   map[string]bool
	twice  int
}

func newConsumer(t *testing.T, k *harness.Kafka, topics ...string) *consumer {
	t.Helper()
	cl, err := kgo.NewClient(append(k.Client, kgo.SeedBrokers(k.Addr), kgo.ConsumeTopics(topics...),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return &consumer{client: cl, lines: make(map[string][]string), seen: make(map[string]bool)}
}

// until reads until a topic has so many lines, and checks that they are those of a file, in their order.
func (c *consumer) until(t *testing.T, topic string, lines int) {
	t.Helper()
	harness.Until(t, fmt.Sprintf("%d lines are in %s", lines, topic), func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		for it := c.client.PollFetches(ctx).RecordIter(); !it.Done(); {
			c.take(t, it.Next())
		}
		return len(c.lines[topic]) >= lines
	})
	for i, line := range c.lines[topic] {
		if want := fmt.Sprintf("%08d %s", i, hexNoise(i, 50)); line != want {
			t.Fatalf("line %d of %s is %q, want %q", i, topic, line, want)
		}
	}
}

// take takes over one record.
func (c *consumer) take(t *testing.T, r *kgo.Record) {
	t.Helper()
	headers := make(map[string]string)
	for _, h := range r.Headers {
		headers[h.Key] = string(h.Value)
	}
	_, err := strconv.Atoi(headers["number"])
	category := map[string]string{"logs.web": "web", "logs.a_b": "a b"}[r.Topic]
	if headers["category"] != category || len(headers["stream"]) != 32 || err != nil || string(r.Key) != headers["stream"] {
		t.Fatalf("a record of %s has the key %q and the headers %q", r.Topic, r.Key, headers)
	}
	id := r.Topic + headers["stream"] + "/" + headers["number"]
	if c.seen[id] {
		c.twice++
		return
	}
	c.seen[id] = true
	c.lines[r.Topic] = append(c.lines[r.Topic], string(r.Value))
}
