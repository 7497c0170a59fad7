package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"inkwell/internal/conf"
)

var storeOptions = []option{
	{key: "category", kind: text,
		meaning: "The category that the store takes: a name, `PREFIX*`, or `default` for those that no other store " +
			"takes."},
	{key: "categories", kind: text,
		meaning: "Several of these, with blanks between them. Each has files of its own, as with `default`."},
	{key: "type", kind: text,
		meaning: "What kind of store it is: `" + "file`, `buffer`, `network`, `bucket`, `multi`, `category`, " +
			"`multifile`, `thriftfile`, `thriftmultifile`, `kafka` or `null`."},
	{key: "target_write_size", kind: decimalOctets, value: "16384",
		meaning: "Bytes of messages that are given to the store at once, without waiting for `max_write_interval`. " +
			"Base 10."},
	{key: "max_write_interval", kind: seconds, value: "1",
		meaning: "How long messages wait at most for others before they are given to the store, 0 = 1."},
	{key: "must_succeed", kind: unless, value: "yes",
		meaning: "`no`: messages that the store cannot take are dropped and counted as `lost`, not offered again."},
}

// refusal is the reason for which a store cannot be used.
type refusal struct {
	status string // in the words of the original where it had any
	line   int
	cure   string
}

func (r *refusal) Error() string { return r.status }

// refuse returns a refusal at b.
func refuse(b *conf.Block, status, cure string) error {
	return &refusal{status: status, line: b.Line, cure: cure}
}

// topLevel reads a block of the root.
func (l *loader) topLevel(b *conf.Block) {
	if _, typed := b.Literal("type"); !typed {
		switch b.Tag {
		case "tail", "pipe", "journal", "syslog":
			l.input(b)
			return
		case "allow":
			l.allow(b)
			return
		}
		if _, isRule := b.Literal("from"); isRule {
			l.spoil(b.Line, fmt.Sprintf("<%s> has from= and is no <allow>", conf.Quote(b.Tag)),
				"write <allow>: a rule must not be passed over")
			return
		}
	}
	s := &Store{Name: b.Name, Line: b.Line}
	l.config.Stores = append(l.config.Stores, s)
	if err := l.store(b, s); err != nil {
		l.config.refuse(s, err)
	}
	l.unknown(b, true)
}

// refuse records what is wrong with s.
func (c *Config) refuse(s *Store, err error) {
	s.Status = conf.Shown(err.Error())
	if r := (*refusal)(nil); errors.As(err, &r) {
		c.report(conf.Problem{Line: r.line, Text: s.Status, Cure: r.cure, Error: true})
	}
}

// store reads a store block into s.
func (l *loader) store(b *conf.Block, s *Store) error {
	if err := l.categories(b, s); err != nil {
		return err
	}
	kind, _ := b.Literal("type")
	if kind.Text == "" {
		return refuse(b, "Bad config - no type for store with category: "+s.Handled,
			"add a line type=file, network, buffer …")
	}
	if s.List && s.Handled == "" {
		return refuse(b, "Bad config - could not create store for category: ",
			"write categories=NAME NAME …, or remove it")
	}
	if !isType(kind.Text) {
		status := "Bad config - can't create a store of type: " + kind.Text
		if s.List {
			status = "Bad config - could not create store for category: " + s.Handled
		}
		return &refusal{status: status, line: kind.Line, cure: suggestType(kind.Text)}
	}
	o := l.block(b, "store")
	s.TargetWriteSize = o.bytes("target_write_size")
	s.MaxWriteInterval = max(o.seconds("max_write_interval"), time.Second)
	s.MustSucceed = o.yes("must_succeed")
	for _, category := range s.Categories {
		if unsafe(category) {
			l.warn(b.Line, fmt.Sprintf("category %s is not safe as the name of a file: its messages go to _unsafe",
				conf.Quote(category)), "use a name without / and not made of dots")
		}
	}
	if prefix, ok := strings.CutSuffix(s.Handled, "*"); ok && !s.List {
		s.Handled = prefix
	}
	several := s.List || slices.ContainsFunc(s.Categories, isPattern)
	p := position{handled: s.Handled, model: several && l.config.ThreadPerCategory, shared: several &&
		!l.config.ThreadPerCategory}
	var err error
	if s.Sink, err = l.sink(b, p); err != nil && s.Sink == nil {
		status := conf.Shown(err.Error())
		refusal := status
		if kind.Text == "bucket" {
			refusal = "Failed write to bucket store"
		}
		s.Sink = Unusable{Status: status, Refusal: refusal}
	}
	return err
}

