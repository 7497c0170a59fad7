// Package scale works out on paper what many collectors with one topic do, from unit costs that were measured on one
// machine. Nothing of it runs a collector: it is a model, to be corrected where somebody has the machines.
//
//	Costs (measured) ─┬─► Limits: what each resource can take ─► what breaks first, and what then
//	                  └─► Simulate: step by step, a collector dies, a depot is away ─► lag, time to catch up
//
// Collectors are alike, and so are brokers. Categories have the sizes of a Zipf distribution. A partition has the lanes
// of its categories; its owner drains all of them. Rates are raw bytes, as senders have them.
package scale

import (
	"cmp"
	"hash/fnv"
	"slices"
)

// Costs are what one unit takes.
type Costs struct {
	TakeCPU  float64 // seconds of one core for a GB that is received and produced
	DrainCPU float64 // seconds of one core for a GB that is consumed, compressed and put into the depot
	Wire     float64 // bytes on the wire to the brokers for a byte
	File     float64 // bytes in the depot for a byte
	Silence  float64 // seconds until the partitions of a dead collector are taken over
}

// Machines are what there is.
type Machines struct {
	Cores    float64 // of a collector
	Network  float64 // GB/s of a collector, each way
	Broker   float64 // GB/s on the wire that a broker takes, with what it copies from others
	Requests float64 // requests a second that the depot takes
	Reader   float64 // GB/s of raw bytes that the goroutine of one partition reads
	Upload   float64 // GB/s that one partition writes into the depot
}

// drain is how fast one partition is drained: it is not read while its files are staged and published.
func (m *Machines) drain(c Costs) float64 { return 1 / (1/m.Reader + 2*c.File/m.Upload) }

// Shape is how collectors are used.
type Shape struct {
	Collectors int
	Brokers    int
	Categories int
	Fan        int     // lanes of the largest category; smaller ones have fewer, in proportion
	Period     float64 // seconds of an epoch
	Epoch      float64 // GB of an epoch at most
	Headroom   float64 // the part of everything that is not used, to catch up with
}

// Partitions is how many there are: four for each collector.
func (s *Shape) Partitions() int { return 4 * s.Collectors }

// shares returns which part of the load each partition has, and how many lanes there are.
func (s *Shape) shares() (shares []float64, lanes int) {
	sum := 0.0
	for k := range s.Categories {
		sum += 1 / float64(k+1)
	}
	shares = make([]float64, s.Partitions())
	for k := range s.Categories {
		h := fnv.New32a()
		_, _ = h.Write([]byte{byte(k), byte(k >> 8), byte(k >> 16)}) // never fails
		fan := min(max(1, s.Fan/(k+1)), len(shares))
		for lane := range fan {
			shares[(int(h.Sum32()%uint32(len(shares)))+lane)%len(shares)] += 1 / float64(k+1) / sum / float64(fan)
		}
		lanes += fan
	}
	return shares, lanes
}

// Limit is how much a resource can take.
type Limit struct {
	What string
	Rate float64 // GB/s of all collectors
}

// Limits returns what each resource can take with the headroom, the one that is used up first at the beginning.
func Limits(c Costs, m Machines, s Shape) []Limit {
	shares, _ := s.shares()
	n, hot := float64(s.Collectors), slices.Max(shares)
	all := []Limit{
		{"CPU of the collectors", n * m.Cores / (c.TakeCPU + c.DrainCPU)},
		{"network of the collectors", n * m.Network / (1 + c.Wire)}, // in: calls and fetches
		{"the brokers", float64(s.Brokers) * m.Broker / (3 * c.Wire)},
		{"the hottest partition", m.drain(c) / hot},
		{"requests to the depot", s.requestLimit(m.Requests)},
	}
	for i := range all {
		all[i].Rate *= 1 - s.Headroom
	}
	slices.SortFunc(all, func(a, b Limit) int { return cmp.Compare(a.Rate, b.Rate) })
	return all
}

// requestsAFile are the requests for a file: staged and published, its manifest, and the removal; requestsAnEpoch those
// for the books, their removal, and a listing.
const (
	requestsAFile   = 4
	requestsAnEpoch = 3
)

// requests are those of an epoch, which has a file for each lane of its partition.
func (s *Shape) requests() float64 {
	_, lanes := s.shares()
	return requestsAFile*float64(lanes)/float64(s.Partitions()) + requestsAnEpoch
}

// Requests returns how many requests the depot gets a second at a rate: epochs end by the clock, or by their size.
func (s *Shape) Requests(rate float64) float64 {
	return max(float64(s.Partitions())/s.Period, rate/s.Epoch) * s.requests()
}

// requestLimit is the rate at which the depot gets as many requests as it takes, 0 if it gets more at any rate.
func (s *Shape) requestLimit(most float64) float64 {
	if s.Requests(0) > most {
		return 0
	}
	return most / s.requests() * s.Epoch
}
