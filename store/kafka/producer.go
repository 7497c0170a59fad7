package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inkwell/proto"
	"inkwell/store"
)

const (
	maxValue      = 900 << 10        // bytes of entries in one record; a longer entry is a record by itself
	maxBuffered   = 64 << 20         // bytes of records that are on their way to the brokers
	deliveryLimit = 30 * time.Second // until a call is answered TRY_LATER
)

// headerSources is the header of a record with the sources of its streams, encoded by proto.AppendNaming.
const headerSources = "sources"

// producer writes batches to the topic. Safe for concurrent use.
type producer struct {
	client *kgo.Client
	topic  string
	fan    Fan
	source func([16]byte) (proto.Source, bool)
}

// newProducer opens the client of a producer. With acks=all and idempotence, which are the defaults of the client, a
// record is stored once however often the client has to send it, and it is acknowledged when all in-sync replicas have
// it.
func newProducer(o *Options, maxRecord int) (*producer, error) {
	cl, err := o.Address.client(kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerLinger(0),
		kgo.ProducerBatchMaxBytes(int32(maxRecord)), kgo.MaxBufferedBytes(max(maxBuffered, 2*maxRecord)),
		kgo.ProducerBatchCompression(kgo.Lz4Compression(), kgo.NoCompression()),
		kgo.RecordPartitioner(fanned{kgo.StickyKeyPartitioner(nil)}),
		kgo.RecordDeliveryTimeout(deliveryLimit), kgo.DefaultProduceTopic(o.Address.Topic))
	if err != nil {
		return nil, err
	}
	return &producer{client: cl, topic: o.Address.Topic, fan: o.Address.Fan, source: o.Source}, nil
}

// append writes b and returns when every record is acknowledged. After an error some records may be stored all the
// same; their entries are recognized by their numbers when the call is sent again.
func (p *producer) append(ctx context.Context, b *proto.Batch) error {
	ctx, cancel := context.WithTimeout(ctx, deliveryLimit)
	defer cancel()
	var waiting sync.WaitGroup
	var mu sync.Mutex
	var failed error
	for _, r := range p.records(b) {
		waiting.Add(1)
		p.client.Produce(ctx, r, func(_ *kgo.Record, err error) {
			defer waiting.Done()
			if err != nil {
				mu.Lock()
				defer mu.Unlock()
				failed = errors.Join(failed, err)
			}
		})
	}
	acknowledged := make(chan struct{})
	go func() {
		waiting.Wait()
		close(acknowledged)
	}()
	select {
	case <-acknowledged:
	case <-ctx.Done(): // a record of which the outcome is unknown stays in the client, which owns its bytes
		mu.Lock()
		defer mu.Unlock()
		failed = errors.Join(failed, context.Cause(ctx))
	}
	if failed != nil {
		return fmt.Errorf("%w: write to topic %s: %w", store.ErrTryLater, p.topic, first(failed))
	}
	return nil
}

// first returns one of joined errors: those of a call's records are usually the same.
func first(err error) error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok && len(joined.Unwrap()) > 0 {
		return first(joined.Unwrap()[0])
	}
	return err
}

// records returns the records of a batch: for each category, or for each lane of one, in order, its entries with their
// numbers.
func (p *producer) records(b *proto.Batch) (all []*kgo.Record) {
	byLane := make(map[lane]*proto.Batch)
	var order []lane
	runs := b.AppendRuns(nil)
	if len(runs) == 1 && p.fan.Of(string(runs[0].Category)) == 1 { // the usual call of a forwarder
		return p.recordsOf(nil, lane{category: string(runs[0].Category)}, b)
	}
	for _, run := range runs {
		p.fan.lanes(b, run, func(l lane, part proto.Run) {
			one := byLane[l]
			if one == nil {
				one = new(proto.Batch)
				byLane[l] = one
				order = append(order, l)
			}
			one.AppendRun(b, part)
		})
	}
	for _, l := range order {
		all = p.recordsOf(all, l, byLane[l])
	}
	return all
}

// recordsOf appends the records of entries of one lane. They own their bytes.
func (p *producer) recordsOf(all []*kgo.Record, l lane, b *proto.Batch) []*kgo.Record {
	key := []byte(l.category)
	for part := range b.Parts(b.Count(), maxValue) {
		value := make([]byte, 0, part.Size()+16+40*len(part.Spans()))
		value = part.AppendRecordTail(append(value, part.Entries()...))
		r := &kgo.Record{Key: key, Value: value, Partition: l.number}
		if sources := p.sources(part); len(sources) > 0 {
			r.Headers = []kgo.RecordHeader{{Key: headerSources, Value: sources}}
		}
		all = append(all, r)
	}
	return all
}

// sources returns the encoded sources of the streams of a batch, as far as they are known.
func (p *producer) sources(b *proto.Batch) (encoded []byte) {
	if p.source == nil {
		return nil
	}
	var seen [][16]byte
	for _, s := range b.Spans() {
		if !s.Numbered() || slices.Contains(seen, s.Stream) {
			continue
		}
		seen = append(seen, s.Stream)
		if src, ok := p.source(s.Stream); ok {
			encoded, _ = proto.AppendNaming(encoded, proto.Naming{Stream: s.Stream, Source: src})
		}
	}
	return encoded
}

// decode makes b the batch of a record. b aliases the record.
func decode(r *kgo.Record, b *proto.Batch) error {
	if err := b.SetRecord(r.Value); err != nil {
		return err
	}
	for _, h := range r.Headers {
		if h.Key == headerSources {
			_ = b.SetNamings(h.Value) // sources are only shown to people
		}
	}
	return nil
}

func (p *producer) close() { p.client.Close() }
