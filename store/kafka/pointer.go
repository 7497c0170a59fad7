package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// commitLimit bounds the time of a commit, which waits while the group assigns its partitions.
const commitLimit = 30 * time.Second

// groupPointer is the committed offset of a partition in the member's group.
type groupPointer struct {
	m         *member
	client    *kgo.Client // of the membership
	partition int32
}

// Read implements pointer. The broker that answers must know this membership: then it also has what former owners have
// committed. One that was the coordinator of the group before, and was cut off or stopped since, would tell the offset
// of that time, and entries would be written again.
func (g groupPointer) Read(ctx context.Context) (offset int64, books string, err error) {
	a := &g.m.o.Address
	r := kmsg.NewPtrOffsetFetchRequest()
	r.Group = a.Group
	of := kmsg.NewOffsetFetchRequestTopic()
	of.Topic, of.Partitions = a.Topic, []int32{g.partition}
	r.Topics = append(r.Topics, of)
	shard := g.client.RequestSharded(ctx, r)[0] // one group has one coordinator
	if shard.Err != nil {
		return 0, "", shard.Err
	}
	answer := shard.Resp.(*kmsg.OffsetFetchResponse)
	err = kerr.ErrorForCode(answer.ErrorCode)
	if err == nil {
		err = g.known(ctx, g.client.Broker(int(shard.Meta.NodeID)))
	}
	offset = -1
	for _, t := range answer.Topics {
		for _, p := range t.Partitions {
			err = errors.Join(err, kerr.ErrorForCode(p.ErrorCode))
			if p.Offset >= 0 {
				offset = p.Offset
				if p.Metadata != nil {
					books = *p.Metadata
				}
			}
		}
	}
	return offset, books, err
}

// known makes sure that a broker knows the membership.
func (g groupPointer) known(ctx context.Context, b *kgo.Broker) error {
	r := kmsg.NewPtrHeartbeatRequest()
	r.Group, r.InstanceID = g.m.o.Address.Group, &g.m.o.Address.Member
	r.MemberID, r.Generation = g.client.GroupMetadata()
	answer, err := b.Request(ctx, r)
	if err == nil {
		err = kerr.ErrorForCode(answer.(*kmsg.HeartbeatResponse).ErrorCode)
	}
	if err != nil && !errors.Is(err, kerr.RebalanceInProgress) {
		return fmt.Errorf("the broker that was asked does not know this member of the group (it is asked again): %w", err)
	}
	return nil
}

// committedAt returns what a group has committed for a partition; the offset is -1 if that is nothing.
func committedAt(ctx context.Context, adm *kadm.Client, a *Address, partition int32) (offset int64, books string,
	err error) {
	all, err := adm.FetchOffsets(ctx, a.Group)
	if errors.Is(err, kerr.GroupIDNotFound) {
		return -1, "", nil
	}
	if err == nil {
		err = all.Error()
	}
	if err != nil {
		return 0, "", err
	}
	one, ok := all.Lookup(a.Topic, partition)
	if !ok || one.At < 0 {
		return -1, "", nil
	}
	return one.At, one.Metadata, nil
}

// Move implements pointer. It commits with the identity of the membership. Once begun a commit is not cancelled: whoever
// stops the partition waits for it.
func (g groupPointer) Move(ctx context.Context, offset int64, books string) (err error) {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", errRefused, err)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitLimit)
	defer cancel()
	issued := false
	ctx = kgo.PreCommitFnContext(ctx, func(r *kmsg.OffsetCommitRequest) error {
		// Without a membership a commit is that of a program outside of the group, which Kafka accepts while the group
		// has no members.
		if r.MemberID == "" || r.Generation < 0 {
			return errRefused
		}
		issued = true
		for i := range r.Topics {
			for k := range r.Topics[i].Partitions {
				r.Topics[i].Partitions[k].Metadata = &books
			}
		}
		return nil
	})
	offsets := map[string]map[int32]kgo.EpochOffset{g.m.o.Address.Topic: {g.partition: {Epoch: -1, Offset: offset}}}
	g.client.CommitOffsetsSync(ctx, offsets, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, r *kmsg.OffsetCommitResponse,
		failed error) {
		err = outcome(r, failed)
	})
	if err != nil && !issued {
		return fmt.Errorf("%w: it was not sent", errRefused)
	}
	return err
}

// outcome returns the result of a commit of one partition.
func outcome(r *kmsg.OffsetCommitResponse, failed error) error {
	if failed != nil {
		return fmt.Errorf("%w: %w", errUnknown, failed)
	}
	for _, t := range r.Topics {
		for _, p := range t.Partitions {
			switch err := kerr.ErrorForCode(p.ErrorCode); {
			case err == nil:
				return nil
			case errors.Is(err, kerr.IllegalGeneration), errors.Is(err, kerr.UnknownMemberID),
				errors.Is(err, kerr.FencedInstanceID), errors.Is(err, kerr.RebalanceInProgress):
				return fmt.Errorf("%w: %w", errRefused, err)
			default:
				return fmt.Errorf("%w: %w", errUnknown, err)
			}
		}
	}
	return fmt.Errorf("%w: the brokers did not answer for the partition", errUnknown)
}
