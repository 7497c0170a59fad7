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
		return metric{name: "inkwell_mapping_answers_total", help: "Answers of mapping services, by what became of " +
			"them.",
			kind: prometheus.CounterValue, label: "result", value: counter[len("bucketupdater."):]}
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

// total is a counter without labels.
func total(name, help string) metric { return metric{name: name, help: help, kind: counter} }

// perCategory is a counter with the label category.
func perCategory(name, help string) metric {
	return metric{name: name, help: help, kind: counter, label: "category"}
}

// byReason is a counter of which each reason is a counter of fb303.
func byReason(name, help, reason string) metric {
	return metric{name: name, help: help, kind: counter, label: "reason", value: reason}
}

// current is a gauge without labels.
func current(name, help string) metric { return metric{name: name, help: help, kind: gauge} }

// byState is a gauge of which each state is a gauge of fb303.
func byState(name, help, state string) metric {
	return metric{name: name, help: help, kind: gauge, label: "state", value: state}
}

const sendersHelp = "Forwarders, pipes and relays that report to this collector, and those behind relays, by how " +
	"they are."

const (
	refusedHelp = "Entries that were dropped and answered OK, because sending them again would change nothing, by " +
		"reason."
	laterHelp = "Calls that were not taken, by reason: answered TRY_LATER (rate, queue) or with an exception " +
		"(entries)."
	closedHelp = "Connections that were closed on a peer that did something wrong, by reason."
)

