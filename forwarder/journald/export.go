package journald

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// fields are requested from journalctl. Cursor and times are always included.
const fields = "MESSAGE,SYSLOG_IDENTIFIER,SYSLOG_PID,UNIT,OBJECT_SYSTEMD_UNIT,COREDUMP_UNIT," +
	"_PID,_UID,_COMM,_HOSTNAME,_SYSTEMD_UNIT,_TRANSPORT"

// maxMessage is the most bytes of a message that are kept; the rest is cut off and counted. The journal itself accepts
// messages of up to 768 MiB.
const maxMessage = 64 << 20

// entry is an entry of the journal, with the fields that are used. Its message is valid until the next one is read.
type entry struct {
	cursor  string
	micros  int64
	message []byte
	cut     int64 // bytes of the message that are missing
	host    string
	values  map[string]string // the other fields
}

func (e *entry) checkpoint() checkpoint { return checkpoint{cursor: e.cursor, micros: e.micros} }

// unit is the unit that the entry is about, by the rules of journalctl --unit: what systemd itself, a privileged
// program or the core dump handler says about a unit counts as that unit's.
func (e *entry) unit() string {
	for _, about := range []struct{ field, from, is string }{
		{"COREDUMP_UNIT", "_UID", "0"}, {"UNIT", "_PID", "1"}, {"OBJECT_SYSTEMD_UNIT", "_UID", "0"},
	} {
		if v := e.values[about.field]; v != "" && e.values[about.from] == about.is {
			return v
		}
	}
	if e.values["_SYSTEMD_UNIT"] == "" && e.values["_TRANSPORT"] == "kernel" {
		return "kernel"
	}
	return e.values["_SYSTEMD_UNIT"]
}

func (e *entry) identifier() string {
	if v := e.values["SYSLOG_IDENTIFIER"]; v != "" {
		return v
	}
	return e.values["_COMM"]
}

func (e *entry) process() string {
	if v := e.values["SYSLOG_PID"]; v != "" {
		return v
	}
	return e.values["_PID"]
}

// exportReader reads the journal's export format:
//
//	FIELD=text\n                             or, for values that are not text or contain a newline,
//	FIELD\n LENGTH(64 bits, LE) bytes \n
//	\n                                       ends the entry
type exportReader struct {
	r       *bufio.Reader
	message []byte
	name    []byte // the line of a field
	cut     int64  // bytes of it that were left out
}

func newExportReader(r io.Reader) *exportReader {
	return &exportReader{r: bufio.NewReaderSize(r, 256<<10)}
}

var errExport = errors.New("journalctl does not write the export format")

// next reads an entry. The error is io.EOF after the last complete one; what a killed child had begun to write is read
// again from the next child.
func (x *exportReader) next() (*entry, error) {
	e := &entry{values: make(map[string]string)}
	for began := false; ; began = true {
		name, text, err := x.field()
		if err != nil {
			return nil, err
		}
		if len(name) == 0 {
			if !began { // a blank line before the first entry, as some versions write it
				began = false
				continue
			}
			if e.cursor == "" {
				return nil, fmt.Errorf("%w: an entry has no cursor", errExport)
			}
			return e, nil
		}
		if err := x.take(e, string(name), text); err != nil {
			if errors.Is(err, io.ErrUnexpectedEOF) {
				err = io.EOF
			}
			return nil, err
		}
	}
}

// field reads a line. Without a text, the value follows in binary form; without a name, the line ends the entry.
func (x *exportReader) field() (name, text []byte, err error) {
	x.name, x.cut = x.name[:0], 0
	for err = bufio.ErrBufferFull; errors.Is(err, bufio.ErrBufferFull); {
		var part []byte
		part, err = x.r.ReadSlice('\n')
		held := min(len(part), maxMessage-len(x.name))
		x.name = append(x.name, part[:held]...)
		x.cut += int64(len(part) - held)
	}
	if err != nil {
		return nil, nil, err
	}
	line := bytes.TrimSuffix(x.name, []byte{'\n'})
	if i := bytes.IndexByte(line, '='); i >= 0 {
		return line[:i], line[i+1:], nil
	}
	return line, nil, nil
}

// take puts a field into e.
func (x *exportReader) take(e *entry, name string, text []byte) (err error) {
	if name == "MESSAGE" {
		e.cut = x.cut
	}
	if text == nil {
		if text, err = x.binary(e, name); err != nil {
			return err
		}
	}
	switch name {
	case "__CURSOR":
		e.cursor = string(text)
	case "__REALTIME_TIMESTAMP":
		if e.micros, err = strconv.ParseInt(string(text), 10, 64); err != nil {
			return fmt.Errorf("%w: time %q", errExport, text)
		}
	case "MESSAGE":
		if e.message == nil { // a field may occur several times; the first one counts, as in journalctl
			x.message = append(x.message[:0], text...)
			e.message = x.message
		}
	case "_HOSTNAME":
		e.host = string(text)
	default:
		if _, there := e.values[name]; !there {
			e.values[name] = string(text)
		}
	}
	return nil
}

// binary reads the value of a field in binary form.
func (x *exportReader) binary(e *entry, name string) ([]byte, error) {
	var length [8]byte
	if _, err := io.ReadFull(x.r, length[:]); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint64(length[:])
	if n > 1<<40 {
		return nil, fmt.Errorf("%w: field %s of %d bytes", errExport, name, n)
	}
	held := int(min(n, maxMessage))
	value := make([]byte, 0, min(held, 1<<20))
	for len(value) < held { // in steps, because the length may be wrong
		step := min(held-len(value), 1<<20)
		value = append(value, make([]byte, step)...)
		if _, err := io.ReadFull(x.r, value[len(value)-step:]); err != nil {
			return nil, err
		}
	}
	rest := int64(n) - int64(held)
	if name == "MESSAGE" {
		e.cut = rest
	}
	if _, err := io.CopyN(io.Discard, x.r, rest+1); err != nil {
		return nil, err
	}
	return value, nil
}
