package config

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"inkwell/internal/conf"
	"inkwell/store"
)

// block is a block of the file, read by the options of its section.
type block struct {
	*conf.Block
	section *section
	l       *loader
}

// block reads b by the options of the section of that name.
func (l *loader) block(b *conf.Block, name string) block {
	s, ok := find(name)
	if !ok {
		panic("config: no section " + name)
	}
	return block{Block: b, section: s, l: l}
}

// value returns the text of a key, or of its default with line 0.
func (b block) value(key string) (option, conf.Setting) {
	o := b.section.option(key)
	if v, ok := b.Get(key); ok {
		return o, v
	}
	return o, conf.Setting{Text: o.fallback(b.l.file.New)}
}

// text returns a text.
func (b block) text(key string) string {
	_, v := b.value(key)
	return v.Text
}

// count returns a number.
func (b block) count(key string) uint64 {
	o, v := b.value(key)
	return b.number(o, v)
}

// number parses v by its option, with a warning if the result is not what the text suggests.
func (b block) number(o option, v conf.Setting) uint64 {
	if v.Line == 0 && v.Text == "" {
		return 0
	}
	read, digits := conf.Unsigned, "digits"
	if o.kind == decimal || o.kind == decimalOctets {
		read, digits = conf.Decimal, "decimal digits"
	}
	n, clean := read(v.Text)
	switch {
	case !clean && b.l.file.New:
		return b.unit(o, v)
	case !clean:
		b.l.warn(v.Line, fmt.Sprintf("%s=%s is read as %d", o.key, conf.Quote(v.Text), n),
			"write "+digits+" only; a unit is not understood")
	case digits == "digits" && n > 7 && v.Text[0] == '0' && v.Text[1]|0x20 != 'x':
		b.l.warn(v.Line, fmt.Sprintf("%s=%s is octal and read as %d", o.key, conf.Quote(v.Text), n),
			"write the number without the leading 0")
	}
	return n
}

// unit parses a number in a file of the new style, where bytes and times can have units.
func (b block) unit(o option, v conf.Setting) uint64 {
	var err error
	var n int64
	var d time.Duration
	switch o.kind {
	case octets, decimalOctets:
		n, err = conf.ParseSize(v.Text)
	case seconds:
		d, err = conf.ParseDuration(v.Text)
		n = int64(d / time.Second)
	case milliseconds:
		d, err = conf.ParseDuration(v.Text)
		n = int64(d / time.Millisecond)
	default:
		err = fmt.Errorf("%s is no number", conf.Quote(v.Text))
	}
	if err == nil {
		return uint64(n)
	}
	b.l.fail(v.Line, fmt.Sprintf("%s: %v", o.key, err),
		"write digits only, or a number with a unit if it is of bytes or of time")
	fallback, _ := conf.Unsigned(o.fallback(true))
	return fallback
}

// bytes returns a number of bytes, whatever the kind of the option.
func (b block) bytes(key string) int64 {
	o, v := b.value(key)
	if o.kind != size {
		return int64(min(b.number(o, v), math.MaxInt64))
	}
	if v.Text == "" && v.Line == 0 {
		return 0
	}
	n, err := conf.ParseSize(v.Text)
	if err != nil {
		b.l.fail(v.Line, fmt.Sprintf("%s: %v; %s is used", key, err, o.value), "")
		n, _ = conf.ParseSize(o.value)
	}
	return n
}

// longest is the longest duration that is accepted: a hundred years, so that sums of several still fit into an int64.
const longest = 100 * 365 * 24 * time.Hour

// seconds returns a duration that is written in seconds.
func (b block) seconds(key string) time.Duration { return b.units(key, time.Second) }

// milliseconds returns a duration that is written in milliseconds.
func (b block) milliseconds(key string) time.Duration { return b.units(key, time.Millisecond) }

func (b block) units(key string, unit time.Duration) time.Duration {
	return time.Duration(min(b.count(key), uint64(longest/unit))) * unit
}

// duration returns a duration that is written with units.
func (b block) duration(key string) time.Duration {
	o, v := b.value(key)
	d, err := conf.ParseDuration(v.Text)
	if err != nil {
		b.l.fail(v.Line, fmt.Sprintf("%s: %v; %s is used", key, err, o.value), "")
		d, _ = conf.ParseDuration(o.value)
	}
	return min(d, longest)
}

// yes returns a yes or no; which words count as yes depends on the key.
func (b block) yes(key string) bool {
	o, v := b.value(key)
	switch o.kind {
	case oneOrZero, newlines:
		if b.l.file.New && (v.Text == "yes" || v.Text == "no") {
			return v.Text == "yes"
		}
		n, clean := conf.Unsigned(v.Text)
		if !clean {
			b.l.warn(v.Line, fmt.Sprintf("%s=%s is read as %d: %s", key, conf.Quote(v.Text), n, onOff(n != 0)),
				fmt.Sprintf("write %s=1 or %s=0: yes and no are not understood here", key, key))
		}
		return n != 0
	case unless:
		b.doubt(o, v, v.Text != "no")
		return v.Text != "no"
	}
	b.doubt(o, v, v.Text == "yes")
	return v.Text == "yes"
}

// newlines returns which newlines are added to messages: by its own words, or by yes and no.
func (b block) newlines(key string) store.Newlines {
	_, v := b.value(key)
	if n, err := store.ParseNewlines(v.Text); err == nil {
		return n
	}
	if b.yes(key) {
		return store.NewlinesAlways
	}
	return store.NewlinesNever
}

// doubt warns of a text that is neither yes nor no.
func (b block) doubt(o option, v conf.Setting, read bool) {
	if v.Text != "yes" && v.Text != "no" {
		b.l.strict(v.Line, fmt.Sprintf("%s=%s is neither yes nor no: it is %s", o.key, conf.Quote(v.Text), onOff(read)),
			fmt.Sprintf("write %s=yes or %s=no", o.key, o.key))
	}
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

// choice returns one of several words, or the default if the text is none of them.
func (b block) choice(key string, words ...string) string {
	o, v := b.value(key)
	if slices.Contains(words, v.Text) {
		return v.Text
	}
	text := fmt.Sprintf("%s=%s is not known: %s is used", key, conf.Quote(v.Text), o.value)
	cure := "write " + strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
	if o.ours {
		b.l.fail(v.Line, text, cure)
	} else {
		b.l.warn(v.Line, text, cure)
	}
	return o.value
}

// fallback returns the default of a number whose value v cannot be used, and adds a problem with the reason.
func (b block) fallback(key string, v conf.Setting, why string) int64 {
	o := b.section.option(key)
	text := fmt.Sprintf("%s=%s %s: %s is used", key, conf.Quote(v.Text), why, o.value)
	if o.ours {
		b.l.fail(v.Line, text, "see docs/configuration.md")
	} else {
		b.l.warn(v.Line, text, "see docs/configuration.md")
	}
	if o.kind == size {
		n, _ := conf.ParseSize(o.value)
		return n
	}
	n, _ := conf.Unsigned(o.value)
	return int64(n)
}
