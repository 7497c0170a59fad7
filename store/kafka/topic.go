package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// Topic has the settings of a topic that matter to a Log.
type Topic struct {
	Partitions int
	Replicas   int           // of each partition, at least
	InSync     int           // that must have a record before it counts as stored
	Retention  time.Duration // 0 = records are kept for ever
	MaxRecord  int           // bytes
	Offsets    error         // what is wrong with the topic in which the brokers keep committed offsets; nil = nothing is known
}

const (
	recordSlack  = 64 << 10           // bytes of a record besides the message: category, numbers, sources, framing
	minRetention = 3 * 24 * time.Hour // that a topic must have, so that a weekend without drainers loses nothing
)

// examine reads the settings of the topic. The error names everything that would lose entries, and the cure.
func (a *Address) examine(ctx context.Context, adm *kadm.Client, maxMessage int) (t Topic, err error) {
	topics, err := adm.ListTopics(ctx, a.Topic)
	if err != nil {
		return t, fmt.Errorf("ask the brokers of %s for the topic: %w (is it the address of brokers, and do tls= and "+
			"sasl= fit what they expect there?)", a, err)
	}
	found := topics[a.Topic]
	if found.Err != nil || len(found.Partitions) == 0 {
		return t, fmt.Errorf("topic %s is not there: %w (make it: kafka-topics.sh --bootstrap-server %s --create "+
			"--topic %s --partitions 16 --replication-factor %d --config min.insync.replicas=%d --config "+
			"retention.ms=604800000 --config max.message.bytes=%d)", a.Topic, found.Err, a.Brokers[0], a.Topic,
			a.Replicas, a.insync(), maxMessage+recordSlack)
	}
	value, err := settings(ctx, adm, a.Topic)
	if err != nil {
		return t, err
	}
	err = t.judge(a, found, value, maxMessage)
	t.Offsets = a.examineOffsets(ctx, adm)
	return t, err
}

// settings returns a function that returns the settings of a topic.
func settings(ctx context.Context, adm *kadm.Client, topic string) (func(key string) string, error) {
	configs, err := adm.DescribeTopicConfigs(ctx, topic)
	if err == nil && len(configs) != 1 {
		err = errors.New("no answer")
	}
	if err == nil {
		err = configs[0].Err
	}
	if err != nil {
		return nil, fmt.Errorf("read the settings of topic %s (the user needs DescribeConfigs): %w", topic, err)
	}
	return valueOf(configs[0]), nil
}

// valueOf returns a function that returns settings, "" if there is no such setting.
func valueOf(of kadm.ResourceConfig) func(key string) string {
	return func(key string) string {
		at := slices.IndexFunc(of.Configs, func(c kadm.Config) bool { return c.Key == key })
		if at < 0 {
			return ""
		}
		return of.Configs[at].MaybeValue()
	}
}

// insync is how many replicas must have a record before it counts as stored.
func (a *Address) insync() int { return max(1, a.Replicas-1) }

// judge reads the settings and returns what is wrong with them.
func (t *Topic) judge(a *Address, found kadm.TopicDetail, value func(string) string, maxMessage int) error {
	t.Partitions = len(found.Partitions)
	var wrong []error
	complain := func(format string, args ...any) {
		wrong = append(wrong, fmt.Errorf("topic "+a.Topic+" "+format, args...))
	}
	number := func(key string) int64 {
		n, err := strconv.ParseInt(value(key), 10, 64)
		if err != nil {
			complain("has %s=%q, which is no number", key, value(key))
		}
		return n
	}
	least := fewestReplicas(found)
	if t.Replicas = len(least.Replicas); t.Replicas < a.Replicas {
		complain("has %d replicas of partition %d, and needs %d (add replicas with kafka-reassign-partitions.sh, "+
			"or accept fewer with replicas=%d in the address)", t.Replicas, least.Partition, a.Replicas, t.Replicas)
	}
	if fan := a.Fan.Most(); fan > t.Partitions {
		complain("has %d partitions, and fan= in the address spreads a category over %d (make it at most %[1]d)",
			t.Partitions, fan)
	}
	if t.InSync = int(number("min.insync.replicas")); t.InSync < a.insync() {
		complain("has min.insync.replicas=%d: an entry could be acknowledged that only %[1]d brokers have (set it to %d)",
			t.InSync, a.insync())
	}
	if value("unclean.leader.election.enable") != "false" {
		complain("has unclean.leader.election.enable=%s: a broker without all entries can become leader (set it to "+
			"false)", value("unclean.leader.election.enable"))
	}
	if value("cleanup.policy") != "delete" {
		complain("has cleanup.policy=%s, which removes entries of the same category (set it to delete)",
			value("cleanup.policy"))
	}
	if n := number("retention.bytes"); n >= 0 {
		complain("has retention.bytes=%d, which removes entries that nobody has read (set it to -1, and retention.ms)", n)
	}
	if n := number("retention.ms"); n >= 0 {
		t.Retention = time.Duration(n) * time.Millisecond
		if t.Retention < minRetention {
			complain("has retention.ms=%d, which is less than %v: entries that wait longer are removed (set it to "+
				"604800000, a week)", n, minRetention)
		}
	}
	t.MaxRecord = int(min(number("max.message.bytes"), 1<<30))
	if t.MaxRecord < maxMessage+recordSlack {
		complain("takes records of %d bytes (max.message.bytes), and messages may have %d (set it to %d, or limit "+
			"messages with max_message_size=%d)", t.MaxRecord, maxMessage, maxMessage+recordSlack,
			max(t.MaxRecord-recordSlack, 0))
	}
	return errors.Join(wrong...)
}

// fewestReplicas returns the partition that has the fewest replicas.
func fewestReplicas(of kadm.TopicDetail) kadm.PartitionDetail {
	return slices.MinFunc(of.Partitions.Sorted(), func(x, y kadm.PartitionDetail) int {
		return len(x.Replicas) - len(y.Replicas)
	})
}
