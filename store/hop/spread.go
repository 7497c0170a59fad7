package hop

import "hash/fnv"

// A sender that spreads chooses its collector by rendezvous hashing with bounded load:
//
//	rank      each sender has its own order of all collectors, by a hash of both names. So the senders of a collector
//	          that dies are divided among all others, and a new collector takes its share from all of them.
//	bound     a sender asks the first few collectors in its order how many senders they have, and takes the first that
//	          has no more than slack times their mean. So the shares stay close to each other, although hashing alone
//	          gives one collector 79 % of the mean and another 125 %.
//	stay      it stays with its collector as long as that has no more than the bound, whatever its place in the order.
//
// Nobody knows all senders, and collectors do not know of each other.
const (
	// asked is how many collectors a sender asks besides its own.
	asked = 3
	// slack is how far above the mean a collector may be.
	slack = 1.05
)

// rankOf returns the place of an address in the order of a sender; the lowest comes first. It is the same in every
// process and version.
func rankOf(sender, address string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(sender))
	h.Write([]byte{0})
	h.Write([]byte(address))
	x := h.Sum64() // similar names have similar sums: mix the bits, as MurmurHash does
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}

// choose returns the index of the collector for a sender. senders are the numbers of senders that the collectors have,
// in the sender's order; own is the index of the one that it uses, which counts it, or -1 if it has to leave that.
func choose(senders []int, own int) int {
	sum, least := 0, 0
	for i, n := range senders {
		if sum += n; n < senders[least] {
			least = i
		}
	}
	if own < 0 {
		sum++
	}
	bound := int(slack*float64(sum)/float64(len(senders)) + 0.5)
	if own >= 0 && senders[own] <= bound {
		return own
	}
	for i, n := range senders {
		if i != own && n < bound {
			return i
		}
	}
	if own >= 0 {
		return own
	}
	return least
}
