package kafka

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// TestSettingsOfTheTopic accepts the settings that the documentation names, and names each that can lose entries.
func TestSettingsOfTheTopic(t *testing.T) {
	a, err := ParseAddress("kafka://k/logs")
	if err != nil {
		t.Fatal(err)
	}
	good := map[string]string{"min.insync.replicas": "2", "unclean.leader.election.enable": "false", "cleanup.policy": "delete",
		"retention.bytes": "-1", "retention.ms": "604800000", "max.message.bytes": "17825792"}
	judge := func(replicas int, settings map[string]string) (Topic, error) {
		found := kadm.TopicDetail{Topic: "logs", Partitions: kadm.PartitionDetails{
			0: {Partition: 0, Replicas: make([]int32, replicas)}, 1: {Partition: 1, Replicas: make([]int32, replicas)}}}
		var topic Topic
		err := topic.judge(&a, found, func(key string) string { return settings[key] }, 16<<20)
		return topic, err
	}
	if _, err := judge(3, good); err != nil {
		t.Error(err)
	}
	for setting, want := range map[string]string{
		"min.insync.replicas=1": "min.insync.replicas=1", "min.insync.replicas=": "which is no number",
		"unclean.leader.election.enable=true": "unclean.leader.election.enable=true", "cleanup.policy=compact": "cleanup.policy",
		"retention.bytes=1000": "retention.bytes=1000", "retention.ms=3600000": "retention.ms=3600000",
		"max.message.bytes=1048588": "max_message_size=983052",
	} {
		key, value, _ := strings.Cut(setting, "=")
		bad := maps.Clone(good)
		bad[key] = value
		if _, err := judge(3, bad); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", setting, err, want)
		}
	}
	_, err = judge(2, map[string]string{"min.insync.replicas": "1", "max.message.bytes": "1"})
	if text := err.Error(); !strings.Contains(text, "2 replicas of partition 0") || strings.Count(text, "\n") < 4 {
		t.Errorf("not every problem is named: %v", err)
	}
	good["retention.ms"] = "-1"
	if topic, err := judge(3, good); err != nil || topic != (Topic{Partitions: 2, Replicas: 3, InSync: 2, MaxRecord: 17825792}) {
		t.Errorf("%+v, %v", topic, err)
	}
	a.Fan = Fan{"web": 3}
	if _, err := judge(3, good); err == nil || !strings.Contains(err.Error(), "over 3") {
		t.Errorf("fan=3 with two partitions: %v", err)
	}
	a.Fan = nil
	a.Replicas = 1
	if topic, err := judge(1, map[string]string{"min.insync.replicas": "1", "unclean.leader.election.enable": "false",
		"cleanup.policy": "delete", "retention.bytes": "-1", "retention.ms": "604800000",
		"max.message.bytes": "20000000"}); err != nil || topic.Retention != 7*24*time.Hour {
		t.Errorf("one replica: %+v, %v", topic, err)
	}
}

// TestSettingsOfCommits warns of a topic of committed offsets that can lose them, and of one that the brokers would make.
func TestSettingsOfCommits(t *testing.T) {
	a, err := ParseAddress("kafka://k/logs")
	if err != nil {
		t.Fatal(err)
	}
	judge := func(replicas int, insync, unclean string) string {
		found := kadm.TopicDetail{Partitions: kadm.PartitionDetails{0: {Partition: 0, Replicas: make([]int32, 3)},
			1: {Partition: 1, Replicas: make([]int32, replicas)}}}
		values := map[string]string{"min.insync.replicas": insync, "unclean.leader.election.enable": unclean}
		return fmt.Sprint(a.judgeOffsets(found, func(key string) string { return values[key] }))
	}
	toBe := func(replicas string) string {
		return fmt.Sprint(a.judgeOffsetsToBe(func(string) string { return replicas }))
	}
	none := fmt.Sprint(error(nil))
	for text, want := range map[string]string{
		judge(3, "2", "false"): none, judge(1, "2", "false"): "has 1 replicas of partition 1, and 3 are wanted of topic logs",
		judge(3, "1", "false"): "min.insync.replicas=1", judge(3, "2", "true"): "unclean.leader.election.enable=true",
		toBe("3"): none, toBe(""): none, toBe("1"): "with 1 replicas",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q, want %q", text, want)
		}
	}
	if a.Replicas = 1; judge(1, "1", "false") != none || toBe("1") != none {
		t.Error("one replica is wanted")
	}
}
