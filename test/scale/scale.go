// Package scale works out on paper what many collectors with one topic do, from unit costs that were measured on one
// machine. Nothing of it runs a collector: it is a model, to be corrected where somebody has the machines.
//
//	Costs (measured) ─┬─► Limits: what each resource can take ─► what breaks first, and what then
//	                  └─► Simulate: second by second, a collector dies, a depot is away ─► lag, time to catch up
//
// Collectors are alike, and so are brokers. Categories have the sizes of a Zipf distribution. A partition has the lanes
// of its categories; its owner drains all of them. Rates are raw bytes, as senders have them.
package scale

import (
	"cmp"
	"hash/fnv"
	"math"
	"slices"
)

// Costs are what one unit takes.
type Costs struct {
	TakeCPU  float64 // seconds of one core for a GB that is received and produced
	DrainCPU float64 // seconds of one core for a GB that is consumed, compressed and put into the depot
	Wire     float64 // bytes on the wire to the brokers for a byte
	File     float64 // bytes in the depot for a byte
	Session  float64 // seconds until the partitions of a dead collector are taken over
}

// Machines are what there is.
type Machines struct {
	Cores     float64 // of a collector
	Network   float64 // GB/s of a collector, each way
	Broker    float64 // GB/s on the wire that a broker takes, with what it copies from others
	Requests  float64 // requests a second that the depot takes
	Partition float64 // GB/s of raw bytes that the goroutine of one partition reads
	Upload    float64 // GB/s that one partition writes into the depot
}

// drain is how fast one partition is drained: it is not read while its files are staged and published.
func (m *Machines) drain(c Costs) float64 { return 1 / (1/m.Partition + 2*c.File/m.Upload) }

// Shape is how collectors are used.
type Shape struct {
	Collectors int
	Brokers    int
	Categories int
	Fan        int     // lanes of a category
	Period     float64 // seconds of an epoch
	Epoch      float64 // GB of an epoch at most
	Headroom   float64 // the part of the CPU that is not used, for when a collector is lost
}

// Partitions is how many there are: four for each collector.
func (s *Shape) Partitions() int { return 4 * s.Collectors }

// shares returns which part of the load each partition has.
func (s *Shape) shares() []float64 {
	sum := 0.0
	for k := range s.Categories {
		sum += 1 / float64(k+1)
	}
	shares := make([]float64, s.Partitions())
	for k := range s.Categories {
		h := fnv.New32a()
		_, _ = h.Write([]byte{byte(k), byte(k >> 8), byte(k >> 16)}) // never fails
		fan := min(s.Fan, len(shares))
		for lane := range fan {
			shares[(int(h.Sum32()%uint32(len(shares)))+lane)%len(shares)] += 1 / float64(k+1) / sum / float64(fan)
		}
	}
	return shares
}

// Limit is how much a resource can take.
type Limit struct {
	What string
	Rate float64 // GB/s of all collectors
}

// Limits returns what each resource can take, the one that is used up first at the beginning.
func Limits(c Costs, m Machines, s Shape) []Limit {
	n, hot := float64(s.Collectors), slices.Max(s.shares())
	files := s.filesAEpoch()
	all := []Limit{
		{"CPU of the collectors", n * m.Cores * (1 - s.Headroom) / (c.TakeCPU + c.DrainCPU)},
		{"network of the collectors", n * m.Network / (1 + c.Wire)}, // in: calls and fetches
		{"the brokers", float64(s.Brokers) * m.Broker / (3 * c.Wire)},
		{"the hottest partition", m.drain(c) / hot},
		{"requests to the depot", s.requestLimit(m.Requests, files)},
	}
	slices.SortFunc(all, func(a, b Limit) int { return cmp.Compare(a.Rate, b.Rate) })
	return all
}

// filesAEpoch is how many files a partition has at the end of an epoch: one for each lane in it.
func (s *Shape) filesAEpoch() float64 {
	return float64(s.Categories*min(s.Fan, s.Partitions())) / float64(s.Partitions())
}

// requestsAFile are the requests for a file: staged and published, its manifest, and the removal.
const requestsAFile = 4

// requestLimit is the rate at which the depot gets as many requests as it takes. Below a certain rate epochs end by the
// clock, and the requests do not depend on the rate.
func (s *Shape) requestLimit(most, files float64) float64 {
	an := requestsAFile*math.Ceil(files) + 3 // and the books, their removal, and a listing
	epochs := most / an                      // a second
	if byClock := float64(s.Partitions()) / s.Period; epochs < byClock {
		return 0
	}
	return epochs * s.Epoch
}

// Requests returns how many requests the depot gets a second at a rate.
func (s *Shape) Requests(rate float64) float64 {
	epochs := max(float64(s.Partitions())/s.Period, rate/s.Epoch)
	return epochs * (requestsAFile*math.Ceil(s.filesAEpoch()) + 3)
}
