package main

import (
	"context"
	"time"

	"inkwell/internal/config"
	"inkwell/store/kafka"
)

// topic connects to the brokers of the topic that is the journal, and examines its settings.
func (s *startCheck) topic() {
	if s.c.Topic == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), topicWait)
	defer cancel()
	t, err := kafka.Examine(ctx, *s.c.Topic, s.c.MaxMessage)
	switch {
	case err != nil:
		s.bad("the journal: %v", err)
	case t.Partitions < fewPartitions:
		s.odd("topic %s has %d partitions, and each is drained by one collector at a time: make four times as many as "+
			"there will ever be collectors", s.c.Topic.Topic, t.Partitions)
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
