package config

import (
	"errors"
	"fmt"

	"inkwell/internal/conf"
	"inkwell/store/kafka"
)

// topic reads journal=, and checks that the stores can be filled from a topic.
func (l *loader) topic() {
	c := l.config
	b := l.block(l.file.Root, "global")
	v, ok := b.Get("journal")
	if !ok || v.Text == "" {
		return
	}
	a, err := kafka.ParseAddress(v.Text)
	if err != nil {
		l.spoil(v.Line, fmt.Sprintf("journal=%s: %v", conf.Quote(v.Text), err),
			"write journal=kafka://BROKER,BROKER/TOPIC, or remove the line: then the journal is in the state directory")
		return
	}
	if c.MaxMessage == 0 {
		l.spoil(v.Line, "journal=kafka:// needs max_message_size: a topic takes messages up to its max.message.bytes",
			"write max_message_size=16MiB, and set max.message.bytes of the topic to 17825792")
	}
	taken := make(map[string]bool)
	for _, s := range c.Stores {
		for _, category := range s.Categories {
			if taken[category] {
				l.spoil(s.Line, fmt.Sprintf("journal=kafka:// with two stores for category %s", conf.Quote(category)),
					"write one: each message of a topic goes into one file")
			}
			taken[category] = true
		}
		if s.Sink == nil {
			continue
		}
		if _, err := PublishedFile(s.Sink); err != nil {
			l.spoil(s.Line, fmt.Sprintf("journal=kafka:// with a store that cannot be filled from a topic: %v", err),
				"write type=file, compress=gzip and publish=s3://BUCKET/PREFIX, hdfs://NAMENODE:PORT/PATH or /a/directory")
		}
	}
	c.Topic = &a
	if _, err := c.TopicDepot(); err != nil {
		l.spoil(v.Line, err.Error(), "write the same address in publish= of every store")
	}
}

// PublishedFile returns a sink as a file store whose finished files go to a depot.
func PublishedFile(s Sink) (File, error) {
	f, ok := s.(File)
	if !ok || f.Compress == nil || f.Compress.Depot == "" {
		return File{}, fmt.Errorf("%s has no depot", s)
	}
	if f.Compress.DoneMarkers && !f.Compress.Hive { // the layout of Hive is of use without them, too
		return File{}, errors.New("done_markers need a collector with all entries of a category")
	}
	return f, nil
}

// TopicDepot returns the address of the depot of all stores.
func (c *Config) TopicDepot() (address string, err error) {
	for _, s := range c.Stores {
		if s.Sink == nil {
			continue
		}
		f, err := PublishedFile(s.Sink)
		if err != nil {
			return "", err
		}
		if address != "" && f.Compress.Depot != address {
			return "", fmt.Errorf("journal=kafka:// with stores of two depots, %s and %s", address, f.Compress.Depot)
		}
		address = f.Compress.Depot
	}
	return address, nil
}

var kafkaOptions = []option{
	{key: "topic", kind: text, ours: true, meaning: "`kafka://BROKER,BROKER/TOPIC`, with `{category}` in the name if each category has a topic of its own; other letters than those of topics become `_`. Options: `tls=yes`, `ca`, `cert`, `key`, `sasl=plain`, `scram-sha-256` or `scram-sha-512`, `user`, `password_file`. The topics must be there."},
	{key: "record_key", kind: text, value: "stream", ours: true, meaning: "The key of a record: `stream` (messages of one input stay in their order), `category`, or `none`."},
}

const kafkaIntro = "Writes each message as a record into a topic of Kafka, for Flink, ksql and others, without the newline at its end. It is done when all in-sync replicas have it; until then it waits in the journal. Headers: `category`, and of numbered messages `stream` and `number`. After a crash or an error, messages can be there twice, with the same `stream` and `number`."

// kafka reads a block of the type kafka.
func (l *loader) kafka(b *conf.Block) (Sink, error) {
	o := l.block(b, "kafka")
	v, ok := o.Get("topic")
	if !ok {
		return nil, refuse(b, "Bad config - no topic", "add a line topic=kafka://BROKER,BROKER/TOPIC")
	}
	a, err := kafka.ParseTarget(v.Text)
	if err != nil {
		return nil, &refusal{status: "Bad config - " + err.Error(), line: v.Line,
			cure: "write topic=kafka://BROKER,BROKER/TOPIC"}
	}
	return Kafka{Address: a, Key: o.choice("record_key", kafka.KeyStream, kafka.KeyCategory, kafka.KeyNone)}, nil
}

// Kafka is a store that writes into topics.
type Kafka struct {
	Address kafka.Address
	Key     string
}

// For returns k: the topic is determined by the category of each message.
func (k Kafka) For(string) Sink { return k }

func (k Kafka) String() string { return "kafka " + k.Address.String() + " by " + k.Key }
