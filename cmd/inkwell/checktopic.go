package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"inkwell/internal/config"
	"inkwell/store/kafka"
)

// topic connects to the brokers of the topic that is the journal, says what it is like, and judges that.
func (s *startCheck) topic() {
	a := s.c.Topic
	if a == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), topicWait)
	defer cancel()
	t, lag, err := kafka.Describe(ctx, *a, s.c.MaxMessage)
	if t.Partitions > 0 {
		s.tell("found", "%s", topicText(a, &t))
	}
	if lag != nil {
		s.tell("found", "%s", groupText(a, lag))
		s.group(a, lag)
	}
	if t.Offsets != nil {
		s.odd("%v", t.Offsets)
	}
	switch {
	case err != nil:
		s.bad("the journal: %v", err)
	case t.Partitions < fewPartitions:
		s.odd("topic %s has %d partitions, and each is drained by one collector at a time: make four times as many as "+
			"there will ever be collectors", a.Topic, t.Partitions)
	}
}

// topicText describes a topic.
func topicText(a *kafka.Address, t *kafka.Topic) string {
	kept := "for ever"
	if t.Retention > 0 {
		kept = fmt.Sprintf("for %.3g days (retention.ms)", t.Retention.Hours()/24)
	}
	lanes := "a category is in one partition"
	if most := a.Fan.Most(); most > 1 {
		lanes = fmt.Sprintf("a category is spread over up to %d partitions (fan), a stream is in one", most)
	}
	return fmt.Sprintf("topic %s: %d partitions, %s; %d replicas, %d of them have an entry before a call is answered OK "+
		"(min.insync.replicas); entries are kept %s; largest record %d bytes (max.message.bytes)", a.Topic, t.Partitions,
		lanes, t.Replicas, t.InSync, kept, t.MaxRecord)
}

// groupText says who drains a topic, and what waits in it.
func groupText(a *kafka.Address, lag *kafka.Lag) string {
	owned := make(map[string]int)
	for _, p := range lag.Partitions {
		owned[cmp.Or(p.Owner, "nobody")]++
	}
	var owners []string
	for _, name := range slices.Sorted(maps.Keys(owned)) {
		owners = append(owners, fmt.Sprintf("%s has %d", name, owned[name]))
	}
	return fmt.Sprintf("group %s: %s; of the partitions %s; %d records are not committed", a.Group,
		count(len(lag.Members), "collector"), strings.Join(owners, ", "), lag.Records)
}

// group judges the state of a group.
func (s *startCheck) group(a *kafka.Address, lag *kafka.Lag) {
	if slices.Contains(lag.Members, a.Member) {
		s.odd("a collector drains topic %s under the name %s: if it is not this one, give each its own with member= in "+
			"the address", a.Topic, a.Member)
	}
	if text := cmp.Or(lag.Refusal, lag.Warning); text != "" {
		s.odd("%s", text)
	}
}

// targets connects to the brokers of the stores of the type kafka. Brokers that are down do not prevent a start.
func (s *startCheck) targets() {
	for _, st := range s.c.Stores {
		if st.Sink == nil {
			continue
		}
		config.Walk(st.Sink, func(sink config.Sink) {
			k, ok := sink.(config.Kafka)
			if !ok {
				return
			}
			ctx, cancel := context.WithTimeout(context.Background(), topicWait)
			defer cancel()
			if err := kafka.Ping(ctx, k.Address); err != nil {
				s.odd("the brokers of %s cannot be reached: %v (what is to go there waits until they can)", k.Address, err)
			}
		})
	}
}

// topicWait is the time that the brokers have for their answers to the check, and fewPartitions is how many partitions
// are too few for several collectors.
const (
	topicWait     = 15 * time.Second
	fewPartitions = 4
)
