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
	for _, s := range c.Stores {
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
	if f.Compress.DoneMarkers {
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
