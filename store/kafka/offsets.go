package kafka

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/twmb/franz-go/pkg/kadm"
)

// offsetsTopic is where the brokers keep what groups have committed.
const offsetsTopic = "__consumer_offsets"

// examineOffsets returns what is wrong with the topic of committed offsets, compared with what is demanded of the topic
// of the entries. The brokers make it when a group commits for the first time: before that, it is what they would make.
func (a *Address) examineOffsets(ctx context.Context, adm *kadm.Client) error {
	topics, err := adm.ListTopicsWithInternal(ctx, offsetsTopic)
	if err != nil {
		return fmt.Errorf("the topic %s cannot be looked at: %w", offsetsTopic, err)
	}
	found := topics[offsetsTopic]
	if found.Err != nil || len(found.Partitions) == 0 {
		return a.judgeOffsetsToBe(brokerSettings(ctx, adm))
	}
	value, err := settings(ctx, adm, offsetsTopic)
	if err != nil {
		return err
	}
	return a.judgeOffsets(found, value)
}

// brokerSettings returns a function that returns the settings of a broker, "" without the right to ask for them.
func brokerSettings(ctx context.Context, adm *kadm.Client) func(key string) string {
	brokers, err := adm.ListBrokers(ctx)
	if err == nil && len(brokers) > 0 {
		var configs kadm.ResourceConfigs
		configs, err = adm.DescribeBrokerConfigs(ctx, brokers[0].NodeID)
		if err == nil && len(configs) == 1 && configs[0].Err == nil {
			return valueOf(configs[0])
		}
	}
	return func(string) string { return "" }
}

// judgeOffsetsToBe judges the settings with which a broker makes the topic.
func (a *Address) judgeOffsetsToBe(value func(string) string) error {
	n, err := strconv.Atoi(value("offsets.topic.replication.factor"))
	if err != nil || n >= a.Replicas {
		return nil
	}
	return fmt.Errorf("the brokers will make %s, which has what is committed, with %d replicas, and %d are wanted of topic "+
		"%s: without the broker that has it nothing is drained, and if it is lost, draining stops for good (set "+
		"offsets.topic.replication.factor=%[3]d before the first start)", offsetsTopic, n, a.Replicas, a.Topic)
}

// judgeOffsets judges the topic that is there.
func (a *Address) judgeOffsets(found kadm.TopicDetail, value func(string) string) error {
	var wrong []error
	if least := fewestReplicas(found); len(least.Replicas) < a.Replicas {
		wrong = append(wrong, fmt.Errorf("%s, which has what is committed, has %d replicas of partition %d, and %d are wanted "+
			"of topic %s: without the broker that has it nothing is drained, and if it is lost, draining stops for good (add "+
			"replicas with kafka-reassign-partitions.sh)", offsetsTopic, len(least.Replicas), least.Partition, a.Replicas, a.Topic))
	}
	if n, err := strconv.Atoi(value("min.insync.replicas")); err == nil && n < a.insync() {
		wrong = append(wrong, fmt.Errorf("%s has min.insync.replicas=%d: a commit could be acknowledged that only %[2]d brokers "+
			"have, and when they are lost, files are written again (set it to %d: kafka-configs.sh --alter --topic %[1]s "+
			"--add-config min.insync.replicas=%[3]d)", offsetsTopic, n, a.insync()))
	}
	if value("unclean.leader.election.enable") == "true" {
		wrong = append(wrong, fmt.Errorf("%s has unclean.leader.election.enable=true: a broker without all commits can become "+
			"leader, and files are written again (set it to false)", offsetsTopic))
	}
	return errors.Join(wrong...)
}