// table lists the counters of fb303 (docs/operating.md explains them).
var table = map[string]metric{
	"received good": perCategory("inkwell_entries_received_total", "Entries that were taken."),
	"received good bytes": perCategory("inkwell_received_bytes_total",
		"Bytes of the messages of entries that were taken."),
	"received blank category": byReason("inkwell_entries_refused_total", refusedHelp, "no_category"),
	"received bad":            byReason("inkwell_entries_refused_total", refusedHelp, "no_store"),
	"refused not allowed":     byReason("inkwell_entries_refused_total", refusedHelp, "not_allowed"),
	"refused message size":    byReason("inkwell_entries_refused_total", refusedHelp, "message_size"),
	"received unsafe category": total("inkwell_unsafe_category_total",
		"Runs of entries with a category that is no file name; they are kept in _unsafe."),
	"denied for queue size":  byReason("inkwell_calls_refused_total", laterHelp, "queue"),
	"denied for rate":        byReason("inkwell_calls_refused_total", laterHelp, "rate"),
	"calls too many entries": byReason("inkwell_calls_refused_total", laterHelp, "entries"),
	"refused control": total("inkwell_control_refused_total",
		"Calls to stop, reload or set options from a peer that may not."),
	"journal damaged": total("inkwell_journal_damaged_total", "Damaged places of the journal that were passed over."),
	"files published": total("inkwell_files_published_total", "Finished files that got their final name."),
	"connections":     current("inkwell_connections", "Connections that are open."),
	"senders settled": current("inkwell_senders_settled",
		"Connections of senders that chose this collector among several."),
	"in doubt": current("inkwell_in_doubt_entries",
		"Entries that wait for a next hop which may have them: its answer was lost."),
	"connections refused": total("inkwell_connections_refused_total",
		"Connections that were closed at once because there were too many."),
	"connections refused by address": total("inkwell_connections_refused_by_address_total",
		"Those of them whose address had too many."),
	"connections timed out": byReason("inkwell_connections_closed_total", closedHelp, "timeout"),
	"frames too large":      byReason("inkwell_connections_closed_total", closedHelp, "frame_too_large"),
	"frames bad":            byReason("inkwell_connections_closed_total", closedHelp, "frame_bad"),
	"frames without room":   byReason("inkwell_connections_closed_total", closedHelp, "no_room"),
	"TLS handshakes failed": byReason("inkwell_connections_closed_total", closedHelp, "tls_handshake"),
	"calls on disk": total("inkwell_calls_on_disk_total",
		"Calls of more than 16 MiB, which went through a file."),
	"bytes in flight":       current("inkwell_in_flight_bytes", "Bytes of large calls that are being read."),
	"HTTP requests":         total("inkwell_http_requests_total", "Requests of HTTP."),
	"HTTP requests refused": total("inkwell_http_requests_refused_total", "Requests of HTTP from peers that may not."),
	"duplicates":            total("inkwell_entries_duplicate_total", "Entries that came again and were left out."),
	"streams forgotten":     total("inkwell_streams_forgotten_total", "Streams that had to make room for others."),
	"files finished early": total("inkwell_files_finished_early_total",
		"Files that were finished because too much was to be remembered of open ones."),
	"missing":            current("inkwell_entries_missing", "Numbers of entries that were skipped and have not come."),
	"streams":            current("inkwell_streams", "Streams of numbered entries that are remembered."),
	"senders well":       byState("inkwell_senders", sendersHelp, "well"),
	"senders behind":     byState("inkwell_senders", sendersHelp, "behind"),
	"senders silent":     byState("inkwell_senders", sendersHelp, "silent"),
	"senders in trouble": byState("inkwell_senders", sendersHelp, "trouble"),
	"requeue": perCategory("inkwell_entries_requeued_total",
		"Entries that a store did not take, once for each attempt."),
	"retries": total("inkwell_buffer_retries_total", "How often a buffer had to stand in for its store."),
	"lost": perCategory("inkwell_entries_lost_total",
		"Entries that were thrown away, as the configuration says."),
	"ignored":        perCategory("inkwell_entries_ignored_total", "Entries that a null store took."),
	"dropped empty":  total("inkwell_entries_empty_total", "Empty messages for a thriftfile, which cannot hold them."),
	"bytes lost":     total("inkwell_lost_bytes_total", "Bytes that were lost in unreadable places."),
	"lines read":     total("inkwell_lines_read_total", "Lines that were read."),
	"bytes read":     total("inkwell_read_bytes_total", "Bytes that were read of files."),
	"lines split":    total("inkwell_lines_split_total", "Lines that were too long for one entry."),
	"messages split": total("inkwell_messages_split_total", "Messages of syslog that were too long for one entry."),
	"messages cut":   total("inkwell_messages_cut_total", "Messages of the systemd journal that were too long."),
	"datagrams dropped": total("inkwell_datagrams_dropped_total",
		"Datagrams of syslog for which the kernel had no room."),
	"lines not of the format": total("inkwell_lines_not_of_the_format_total",
		"Lines that were not of the format and taken as they are."),
	"files beyond max_categories": current("inkwell_files_beyond_categories",
		"Files that are not followed because there are too many categories."),
	"sent": perCategory("inkwell_entries_sent_total", "Entries that the next hop acknowledged."),
	"failed calls": total("inkwell_calls_failed_total",
		"Calls of the next hop that failed or were answered TRY_LATER."),
	"calls made smaller": total("inkwell_calls_made_smaller_total", "Those of them after which less was sent at once."),
	"refused by the next hop": total("inkwell_entries_refused_by_next_hop_total",
		"Entries that the next hop answered OK and threw away."),
	"spooled":  total("inkwell_entries_spooled_total", "Entries that went into the spool."),
	"replayed": total("inkwell_entries_replayed_total", "Entries that went out of the spool to the next hop."),
	"held": current("inkwell_entries_held",
		"Entries that wait because the next hop answers them with TRY_LATER while it takes others."),
	"refused":         total("inkwell_entries_set_aside_total", "Entries that the next hop refuses for ever."),
	"files truncated": total("inkwell_files_truncated_total", "Files that were written anew."),
	"files lost": total("inkwell_files_lost_total",
		"Files that were gone before they were read to their end."),
	"files unreadable":      current("inkwell_files_unreadable", "Files and directories that cannot be read."),
	"file systems hanging":  current("inkwell_file_systems_hanging", "File systems that do not answer."),
	"bytes of holes":        total("inkwell_hole_bytes_total", "NULs that nobody wrote and that were passed over."),
	"generations recovered": total("inkwell_files_recovered_total", "Rotated files that were found and read."),
	"files waiting for descriptors": current("inkwell_files_waiting_for_descriptors",
		"Files that are not open because the process may open no more."),
}

// histograms maps the names under which durations are observed to their metrics.
var histograms = map[string]metric{
	"append": {name: "inkwell_append_seconds",
		help: "How long a call waited until its entries were durable in the journal."},
	"fsync": {name: "inkwell_fsync_seconds", help: "How long an fsync of the journal or spool took."},
}
