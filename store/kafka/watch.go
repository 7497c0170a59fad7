package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// watchEvery is how often the brokers are asked how far the group has come.
const watchEvery = 5 * time.Second

// The part of the retention after which an unread record makes the status WARNING, and after which calls are answered
// TRY_LATER, in percent.
const (
	warnAt   = 50
	refuseAt = 80
)

// Partition is how far the group has come with one partition.
type Partition struct {
	Number    int32
	Owner     string // the member that drains it; "" = nobody
	Committed int64  // the entries of records below this offset are in the depot, or in its books
	End       int64  // offset behind the last record
}

// Lag is how far behind a group is.
type Lag struct {
	Partitions []Partition
	Members    []string // of the group
	Records    int64    // that are not committed
	Warning    string   // some of them have waited for half of the retention; "" = none
	Refusal    string   // some of them have waited for so long that no more are accepted; "" = none
}

// look asks the brokers how far the group has come.
func look(ctx context.Context, a *Address, adm *kadm.Client, retention time.Duration) (lag *Lag, err error) {
	committed, err := adm.FetchOffsets(ctx, a.Group)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) { // nobody has committed anything
		return nil, fmt.Errorf("read the committed offsets of group %s: %w", a.Group, err)
	}
	ends, err := adm.ListEndOffsets(ctx, a.Topic)
	if err != nil {
		return nil, fmt.Errorf("read the ends of topic %s: %w", a.Topic, err)
	}
	owners, members, err := ownersOf(ctx, a, adm)
	if err != nil {
		return nil, err
	}
	lag = &Lag{Members: members}
	for _, end := range ends.Offsets().Sorted() {
		p := Partition{Number: end.Partition, Owner: owners[end.Partition], End: end.At}
		if o, ok := committed.Lookup(a.Topic, end.Partition); ok {
			p.Committed = max(o.At, 0)
		}
		lag.Partitions = append(lag.Partitions, p)
		lag.Records += max(p.End-p.Committed, 0)
	}
	if retention > 0 && lag.Records > 0 {
		if lag.Warning, err = lag.late(ctx, a, adm, retention*warnAt/100); err == nil {
			lag.Refusal, err = lag.late(ctx, a, adm, retention*refuseAt/100)
		}
	}
	return lag, err
}

// late returns which partition has records that nobody has read for a time, "" if none has.
func (l *Lag) late(ctx context.Context, a *Address, adm *kadm.Client, limit time.Duration) (string, error) {
	later, err := adm.ListOffsetsAfterMilli(ctx, time.Now().Add(-limit).UnixMilli(), a.Topic)
	if err != nil {
		return "", fmt.Errorf("find old records of topic %s: %w", a.Topic, err)
	}
	for _, p := range l.Partitions {
		if o, ok := later.Lookup(a.Topic, p.Number); ok && o.Err == nil && p.Committed < min(o.Offset, p.End) {
			return fmt.Sprintf("partition %d of topic %s has records that nobody has brought into files for more than "+
				"%v: the topic removes them after its retention (is a collector down, or the depot? see the owners in "+
				"the status)", p.Number, a.Topic, limit.Round(time.Second)), nil
		}
	}
	return "", nil
}

// ownersOf returns the members of the group, and which of them own the partitions of the topic.
func ownersOf(ctx context.Context, a *Address, adm *kadm.Client) (owners map[int32]string, members []string,
	err error) {
	groups, err := adm.DescribeGroups(ctx, a.Group)
	if err != nil {
		return nil, nil, fmt.Errorf("ask who is in group %s: %w", a.Group, err)
	}
	owners = make(map[int32]string)
	for _, m := range groups[a.Group].Members {
		name := m.MemberID
		if m.InstanceID != nil {
			name = *m.InstanceID
		}
		members = append(members, name)
		c, ok := m.Assigned.AsConsumer()
		if !ok {
			continue
		}
		for _, t := range c.Topics {
			for _, n := range t.Partitions {
				if t.Topic == a.Topic {
					owners[n] = name
				}
			}
		}
	}
	return owners, members, nil
}
