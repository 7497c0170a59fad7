package metrics

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

const prefix = "inkwell_"

// metric describes how a counter is exported: its Prometheus name, help text, type and labels.
type metric struct {
	name  string
	help  string
	kind  prometheus.ValueType
	label string // the name of its only label; "" = it has none
	value string // of the label, unless that is a category
}

const (
	counter = prometheus.CounterValue
	gauge   = prometheus.GaugeValue
)

func (m metric) desc() *prometheus.Desc {
	if m.label == "" {
		return prometheus.NewDesc(m.name, m.help, nil, nil)
	}
	return prometheus.NewDesc(m.name, m.help, []string{m.label}, nil)
}

// withValue returns the metric with a value.
func (m metric) withValue(v float64) prometheus.Metric {
	if m.label == "" {
		return prometheus.MustNewConstMetric(m.desc(), m.kind, v)
	}
	return prometheus.MustNewConstMetric(m.desc(), m.kind, v, m.value)
}

// named returns the metric of an fb303 counter. A counter that is not in the table is exported under its own name,
// untyped.
func named(counter string) metric {
	if m, ok := table[counter]; ok {
		return m
	}
	if strings.HasPrefix(counter, "bucketupdater.") {
		return metric{"inkwell_mapping_answers_total", "Answers of mapping services, by what became of them.",
			prometheus.CounterValue, "result", counter[len("bucketupdater."):]}
	}
	return metric{name: prefix + snake(counter), help: "The counter " + `"` + counter + `"` + " of fb303.",
		kind: prometheus.UntypedValue}
}

// snake converts a name to the characters that Prometheus allows in one.
func snake(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		}
		return '_'
	}, s)
}

const sendersHelp = "Forwarders, pipes and relays that report to this collector, and those behind relays, by how they are."

const (
	refusedHelp = "Entries that were dropped and answered OK, because sending them again would change nothing, by reason."
	laterHelp   = "Calls that were not taken, by reason: answered TRY_LATER (rate, queue) or with an exception (entries)."
	closedHelp  = "Connections that were closed on a peer that did something wrong, by reason."
)

