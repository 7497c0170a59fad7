package tree

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"strconv"

	"inkwell/proto"
	"inkwell/store"
)

// BucketOptions configure how a Bucket distributes messages.
type BucketOptions struct {
	Kind      string // key_hash, key_modulo, key_range, random; anything else is context_log
	Delimiter byte   // ends the key
	RemoveKey bool   // the key and the delimiter are not stored; has no effect with context_log
	Range     uint64 // for key_range
}

// Bucket distributes messages over its children by the key at the beginning of each message. The first child takes the
// messages without a key.
//
//	key_hash      djb2 over signed chars
//	key_modulo    the key as an unsigned 64-bit number, modulo the number of buckets
//	key_range     the position of the key in Range
//	random        any bucket
//	context_log   the number behind the third \x01
//
// Source: BucketStore of Scribe 2.2. Programs that read its files find a key by the same rule.
type Bucket struct {
	family
	o        BucketOptions
	delivery delivery
	shares   []proto.Batch
}

// NewBucket returns a Bucket that owns its children; there must be at least two.
func NewBucket(o BucketOptions, children []*store.Child) *Bucket {
	return &Bucket{family: children, o: o, shares: make([]proto.Batch, len(children))}
}

// Append gives each child its share of b, in order. The error is a *store.PartialError; children that took their share
// do not get it again when the same b is appended again.
func (k *Bucket) Append(ctx context.Context, b *proto.Batch) error {
	k.Shares(b)
	return k.delivery.run(ctx)
}

// Shares distributes the messages of b by their keys.
func (k *Bucket) Shares(b *proto.Batch) []store.Share {
	if k.delivery.isFor(b) {
		return k.delivery.shares
	}
	for i := range k.shares {
		k.shares[i].Reset()
	}
	// seeded by b, so that the shares are the same when b is appended again
	chance := rand.New(rand.NewPCG(b.Fingerprint(), 0))
	for c := b.Cursor(); c.Next(); {
		i := k.choose(c.Message())
		if k.o.Kind == "random" {
			i = 1 + chance.IntN(len(k.family)-1)
		}
		k.shares[i].AppendFrom(&c, k.stored(c.Message()))
	}
	var shares []store.Share
	for i, c := range k.family {
		if k.shares[i].Count() > 0 {
			shares = append(shares, store.Share{Child: c, Batch: &k.shares[i]})
		}
	}
	return k.delivery.start(b, shares)
}

// choose returns the bucket of a message by its key.
func (k *Bucket) choose(message []byte) int {
	n := uint64(len(k.family) - 1)
	switch k.o.Kind {
	case "key_hash", "key_modulo", "key_range":
	default:
		return contextBucket(message, n)
	}
	key, _, found := bytes.Cut(message, []byte{k.o.Delimiter})
	key, _, _ = bytes.Cut(key, []byte{0})
	if !found || len(key) == 0 {
		return 0
	}
	switch k.o.Kind {
	case "key_hash":
		return int(uint64(djb2(key))%n) + 1
	case "key_modulo":
		return int(uint64(atol(key))%n) + 1
	}
	if k.o.Range == 0 {
		return 0
	}
	within := uint64(atol(key)) % k.o.Range
	return int(float64(within)/float64(k.o.Range)*float64(n)) + 1
}

// contextBucket returns the bucket for the number behind the third \x01.
func contextBucket(message []byte, n uint64) int {
	for range 3 {
		_, rest, found := bytes.Cut(message, []byte{1})
		if !found {
			return 0
		}
		message = rest
	}
	id := uint32(strtoul(message))
	if id == 0 {
		return 0
	}
	return int(uint64(id)%n) + 1
}

// atol parses the number at the beginning of text like the C function: 0 if there is none, and the largest or smallest
// value if it is out of range.
func atol(text []byte) int64 {
	sign, digits := number(text)
	v, _ := strconv.ParseInt(sign+digits, 10, 64) // out of range: the limit
	return v
}

// strtoul is the unsigned atol: -n is 2^64 - n.
func strtoul(text []byte) uint64 {
	sign, digits := number(text)
	v, err := strconv.ParseUint(digits, 10, 64)
	if sign == "-" && !errors.Is(err, strconv.ErrRange) {
		return -v
	}
	return v
}

// number returns the sign and the digits of the decimal number at the beginning of text.
func number(text []byte) (sign, digits string) {
	text = bytes.TrimLeft(text, " \t\n\v\f\r")
	if len(text) > 0 && (text[0] == '-' || text[0] == '+') {
		sign, text = string(text[:1]), text[1:]
	}
	n := 0
	for n < len(text) && text[n] >= '0' && text[n] <= '9' {
		n++
	}
	return sign, string(text[:n])
}

// djb2 is D. J. Bernstein's hash with signed chars, as the original was compiled.
func djb2(key []byte) uint32 {
	h := uint32(5381)
	for _, c := range key {
		h = h*33 + uint32(int32(int8(c)))
	}
	return h
}

// stored returns the part of a message that is stored.
func (k *Bucket) stored(message []byte) []byte {
	if !k.o.RemoveKey {
		return message
	}
	switch k.o.Kind {
	case "key_hash", "key_modulo", "key_range", "random":
		if _, rest, found := bytes.Cut(message, []byte{k.o.Delimiter}); found {
			return rest
		}
	}
	return message
}
