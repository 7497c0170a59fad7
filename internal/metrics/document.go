package metrics

import (
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"inkwell/internal/status"
)

// fromDocument adds the metrics that come from the status and are not counters.
func (c *collector) fromDocument(to chan<- prometheus.Metric, s *status.Status) {
	told := make(map[string]bool) // Prometheus refuses the whole scrape if a series is there twice
	tell := func(name, help string, v float64, labels ...string) {
		var names, values []string
		for i := 0; i+1 < len(labels); i += 2 {
			names, values = append(names, labels[i]), append(values, strings.ToValidUTF8(labels[i+1], "\uFFFD"))
		}
		if series := strings.Join(append(values, name), "\x00"); !told[series] {
			told[series] = true
			to <- prometheus.MustNewConstMetric(prometheus.NewDesc(prefix+name, help, names, nil), gauge, v, values...)
		}
	}
	tell("build_info", "What runs; always 1.", 1, "role", s.Daemon.Role, "version", s.Daemon.Version, "revision",
		s.Daemon.Revision, "goversion", s.Daemon.Go)
	tell("ready", "1 if entries are taken now.", float(s.Daemon.Ready))
	tell("status_level", "How the daemon is: 0 good, 1 warning, 2 critical.",
		float64(slices.Index([]status.Level{status.Good, status.Warning, status.Critical}, s.Verdict.Level)))
	tell("categories", "Categories that are known.", float64(s.CategoryCount))
	c.backlog(tell, s)
	for _, x := range []struct {
		name  string
		store *status.Store
	}{{"journal", s.Journal}, {"spool", s.Spool}} {
		if x.store == nil {
			continue
		}
		tell(x.name+"_bytes", "Bytes in the "+x.name+" that have not arrived where they go.", float64(x.store.Bytes))
		tell(x.name+"_entries", "Entries in the "+x.name+" that have not arrived where they go.",
			float64(x.store.Entries))
		tell(x.name+"_limit_bytes", "Bytes that the "+x.name+" may have; 0 is no limit.", float64(x.store.Limit))
		tell(x.name+"_oldest_seconds", "How long the oldest entry has been in the "+x.name+".", x.store.Oldest)
	}
	if s.Journal != nil {
		tell("pending_bytes", "Bytes of entries in memory on their way from the journal to the stores.",
			float64(s.Journal.Pending))
	}
	for _, d := range s.Disks {
		if d.Total > 0 {
			tell("disk_free_bytes", "Bytes that are free on a disk that is written to.", float64(d.Free), "path",
				d.Path, "use", d.Use)
			tell("disk_size_bytes", "Bytes of a disk that is written to.", float64(d.Total), "path", d.Path, "use",
				d.Use)
		}
	}
	for _, h := range s.Hops {
		tell("hop_up", "1 if the last call to a next hop did not fail.", float(h.Up), "address", h.Address)
	}
	for _, x := range s.Certificates {
		tell("certificate_expiry_timestamp_seconds", "When a certificate of ours expires.", float64(x.Expires.Unix()),
			"file", x.File)
	}
	if in := s.Inputs; in != nil {
		tell("input_files", "Files that are followed.", float64(in.Count))
		tell("input_lag_bytes", "Bytes of the files that are not read yet.", float64(in.Lag))
		tell("input_oldest_seconds", "How long the oldest line has waited that is not read.", in.Oldest)
	}
}

// backlog adds the backlog of each category; categories without a label of their own are added up under Other.
func (c *collector) backlog(tell func(name, help string, v float64, labels ...string), s *status.Status) {
	bytes, oldest := make(map[string]int64), make(map[string]float64)
	for i := range s.Categories {
		category := &s.Categories[i]
		label := c.label(category.Name)
		bytes[label] += category.Backlog
		oldest[label] = max(oldest[label], category.Oldest)
	}
	for label, n := range bytes {
		if s.Journal == nil {
			break // a forwarder has one backlog for all
		}
		tell("backlog_bytes", "Bytes of messages that wait for a store or, in a spool, for the next hop.", float64(n),
			"category", label)
		tell("backlog_oldest_seconds", "How long the oldest of them has waited.", oldest[label],
			"category", label)
	}
}

func float(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
