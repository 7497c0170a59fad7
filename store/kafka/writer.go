package kafka

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"inkwell/proto"
)

// Writer appends to a topic as a Log does, and drains nothing. Safe for concurrent use.
type Writer struct {
	producer *producer
	identity string
}

// OpenWriter checks the topic of o.Address and connects to it. Of o only Address and Source are used.
func OpenWriter(ctx context.Context, o Options) (*Writer, error) {
	cl, err := o.Address.client(kgo.RetryTimeout(openLimit))
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	t, err := o.Address.examine(ctx, kadm.NewClient(cl), 0)
	if err != nil {
		return nil, err
	}
	w := new(Writer)
	if w.identity, err = o.Address.identity(ctx, kadm.NewClient(cl)); err != nil {
		return nil, err
	}
	w.producer, err = newProducer(&o, t.MaxRecord)
	return w, err
}

// Identity returns a text that no other topic has, as long as it is not made anew.
func (w *Writer) Identity() string { return w.identity }

// Append is like Log.Append.
func (w *Writer) Append(ctx context.Context, b *proto.Batch) error { return w.producer.append(ctx, b) }

// Close releases the connections.
func (w *Writer) Close() { w.producer.close() }

// identity returns the topic with the cluster that has it.
func (a *Address) identity(ctx context.Context, adm *kadm.Client) (string, error) {
	m, err := adm.BrokerMetadata(ctx)
	if err != nil {
		return "", fmt.Errorf("ask the brokers of %s which cluster they are: %w", a, err)
	}
	return fmt.Sprintf("topic %s of cluster %s", a.Topic, m.Cluster), nil
}
