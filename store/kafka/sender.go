package kafka

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"inkwell/proto"
	"inkwell/store"
)

// The headers of a record for other programs. Stream and number together identify an entry: a consumer that has seen
// them drops the record.
const (
	headerCategory = "category"
	headerStream   = "stream" // 32 hexadecimal digits; entries without a number have no such header
	headerNumber   = "number" // decimal
)

// The values of SenderOptions.Key.
const (
	KeyStream   = "stream"   // entries of one stream stay in their order
	KeyCategory = "category" // entries of one category stay in their order
	KeyNone     = "none"     // entries are spread
)

// SenderOptions configure a store that writes entries into topics for other programs.
type SenderOptions struct {
	Address Address // of ParseTarget
	Key     string  // KeyStream, KeyCategory or KeyNone
}

// Senders shares clients among the stores that write to the same brokers. Safe for concurrent use.
type Senders struct {
	mu      sync.Mutex
	clients map[string]*sender // by address
}

// sender is a client with the stores that use it.
type sender struct {
	client *kgo.Client
	users  int

	mu     sync.Mutex
	limits map[string]int32 // largest record of each topic
}

// topics writes each entry as a record into the topic of its category. It implements store.Store.
type topics struct {
	o      SenderOptions
	all    *Senders
	sender *sender
}

// NewSenders returns Senders without a client.
func NewSenders() *Senders { return &Senders{clients: make(map[string]*sender)} }

// Open returns a store. It does not connect: brokers that cannot be reached are noticed at the first Append.
func (s *Senders) Open(o SenderOptions) (store.Store, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := o.Address.String()
	one := s.clients[key]
	if one == nil {
		one = &sender{limits: make(map[string]int32)}
		var err error
		one.client, err = o.Address.client(kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerLinger(0),
			kgo.ProducerBatchMaxBytesFn(one.limit), kgo.MaxBufferedBytes(maxBuffered), kgo.MaxBufferedRecords(100_000),
			kgo.ProducerBatchCompression(kgo.Lz4Compression(), kgo.NoCompression()),
			kgo.RecordDeliveryTimeout(deliveryLimit))
		if err != nil {
			return nil, err
		}
		s.clients[key] = one
	}
	one.users++
	return &topics{o: o, all: s, sender: one}, nil
}

// Append implements store.Store. After an error some entries may be in their topics all the same: they are there twice
// when the batch is appended again, with the same stream and number.
func (t *topics) Append(ctx context.Context, b *proto.Batch) error {
	ctx, cancel := context.WithTimeout(ctx, deliveryLimit)
	defer cancel()
	var waiting sync.WaitGroup
	var mu sync.Mutex
	var failed error
	known := make(map[string]string) // topics by category
	for c := b.Cursor(); c.Next(); {
		topic, ok := known[string(c.Category())]
		if !ok {
			topic = TopicOf(t.o.Address.Topic, c.Category())
			if err := t.sender.know(ctx, topic); err != nil {
				waiting.Wait()
				return err
			}
			known[string(c.Category())] = topic
		}
		waiting.Add(1)
		t.sender.client.Produce(ctx, t.record(topic, &c), func(_ *kgo.Record, err error) {
			defer waiting.Done()
			if err != nil {
				mu.Lock()
				defer mu.Unlock()
				failed = errors.Join(failed, err)
				t.sender.forget(topic, err)
			}
		})
	}
	waiting.Wait()
	if failed != nil {
		return fmt.Errorf("write to %s: %w", t.o.Address, first(failed))
	}
	return nil
}

// record returns the record of an entry. The newline at the end of a line is left out: a record needs none.
func (t *topics) record(topic string, c *proto.Cursor) *kgo.Record {
	r := &kgo.Record{Topic: topic, Value: append([]byte{}, bytes.TrimSuffix(c.Message(), []byte("\n"))...),
		Headers: []kgo.RecordHeader{{Key: headerCategory, Value: append([]byte(nil), c.Category()...)}}}
	n := c.Number()
	if n.Numbered() {
		id := []byte(hex.EncodeToString(n.Stream[:]))
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: headerStream, Value: id},
			kgo.RecordHeader{Key: headerNumber, Value: strconv.AppendInt(nil, n.First, 10)})
		if t.o.Key == KeyStream {
			r.Key = id
		}
	}
	if t.o.Key == KeyCategory {
		r.Key = r.Headers[0].Value
	}
	return r
}

// TopicOf returns the topic of a category. What cannot be in the name of a topic becomes an underscore.
func TopicOf(template string, category []byte) string {
	name := strings.Map(func(r rune) rune {
		if strings.ContainsRune(nameLetters, r) {
			return r
		}
		return '_'
	}, string(category))
	name = strings.ReplaceAll(template, "{category}", name)
	return name[:min(len(name), maxTopic)]
}

// know finds out how large the records of a topic may be, unless that is known.
func (s *sender) know(ctx context.Context, topic string) error {
	s.mu.Lock()
	_, known := s.limits[topic]
	s.mu.Unlock()
	if known {
		return nil
	}
	configs, err := kadm.NewClient(s.client).DescribeTopicConfigs(ctx, topic)
	if err == nil {
		var of kadm.ResourceConfig
		if of, err = configs.On(topic, nil); err == nil {
			err = of.Err
		}
		for _, c := range of.Configs {
			n, bad := strconv.ParseInt(c.MaybeValue(), 10, 32)
			if c.Key == "max.message.bytes" && bad == nil {
				s.mu.Lock()
				s.limits[topic] = int32(n)
				s.mu.Unlock()
				return nil
			}
		}
	}
	if err == nil {
		err = errors.New("there is no max.message.bytes among them")
	}
	return fmt.Errorf("read the settings of topic %s: %w (it must be there, and the user needs DescribeConfigs and "+
		"Write)", topic, err)
}

// forget has the limit of a topic read again after a record was too large: it may have been raised.
func (s *sender) forget(topic string, err error) {
	if errors.Is(err, kerr.MessageTooLarge) {
		s.mu.Lock()
		delete(s.limits, topic)
		s.mu.Unlock()
	}
}

// limit returns how large a batch of records for a topic may be.
func (s *sender) limit(topic string) int32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n, ok := s.limits[topic]; ok {
		return max(n, minRecord)
	}
	return defaultRecord
}

// What the client sends in a batch at least, and if a topic does not say.
const (
	minRecord     = 1 << 10
	defaultRecord = 1_000_012
)

// Close implements store.Store.
func (t *topics) Close() error {
	t.all.mu.Lock()
	defer t.all.mu.Unlock()
	if t.sender.users--; t.sender.users == 0 {
		delete(t.all.clients, t.o.Address.String())
		t.sender.client.Close()
	}
	return nil
}

// Ping connects to the brokers of an address.
func Ping(ctx context.Context, a Address) error {
	cl, err := a.client(kgo.RetryTimeout(openLimit))
	if err != nil {
		return err
	}
	defer cl.Close()
	return cl.Ping(ctx)
}
