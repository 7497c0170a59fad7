package config

import (
	"reflect"
	"strings"
)

// sample is a file with a good block of a section, in which a line about some key has a meaning, and line in it.
func sample(section, about, line string) string {
	null := storeText("category=other", "type=null")
	switch section {
	case "global":
		if about == "journal" {
			return line + "\nmax_message_size=1MiB\n" + storeText("category=other", "type=file", "publish=/depot")
		}
		return line + "\n" + globalSample(about) + null
	case "tail":
		if about == "stamp" {
			line += "\nformat=cri"
		}
		return "<tail>\n" + line + "\n" + missing(about, "category=a\n") + missing(about, "path=/x\n") + "</tail>\n" + null
	case "pipe":
		return "<pipe>\n" + line + "\n" + missing(about, "category=a\n") + "</pipe>\n" + null
	case "journal":
		return "<journal>\n" + line + "\n" + "</journal>\n" + null
	case "syslog":
		return "<syslog>\n" + line + "\n" + missing(about, "listen=udp://h:1\n") + "</syslog>\n" + null
	case "allow":
		return "<allow>\n" + line + "\n" + missing(about, "from=loopback\n") + missing(about, "categories=x\n") + "</allow>\n" + null
	case "buffer":
		if about == "spool_dir" && line != "" {
			return storeText("category=a", "type=buffer", line, "<primary>", "type=null", "</primary>") + "<tail>\ncategory=a\npath=/x\n</tail>\n"
		}
		return storeText("category=a", "type=buffer", line, "<primary>", "type=null", "</primary>", "<secondary>", "type=file", "</secondary>")
	case "network":
		return networkSample(about, line)
	case "bucket":
		return bucketSample(about, line)
	case "kafka":
		return storeText("category=a", "type=kafka", missing(about, "topic=kafka://k/t"), line)
	case "multi":
		return storeText("category=a", "type=multi", line, "<store>", "type=null", "</store>")
	}
	return storeText("category=a", "type="+section, extra(about), line)
}

// extra is another line that a file store needs so that the line has a meaning.
func extra(about string) string {
	switch about {
	case "level", "keep", "keep_bytes", "keep_total", "keep_open":
		return "compress=gzip"
	case "who", "away_max":
		return "publish=/depot"
	case "seek_table":
		return "compress=zstd"
	case "layout", "done_markers", "lateness":
		return "compress=gzip\nrotate_period=hourly"
	}
	return ""
}

// globalSample is the rest of a file in which a line outside of all blocks has a meaning.
func globalSample(about string) string {
	switch about {
	case "tls_cert":
		return "tls_key=k\n"
	case "tls_key":
		return "tls_cert=c\n"
	}
	return ""
}

// networkSample is a network store in which line has a meaning.
func networkSample(about, line string) string {
	switch about {
	case "list_default_port":
		return storeText("category=a", "type=network", "service_list=a:1 b", line)
	case "service_order":
		return storeText("category=a", "type=network", "service_list=a:1 b:2 c:3", line)
	case "bucket_id", "bucket_updater_port", "bucket_updater_host", "bucket_updater_ttl", "dynamic_config_type":
		return storeText("category=a", "type=network", missing(about, "bucket_id=1"), missing(about, "bucket_updater_host=h"), missing(about, "bucket_updater_port=1"),
			missing(about, "dynamic_config_type=thrift_bucket"), line)
	}
	switch about {
	case "tls_cert":
		line += "\ntls=yes\ntls_key=k"
	case "tls_key":
		line += "\ntls=yes\ntls_cert=c"
	case "tls_ca", "tls_server_name":
		line += "\ntls=yes"
	}
	return storeText("category=a", "type=network", missing(about, "remote_host=h"), missing(about, "remote_port=1"), line)
}

// bucketSample is a bucket store in which line has a meaning.
func bucketSample(about, line string) string {
	return storeText("category=a", "type=bucket", missing(about, "num_buckets=2"), missing(about, "bucket_subdir=s"), missing(about, "bucket_type=key_hash"), line, "<bucket>", "type=file", "file_path=/x", "</bucket>")
}

// missing returns line, unless it is about the key.
func missing(about, line string) string {
	if strings.HasPrefix(line, about+"=") {
		return ""
	}
	return line
}

// another returns a valid value of an option that is not its default.
func another(o option) string {
	words := map[string]string{
		"journal": "kafka://k/t", "topic": "kafka://k/t", "record_key": "none", "listen": "127.0.0.1:7", "http": "127.0.0.1:7", "prefix_match": "longest", "durability": "write", "layout": "hive", "rotate_period": "daily", "compress": "zstd", "publish": "yes", "service_list": "x:9", "service_order": "listed",
		"dynamic_config_type": "thrift_bucket", "bucket_type": "random", "report_success": "any", "when_full": "drop", "fs_type": "std", "delimiter": "59", "path": "/y/*",
		"encoding": "utf-16be", "format": "docker", "retry_interval": "77", "max_retry_interval": "77",
	}
	if o.key == "format" && o.value != "none" { // of a feed, not of files
		return "message"
	}
	if word, ok := words[o.key]; ok {
		return word
	}
	switch o.kind {
	case exactly, unless:
		if o.value == "yes" {
			return "no"
		}
		return "yes"
	case oneOrZero:
		return "1"
	case newlines:
		return "if-missing"
	case ratio:
		return "0.5"
	case size:
		return "2MiB"
	case duration:
		return "3h"
	case count, decimal, octets, decimalOctets, seconds, milliseconds:
		return "7"
	}
	return "text"
}

// same reports whether two files have the same result, apart from line numbers.
func same(a, b *Config) bool {
	bare := func(c Config) Config {
		c.File, c.Problems = nil, nil
		return c
	}
	return reflect.DeepEqual(bare(*a), bare(*b))
}
