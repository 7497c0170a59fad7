package kafka

import (
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"inkwell/proto"
)

// Fan is over how many partitions categories are spread, by category; "" stands for those that are not named, and
// categories that are not in it at all have one partition.
type Fan map[string]int

// maxFan is the largest number of partitions of a category.
const maxFan = 10_000

// parseFan parses N, or CATEGORY:N,CATEGORY:N.
func parseFan(text string) (Fan, error) {
	f := make(Fan)
	if text == "" {
		return f, nil
	}
	for one := range strings.SplitSeq(text, ",") {
		at := strings.LastIndexByte(one, ':')
		n, err := strconv.Atoi(one[at+1:])
		if err != nil || n < 1 || n > maxFan {
			return nil, fmt.Errorf("fan=%s: want over how many partitions categories are spread, from 1 to %d, as in 4 or "+
				"web:16,api:4", text, maxFan)
		}
		f[one[:max(at, 0)]] = n
	}
	return f, nil
}

// Of returns over how many partitions a category is spread.
func (f Fan) Of(category string) int {
	for _, name := range []string{category, ""} {
		if n := f[name]; n > 0 {
			return n
		}
	}
	return 1
}

// Most returns the largest number of partitions of a category.
func (f Fan) Most() int { return slices.Max(append(slices.Collect(maps.Values(f)), 1)) }

// lane is a part of a category that has one partition: all of it or, with a Fan, the streams with one of N numbers.
type lane struct {
	category string
	number   int32
}

// lanes calls yield with the parts of a run by lane, in order.
func (f Fan) lanes(b *proto.Batch, run proto.Run, yield func(lane, proto.Run)) {
	l := lane{category: string(run.Category)}
	fan := f.Of(l.category)
	if fan == 1 {
		yield(l, run)
		return
	}
	part := proto.Run{Category: run.Category, From: run.From}
	c := b.CursorAt(run.From)
	for range run.Count {
		before := c.Place()
		c.Next()
		if n := laneOf(c.Number(), fan); n != l.number {
			if part.Count > 0 {
				yield(l, part)
			}
			l.number, part = n, proto.Run{Category: run.Category, From: before}
		}
		part.Count++
		part.Bytes += int64(len(c.Message()))
	}
	yield(l, part)
}

// laneOf returns the number of the lane of an entry. Entries without numbers stay together, because only that keeps
// their order.
func laneOf(n proto.Span, fan int) int32 {
	if !n.Numbered() {
		return 0
	}
	sum := fnv.New32a()
	_, _ = sum.Write(n.Stream[:]) // never fails
	return int32(sum.Sum32() % uint32(fan))
}

// fanned chooses the partition of a lane: those of a category follow the one that its name has, which is the same for
// all clients of Kafka. It implements kgo.Partitioner.
type fanned struct{ kgo.Partitioner }

// ForTopic implements kgo.Partitioner.
func (f fanned) ForTopic(topic string) kgo.TopicPartitioner {
	return fannedTopic{f.Partitioner.ForTopic(topic)}
}

// fannedTopic is fanned for one topic.
type fannedTopic struct{ kgo.TopicPartitioner }

// Partition implements kgo.TopicPartitioner. Until it has returned, the number of a record's lane is in its Partition.
func (f fannedTopic) Partition(r *kgo.Record, n int) int {
	number := int(r.Partition)
	return (f.TopicPartitioner.Partition(r, n) + number) % n
}
