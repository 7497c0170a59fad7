package testkit

import "inkwell/proto"

// Batch returns a batch with the messages as entries of one category, without numbers.
func Batch(category string, messages ...string) *proto.Batch {
	b := new(proto.Batch)
	for _, m := range messages {
		b.Append([]byte(category), []byte(m))
	}
	return b
}
