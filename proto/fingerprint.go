package proto

import "hash/maphash"

var fingerprintSeed = maphash.MakeSeed()

// Fingerprint distinguishes batches within one process by their entries and numbers. The numbers matter because the
// same messages may come again.
func (b *Batch) Fingerprint() uint64 {
	var h maphash.Hash
	h.SetSeed(fingerprintSeed)
	h.Write(b.Entries())
	h.Write(b.AppendRecordTail(nil))
	return h.Sum64()
}