// table lists the counters of fb303 (docs/operating.md explains them).
var table = map[string]metric{
	"received good": {"inkwell_entries_received_total", "Entries that were taken.", counter,
		"category", ""},
	"received good bytes": {"inkwell_received_bytes_total",
		"Bytes of the messages of entries that were taken.", counter, "category", ""},
	"received blank category": {"inkwell_entries_refused_total", refusedHelp, counter, "reason", "no_category"},
	"received bad":            {"inkwell_entries_refused_total", refusedHelp, counter, "reason", "no_store"},
	"refused not allowed":     {"inkwell_entries_refused_total", refusedHelp, counter, "reason", "not_allowed"},
	"refused message size":    {"inkwell_entries_refused_total", refusedHelp, counter, "reason", "message_size"},
	"received unsafe category": {"inkwell_unsafe_category_total",
		"Runs of entries with a category that is no file name; they are kept in _unsafe.", counter, "", ""},
	"denied for queue size":  {"inkwell_calls_refused_total", laterHelp, counter, "reason", "queue"},
	"denied for rate":        {"inkwell_calls_refused_total", laterHelp, counter, "reason", "rate"},
	"calls too many entries": {"inkwell_calls_refused_total", laterHelp, counter, "reason", "entries"},
	"refused control": {"inkwell_control_refused_total",
		"Calls to stop, reload or set options from a peer that may not.", counter, "", ""},
	"journal damaged": {"inkwell_journal_damaged_total",
		"Damaged places of the journal that were passed over.", counter, "", ""},
	"files published": {"inkwell_files_published_total", "Finished files that got their final name.",
		counter, "", ""},
	"connections": {"inkwell_connections", "Connections that are open.", gauge, "", ""},
	"senders settled": {"inkwell_senders_settled",
		"Connections of senders that chose this collector among several.", gauge, "", ""},
	"in doubt": {"inkwell_in_doubt_entries",
		"Entries that wait for a next hop which may have them: its answer was lost.", gauge, "", ""},
	"connections refused": {"inkwell_connections_refused_total",
		"Connections that were closed at once because there were too many.", counter, "", ""},
	"connections refused by address": {"inkwell_connections_refused_by_address_total",
		"Those of them whose address had too many.", counter, "", ""},
	"connections timed out": {"inkwell_connections_closed_total", closedHelp, counter, "reason", "timeout"},
	"frames too large": {"inkwell_connections_closed_total", closedHelp, counter, "reason",
		"frame_too_large"},
	"frames bad":          {"inkwell_connections_closed_total", closedHelp, counter, "reason", "frame_bad"},
	"frames without room": {"inkwell_connections_closed_total", closedHelp, counter, "reason", "no_room"},
	"TLS handshakes failed": {"inkwell_connections_closed_total", closedHelp, counter, "reason",
		"tls_handshake"},
	"calls on disk": {"inkwell_calls_on_disk_total",
		"Calls of more than 16 MiB, which went through a file.", counter, "", ""},
	"bytes in flight": {"inkwell_in_flight_bytes", "Bytes of large calls that are being read.", gauge,
		"", ""},
	"HTTP requests": {"inkwell_http_requests_total", "Requests of HTTP.", counter, "", ""},
	"HTTP requests refused": {"inkwell_http_requests_refused_total",
		"Requests of HTTP from peers that may not.", counter, "", ""},
	"duplicates": {"inkwell_entries_duplicate_total", "Entries that came again and were left out.",
		counter, "", ""},
	"streams forgotten": {"inkwell_streams_forgotten_total", "Streams that had to make room for others.",
		counter, "", ""},
	"files finished early": {"inkwell_files_finished_early_total",
		"Files that were finished because too much was to be remembered of open ones.", counter, "", ""},
	"missing": {"inkwell_entries_missing",
		"Numbers of entries that were skipped and have not come.", gauge, "", ""},
	"streams": {"inkwell_streams", "Streams of numbered entries that are remembered.", gauge, "",
		""},
	"senders well":       {"inkwell_senders", sendersHelp, gauge, "state", "well"},
	"senders behind":     {"inkwell_senders", sendersHelp, gauge, "state", "behind"},
	"senders silent":     {"inkwell_senders", sendersHelp, gauge, "state", "silent"},
	"senders in trouble": {"inkwell_senders", sendersHelp, gauge, "state", "trouble"},
	"requeue": {"inkwell_entries_requeued_total",
		"Entries that a store did not take, once for each attempt.", counter, "category", ""},
	"retries": {"inkwell_buffer_retries_total",
		"How often a buffer had to stand in for its store.", counter, "", ""},
	"lost": {"inkwell_entries_lost_total",
		"Entries that were thrown away, as the configuration says.", counter, "category", ""},
	"ignored": {"inkwell_entries_ignored_total", "Entries that a null store took.", counter,
		"category", ""},
	"dropped empty": {"inkwell_entries_empty_total",
		"Empty messages for a thriftfile, which cannot hold them.", counter, "", ""},
	"bytes lost": {"inkwell_lost_bytes_total", "Bytes that were lost in unreadable places.",
		counter, "", ""},
	"lines read": {"inkwell_lines_read_total", "Lines that were read.", counter, "", ""},
	"bytes read": {"inkwell_read_bytes_total", "Bytes that were read of files.", counter, "", ""},
	"lines split": {"inkwell_lines_split_total", "Lines that were too long for one entry.", counter,
		"", ""},
	"messages split": {"inkwell_messages_split_total",
		"Messages of syslog that were too long for one entry.", counter, "", ""},
	"messages cut": {"inkwell_messages_cut_total",
		"Messages of the systemd journal that were too long.", counter, "", ""},
	"datagrams dropped": {"inkwell_datagrams_dropped_total",
		"Datagrams of syslog for which the kernel had no room.", counter, "", ""},
	"lines not of the format": {"inkwell_lines_not_of_the_format_total",
		"Lines that were not of the format and taken as they are.", counter, "", ""},
	"files beyond max_categories": {"inkwell_files_beyond_categories",
		"Files that are not followed because there are too many categories.", gauge, "", ""},
	"sent": {"inkwell_entries_sent_total", "Entries that the next hop acknowledged.", counter,
		"category", ""},
	"failed calls": {"inkwell_calls_failed_total",
		"Calls of the next hop that failed or were answered TRY_LATER.", counter, "", ""},
	"calls made smaller": {"inkwell_calls_made_smaller_total",
		"Those of them after which less was sent at once.", counter, "", ""},
	"refused by the next hop": {"inkwell_entries_refused_by_next_hop_total",
		"Entries that the next hop answered OK and threw away.", counter, "", ""},
	"spooled": {"inkwell_entries_spooled_total", "Entries that went into the spool.", counter,
		"", ""},
	"replayed": {"inkwell_entries_replayed_total",
		"Entries that went out of the spool to the next hop.", counter, "", ""},
	"held": {"inkwell_entries_held",
		"Entries that wait because the next hop answers them with TRY_LATER while it takes others.", gauge, "", ""},
	"refused": {"inkwell_entries_set_aside_total", "Entries that the next hop refuses for ever.",
		counter, "", ""},
	"files truncated": {"inkwell_files_truncated_total", "Files that were written anew.", counter, "",
		""},
	"files lost": {"inkwell_files_lost_total",
		"Files that were gone before they were read to their end.", counter, "", ""},
	"files unreadable": {"inkwell_files_unreadable", "Files and directories that cannot be read.", gauge,
		"", ""},
	"file systems hanging": {"inkwell_file_systems_hanging", "File systems that do not answer.", gauge, "",
		""},
	"bytes of holes": {"inkwell_hole_bytes_total", "NULs that nobody wrote and that were passed over.",
		counter, "", ""},
	"generations recovered": {"inkwell_files_recovered_total", "Rotated files that were found and read.",
		counter, "", ""},
	"files waiting for descriptors": {"inkwell_files_waiting_for_descriptors",
		"Files that are not open because the process may open no more.", gauge, "", ""},
}

// histograms maps the names under which durations are observed to their metrics.
var histograms = map[string]metric{
	"append": {name: "inkwell_append_seconds",
		help: "How long a call waited until its entries were durable in the journal."},
	"fsync": {name: "inkwell_fsync_seconds", help: "How long an fsync of the journal or spool took."},
}
