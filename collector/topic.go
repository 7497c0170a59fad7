package collector

import (
	"context"
	"errors"
	"path/filepath"

	"inkwell/internal/status"
	"inkwell/proto"
	"inkwell/store/depot"
	"inkwell/store/kafka"
)

// topic is the journal of a collector that shares it with others. The local journal stays: what it has from an earlier
// configuration is delivered as ever, and it gets nothing new.
type topic struct {
	*kafka.Log
	depot depot.Depot
}

// openTopic opens the topic that the configuration names.
func (i *intake) openTopic() error {
	c := i.router.conf
	address, err := c.TopicDepot()
	if err != nil {
		return err
	}
	d, err := depot.Open(address, depot.Options{Logger: i.log, Injector: i.o.tuning.injector})
	if err != nil {
		return err
	}
	front := i.router.opener
	begin := func(e kafka.Epoch) (kafka.Engine, error) { return i.beginEpoch(c, front, e) }
	l, err := kafka.Open(context.Background(), kafka.Options{
		Address: *c.Topic, Depot: d, Scratch: filepath.Join(i.o.StateDir, "kafka"), Begin: begin,
		Source: i.journal.Source, MaxMessage: c.MaxMessage, Logger: i.log, Stats: i.stats,
	})
	if err != nil {
		return errors.Join(err, d.Close())
	}
	i.topic = &topic{Log: l, depot: d}
	return nil
}

// append makes the entries of a call durable.
func (i *intake) append(ctx context.Context, b *proto.Batch) error {
	if i.topic == nil {
		return i.journal.Append(ctx, b)
	}
	i.journal.Learn(b)
	return i.topic.Append(ctx, b)
}

// closeTopic ends draining.
func (i *intake) closeTopic() error {
	if i.topic == nil {
		return nil
	}
	return errors.Join(i.topic.Close(), i.topic.depot.Close())
}

// topicDocument describes the topic, nil if there is none.
func (i *intake) topicDocument() *status.Topic {
	if i.topic == nil {
		return nil
	}
	a, lag := i.topic.Address(), i.topic.Lag()
	t := &status.Topic{Name: a.Topic, Group: a.Group, Member: a.Member, Lag: lag.Records,
		Partitions: []status.Partition{}}
	for _, p := range lag.Partitions {
		t.Partitions = append(t.Partitions, status.Partition{Number: p.Number, Owner: p.Owner, Committed: p.Committed,
			End: p.End, Lag: max(p.End-p.Committed, 0)})
	}
	return t
}

// topicStatus says what is wrong with the topic, "" if nothing is.
func (i *intake) topicStatus() string {
	if i.topic == nil {
		return ""
	}
	return i.topic.Status()
}
