// Package proto encodes and decodes the Scribe protocol: bytes only, no I/O, no goroutines.
//
//	call    [i32 0x80010000|type, i32 len, name] or old style [i32 len, name, byte type]   i32 seqid   arguments
//	Log     0f 0001 0c i32 n   n entries   [0f 0002 0c i32 m   m spans]   [0f 0003 0c i32 k   k namings]   [0b 0004 i32 len report]   [08 0005 i32 1]   00
//	entry   0b 0001 i32 len category   0b 0002 i32 len message   00            "canonical": exactly this, nothing else
//	span    0b 0001 00000010 stream   0a 0002 i64 first   08 0003 i32 count   00
//	naming  0b 0001 00000010 stream   0b 0002 i32 len host   0b 0003 i32 len path   00
//	reply   00000003 "Log" 02   i32 seqid   08 0000 i32 code   00              always old style
//
// (the Thrift binary protocol: all numbers are big-endian; package rpc puts the length of the frame before a call).
// Lengths and counts are checked against the bytes that are present before anything is allocated. Whatever Thrift
// allows besides the canonical form, such as fields that are in another order, missing, repeated or unknown, is read as
// the generated code in gen/ reads it, and made canonical.
//
// Limitations: no compact or JSON protocol, and no methods other than Log, which are left to the generated code.
package proto

import (
	"errors"
	"fmt"
)

//go:generate ./generate.sh

// ResultCode is the answer to a Log call; it applies to the whole list.
type ResultCode int32

// The answers.
const (
	OK       ResultCode = 0 // all of it is taken
	TryLater ResultCode = 1 // none of it is; the same call may be sent again later
)

// The types of a message.
const (
	TypeCall      byte = 1
	TypeReply     byte = 2
	TypeException byte = 3
	TypeOneway    byte = 4
)

// The kinds of a TApplicationException that are sent.
const (
	UnknownMethod int32 = 1
	InternalError int32 = 6
)

// ErrMalformed is wrapped by every error of a decoder. The bytes are invalid, so decoding them again would fail again.
var ErrMalformed = errors.New("malformed")

// malformed returns an ErrMalformed with a description.
func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

// ApplicationError is the answer of a peer that cannot serve a call (a TApplicationException).
type ApplicationError struct {
	Kind int32  // UnknownMethod …
	Text string // what the peer says, cut at 1000 bytes
}

// Error returns the peer's message.
func (e *ApplicationError) Error() string {
	return fmt.Sprintf("the peer cannot serve the call: %q (kind %d)", e.Text, e.Kind)
}