// categories reads for which categories s is, and the name of its queue.
func (l *loader) categories(b *conf.Block, s *Store) error {
	one, single := b.Literal("category")
	if single {
		s.Categories = append(s.Categories, one.Text)
		s.Handled = one.Text
	}
	if several, ok := b.Literal("categories"); ok {
		s.List, s.Handled = true, several.Text
		s.Categories = append(s.Categories, strings.Fields(several.Text)...)
	}
	switch {
	case len(s.Categories) == 0:
		return refuse(b, "Bad config - store with no category",
			"add a line category=NAME, category=PREFIX* or category=default")
	case s.Categories[0] == "":
		return &refusal{status: "Bad config - store with blank category", line: one.Line,
			cure: "write category=NAME, category=PREFIX* or category=default"}
	}
	if single && strings.ContainsAny(one.Text, " \t") {
		l.warn(one.Line, fmt.Sprintf("category=%s is one category with blanks in its name", conf.Quote(one.Text)),
			"write categories= for several")
	}
	for i := 1; i < len(s.Categories); i++ {
		if slices.Contains(s.Categories[:i], s.Categories[i]) {
			l.warn(b.Line, fmt.Sprintf("category %s stands twice in one block: it counts once",
				conf.Quote(s.Categories[i])), "remove one of them")
			s.Categories = slices.Delete(s.Categories, i, i+1)
			i--
		}
	}
	return nil
}

// isPattern reports whether a category, as it was written, is a pattern for others.
func isPattern(category string) bool {
	return category == "default" || strings.HasSuffix(category, "*")
}

// unsafe reports whether a category must not become part of a path.
func unsafe(category string) bool {
	return strings.ContainsAny(category, "/\x00") || category == "." || category == ".."
}

// position describes where a sink is within a store, which decides the options that it has.
type position struct {
	handled  string // the name of the queue, and the default base of file names
	model    bool   // the sink is a model, of which copies will be made
	shared   bool   // it takes entries of several categories
	single   bool   // it gets messages one at a time
	readable bool   // it is a secondary that is read back
	bucket   int    // the number of the bucket that it is in, if inBucket
	inBucket bool
}

// sink reads a block of a known type. Together with an error it returns the part that can still be used, or nil.
func (l *loader) sink(b *conf.Block, p position) (Sink, error) {
	kind, _ := b.Literal("type")
	switch kind.Text {
	case "file", "thriftfile":
		return l.plainFile(b, kind.Text, p)
	case "buffer":
		return l.buffer(b, p)
	case "network":
		return l.network(b, p)
	case "bucket":
		return l.bucket(b, p)
	case "multi":
		return l.multi(b, p)
	case "category":
		return l.byCategory(b, p)
	case "multifile", "thriftmultifile":
		p.model, p.shared, p.single = true, false, true
		model, err := l.plainFile(b, kind.Text, p)
		if err != nil {
			return nil, err
		}
		return ByCategory{Model: model}, nil
	case "null":
		return Null{}, nil
	case "kafka":
		return l.kafka(b)
	}
	return nil, &refusal{status: "Bad config - can't create a store of type: " + kind.Text, line: kind.Line,
		cure: suggestType(kind.Text)}
}

// sub reads a block within another one. A block without a type is refused with the status untyped.
func (l *loader) sub(b *conf.Block, untyped string, p position) (Sink, error) {
	if kind, _ := b.Literal("type"); kind.Text == "" {
		return nil, refuse(b, untyped, "add a line type=file, network …")
	}
	l.unknown(b, false)
	return l.sink(b, p)
}
