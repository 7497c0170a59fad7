package lines

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// Format is the container format in which lines are wrapped.
type Format byte

// AutoFormat decides for each line by its looks.
const (
	None Format = iota
	AutoFormat
	CRI
	Docker
)

var formats = [...]string{None: "none", AutoFormat: "auto", CRI: "cri", Docker: "docker"}

func (f Format) String() string { return formats[f] }

// ParseFormat parses none, auto, cri or docker.
func ParseFormat(s string) (Format, error) {
	if i := slices.Index(formats[:], s); i >= 0 {
		return Format(i), nil
	}
	return None, fmt.Errorf("format %q: must be none, auto, cri or docker", s)
}

const (
	stdout = iota
	stderr
)

// unpack replaces the source line in p by what the container wrote. A line in another format is kept as it is, as one
// of stdout.
func (d *Decoder) unpack(p *piece) {
	ok := false
	if d.o.Format != Docker {
		ok = unpackCRI(p)
	}
	if !ok && d.o.Format != CRI {
		ok = d.unpackDocker(p)
	}
	if !ok {
		d.out.taken.Odd++
	}
}

// unpackCRI reads a line as containerd and CRI-O write it:
//
//	2016-10-06T00:17:09.669794202Z stdout P the beginning of a line
//	2016-10-06T00:17:09.669794203Z stdout F and its end
//
// The first tag may be followed by a colon and more tags. The text may be empty; then the blank before it may be
// missing.
func unpackCRI(p *piece) bool {
	line := p.text
	at := bytes.IndexByte(line[:min(len(line), 40)], ' ')
	if at < len("2006-01-02T15:04:05Z") || line[4] != '-' || line[10] != 'T' {
		return false
	}
	var stream int
	switch rest := line[at+1:]; {
	case bytes.HasPrefix(rest, []byte("stdout ")):
		stream = stdout
	case bytes.HasPrefix(rest, []byte("stderr ")):
		stream = stderr
	default:
		return false
	}
	at += len(" stdout")
	tags := line[at+1:]
	if len(tags) == 0 || tags[0] != 'P' && tags[0] != 'F' {
		return false
	}
	if _, ok := stampTime(line[:at]); !ok {
		return false
	}
	end := bytes.IndexAny(tags, " \n")
	switch {
	case end < 0:
		end = len(tags)
	case tags[end] == ' ':
		end++
	}
	if more := bytes.TrimRight(tags[1:end], " \r"); len(more) > 0 && more[0] != ':' {
		return false
	}
	text := tags[end:]
	p.stamp, p.stream, p.partial = line[:at], stream, tags[0] == 'P'
	if p.partial {
		text = bytes.TrimSuffix(text, []byte{'\n'})
	}
	p.take(text, at+1+end)
	return true
}

// take sets the message part of the line to text, which begins at index i of the line.
func (p *piece) take(text []byte, i int) {
	p.text = text
	if p.at >= 0 {
		p.at += i
	}
}

// unpackDocker parses a line as Docker's json-file driver writes it. If the log field does not end with a newline, the
// next line of the same stream continues it:
//
//	{"log":"a line\n","stream":"stdout","time":"2016-02-08T18:33:16.36791762Z"}
func (d *Decoder) unpackDocker(p *piece) bool {
	const begin = `{"log":"`
	line := bytes.TrimRight(p.text, "\r\n")
	if !bytes.HasPrefix(line, []byte("{")) || !bytes.HasSuffix(line, []byte("}")) {
		return false
	}
	var stamp, stream []byte
	text, rest, ok := d.text[:0], line, false
	if bytes.HasPrefix(line, []byte(begin)) {
		if text, rest, ok = appendUnquoted(text, line[len(begin):]); ok {
			stream, stamp, ok = dockerTail(rest)
		}
	}
	if !ok {
		var l struct {
			Log          *string
			Stream, Time string
		}
		if json.Unmarshal(line, &l) != nil || l.Log == nil || l.Stream == "" {
			return false
		}
		text, stream, stamp = append(text[:0], *l.Log...), []byte(l.Stream), []byte(l.Time)
	}
	d.text = text
	if cap(d.text) > longKeep {
		d.text = nil
	}
	p.stream = stdout
	if string(stream) == "stderr" {
		p.stream = stderr
	}
	p.text, p.at = text, -1
	p.partial = !bytes.HasSuffix(text, []byte{'\n'})
	d.stamp = append(append(append(d.stamp[:0], stamp...), ' '), stream...)
	p.stamp = d.stamp
	return true
}

// dockerTail parses what follows the log field in the exact form that Docker writes today.
func dockerTail(rest []byte) (stream, stamp []byte, ok bool) {
	const before, between, end = `,"stream":"`, `","time":"`, `"}`
	at := len(before) + len("stdout")
	if len(rest) < at+len(between) || string(rest[:len(before)]) != before ||
		string(rest[at:at+len(between)]) != between {
		return nil, nil, false
	}
	stream = rest[len(before):at]
	stamp, ok = bytes.CutSuffix(rest[at+len(between):], []byte(end))
	if string(stream) != "stdout" && string(stream) != "stderr" || bytes.ContainsAny(stamp, `"\`) {
		return nil, nil, false
	}
	return stream, stamp, ok
}

// appendUnquoted appends the JSON string in, whose first quote was removed, to dst, and returns what follows the
// string. ok is false if it has an escape that Docker does not write: then encoding/json parses the line.
func appendUnquoted(dst, in []byte) (text, rest []byte, ok bool) {
	for {
		i := bytes.IndexAny(in, `"\`)
		if i < 0 {
			return dst, nil, false
		}
		dst = append(dst, in[:i]...)
		if in[i] == '"' {
			return dst, in[i+1:], true
		}
		if i+1 >= len(in) {
			return dst, nil, false
		}
		size := 2
		switch in[i+1] {
		case 'n':
			dst = append(dst, '\n')
		case 't':
			dst = append(dst, '\t')
		case 'r':
			dst = append(dst, '\r')
		case '"', '\\', '/':
			dst = append(dst, in[i+1])
		case 'u': // < > & and control characters
			size = 6
			if len(in) < i+size {
				return dst, nil, false
			}
			r, err := strconv.ParseUint(string(in[i+2:i+size]), 16, 16)
			if err != nil || utf16.IsSurrogate(rune(r)) {
				return dst, nil, false
			}
			dst = utf8.AppendRune(dst, rune(r))
		default:
			return dst, nil, false
		}
		in = in[i+size:]
	}
}
