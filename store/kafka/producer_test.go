package kafka

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"inkwell/proto"
)

// TestRecordsOfABatch splits a batch by category into records of a bounded size, and gets every entry back from them,
// with its number and the source of its stream.
func TestRecordsOfABatch(t *testing.T) {
	stream := [16]byte{7}
	p := &producer{topic: "logs", source: func(id [16]byte) (proto.Source, bool) {
		return proto.Source{Host: "web1", Path: "/var/log/a"}, id == stream
	}}
	var b proto.Batch
	long := bytes.Repeat([]byte("x"), maxValue+1)
	messages := make(map[string][]string)
	add := func(category string, message []byte, numbered bool) {
		b.Append([]byte(category), message)
		s := proto.Span{Count: 1}
		if numbered {
			s.Stream, s.First = stream, int64(len(messages[category]))
		}
		b.AppendSpan(s)
		messages[category] = append(messages[category], string(message))
	}
	for i := range 3000 {
		add("web", fmt.Appendf(nil, "%d %s", i, long[:1000]), true)
		if i%1000 == 0 {
			add("mail", long, false)
		}
	}
	got := make(map[string][]string)
	for _, r := range p.records(&b) {
		var one proto.Batch
		if err := decode(r, &one); err != nil {
			t.Fatal(err)
		}
		if len(r.Value) > maxValue+1000 && one.Count() > 1 {
			t.Errorf("a record of %d entries has %d bytes", one.Count(), len(r.Value))
		}
		named := 0
		one.Namings(func(n proto.Naming) bool {
			named++
			return n.Stream == stream && n.Host == "web1"
		})
		if want := map[string]int{"web": 1, "mail": 0}[string(r.Key)]; named != want {
			t.Errorf("a record of %s names %d sources", r.Key, named)
		}
		for c := one.Cursor(); c.Next(); {
			category := string(c.Category())
			if n := c.Number(); string(r.Key) != category || n.Numbered() != (category == "web") ||
				n.Numbered() && n.First != int64(len(got[category])) {
				t.Fatalf("entry %d of %s has number %+v, in a record with the key %s", len(got[category]), category, n, r.Key)
			}
			got[category] = append(got[category], string(c.Message()))
		}
	}
	for category, want := range messages {
		if fmt.Sprint(got[category]) != fmt.Sprint(want) {
			t.Errorf("%s: %d entries came back of %d", category, len(got[category]), len(want))
		}
	}
}

// TestLanes spreads the streams of a category: each stream is in one partition, in its order, and what has no numbers is
// where the category is without fan=.
func TestLanes(t *testing.T) {
	p := &producer{topic: "logs", fan: Fan{"web": 5}}
	const streams, partitions = 40, 8
	var b proto.Batch
	next := make([]int64, streams)
	for i := range 4000 {
		b.Append([]byte("web"), fmt.Append(nil, i))
		s := proto.Span{Count: 1}
		if k := (i / 3 * 7) % (streams + 1); k > 0 { // three of a stream in a row
			s.Stream, s.First = [16]byte{byte(k)}, next[k-1]
			next[k-1]++
		}
		b.AppendSpan(s)
	}
	partitioner := fanned{kgo.StickyKeyPartitioner(nil)}.ForTopic("logs")
	home := kgo.StickyKeyPartitioner(nil).ForTopic("logs").Partition(&kgo.Record{Key: []byte("web")}, partitions)
	of, got, used := make(map[[16]byte]int), make([]int64, streams), make(map[int]bool)
	for _, r := range p.records(&b) {
		at := partitioner.Partition(r, partitions)
		used[at] = true
		var one proto.Batch
		if err := decode(r, &one); err != nil {
			t.Fatal(err)
		}
		for c := one.Cursor(); c.Next(); {
			n := c.Number()
			if known, ok := of[n.Stream]; ok && known != at {
				t.Fatalf("stream %d is in the partitions %d and %d", n.Stream[0], known, at)
			}
			of[n.Stream] = at
			if !n.Numbered() {
				continue
			}
			if k := n.Stream[0] - 1; n.First != got[k] {
				t.Fatalf("stream %d: number %d comes where %d is expected", k, n.First, got[k])
			}
			got[n.Stream[0]-1]++
		}
	}
	if of[[16]byte{}] != home {
		t.Errorf("entries without numbers are in partition %d, want %d", of[[16]byte{}], home)
	}
	if !slices.Equal(got, next) || len(used) != 5 {
		t.Errorf("%d entries came back of %d, over %d partitions", got, next, len(used))
	}
}
