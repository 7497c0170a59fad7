package config

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"inkwell/internal/conf"
	"inkwell/internal/discovery"
)

var networkOptions = []option{
	{key: "remote_host", kind: text, meaning: "The server to send to."},
	{key: "remote_port", kind: count, meaning: "Its port, usually 1463."},
	{key: "service_list", kind: text,
		meaning: "Several servers, `HOST:PORT`, `HOST`, `tls://HOST:PORT` or `unix:/path`, with blanks between them: " +
			"one is chosen at random, the others take over when it fails. Or where to find them: `srv:NAME`, " +
			"`dns:NAME:PORT` or `file:/path`, see [discovery.md](discovery.md). Beats `remote_host`."},
	{key: "list_default_port", kind: count, meaning: "The port of those in `service_list` that have none."},
	{key: "service_order", kind: text, value: "random", ours: true,
		meaning: "`listed`: the first server of `service_list` that works is used, and gone back to. `spread`: the " +
			"senders divide the servers among themselves, see [discovery.md](discovery.md); the default with `srv:`, " +
			"`dns:` or `file:` in `service_list`."},
	{key: "tls", kind: exactly, value: "no", ours: true,
		meaning: "`yes`: TLS 1.3 with every server of the store, as if each had `tls://` before it, which " +
			"`service_list` can have."},
	{key: "tls_ca", kind: text, ours: true,
		meaning: "PEM file with the authorities that sign the servers' certificates. Without it that of the top of " +
			"the file, else the system's authorities."},
	{key: "tls_cert", kind: text, ours: true,
		meaning: "PEM file with the certificate to show to a server that asks for one, read again when it changes. " +
			"Without it that of the top of the file."},
	{key: "tls_key", kind: text, ours: true, meaning: "PEM file with its private key."},
	{key: "tls_server_name", kind: text, ours: true,
		meaning: "The name that must be in the servers' certificates, in place of the host that is connected to."},
	{key: "timeout", kind: milliseconds, value: "5000",
		meaning: "For connecting, for sending and for the answer, each."},
	{key: "use_conn_pool", kind: exactly, value: "no",
		meaning: "`yes`: all stores that send to the same servers share one connection."},
	{key: "ignore_network_error", kind: exactly, value: "no", meaning: "`yes`: a failure is not shown in the status."},
	{key: "max_batch_size", kind: size, value: "4MiB", ours: true,
		meaning: "Bytes of one call, at most; what waits is sent in several. A larger message has a call of its own. " +
			"How much a call holds below that follows what the server takes, see " +
			"[operating.md](operating.md#the-next-hop)."},
	{key: "max_connection_age", kind: duration, value: "10m", ours: true,
		meaning: "A connection that is so old, or up to a quarter younger, is replaced by another beside the calls: " +
			"a balancer, or a name that has moved, gets its share; 0 = never."},
	{key: "quarantine_after", kind: duration, value: "1h", ours: true,
		meaning: "A message that the server answers with TRY_LATER again and again, while it takes others, lets " +
			"those pass, and is set aside after so long (`refused`)."},
	{key: "dynamic_config_type", kind: text,
		meaning: "`thrift_bucket`: the server is asked for at a BucketStoreMapping service, by the number of the " +
			"bucket that the store is in."},
	{key: "bucket_id", kind: count,
		meaning: "The number of the bucket, for a store that is in none; a `bucket` store sets it for those in it."},
	{key: "bucket_updater_host", kind: text, meaning: "The server of that service."},
	{key: "bucket_updater_port", kind: count, meaning: "Its port."},
	{key: "bucket_updater_ttl", kind: seconds, value: "60", meaning: "How long its answer holds."},
	{key: "bucket_updater_service", kind: text, meaning: "Has no effect: a directory that only Facebook had."},
	{key: "bucket_updater_service_options", kind: text, meaning: "Has no effect."},
	{key: "smc_service", kind: text,
		meaning: "Has no effect: a directory that only Facebook had. A store that has no other server is refused."},
	{key: "service_options", kind: text, meaning: "Has no effect."},
	{key: "service_cache_timeout", kind: seconds, value: "300", meaning: "Has no effect."},
}

const networkIntro = "Sends to another server that takes Scribe's calls. Nothing is lost when it does not answer: " +
	"the messages wait, or go to the secondary of the `buffer` around the store."

// mappingTimeout is the timeout for queries of the mapping service, in place of the default of timeout.
const mappingTimeout = time.Second

// badLocation is the original's status for a server that is no valid address.
const badLocation = "Bad config - invalid location for remote server"

// network reads a block of the type network.
func (l *loader) network(b *conf.Block, p position) (Sink, error) {
	o := l.block(b, "network")
	n := Network{Timeout: o.milliseconds("timeout"), Pool: o.yes("use_conn_pool"),
		IgnoreError: o.yes("ignore_network_error"), MaxBatch: int(min(o.bytes("max_batch_size"), 1<<30))}
	if v, ok := o.Get("timeout"); ok && n.Timeout == 0 {
		n.Timeout = time.Duration(o.fallback("timeout", v, "would wait for ever")) * time.Millisecond
	}
	if v, ok := o.Get("max_batch_size"); ok && (n.MaxBatch < 1<<10 || n.MaxBatch > 64<<20) {
		n.MaxBatch = int(o.fallback("max_batch_size", v, "is not between 1KiB and 64MiB"))
	}
	n.MaxAge = o.duration("max_connection_age")
	if n.Quarantine = o.duration("quarantine_after"); n.Quarantine <= 0 {
		v, _ := o.Get("quarantine_after")
		o.fallback("quarantine_after", v, "would set aside what had no chance")
		n.Quarantine = time.Hour
	}
	var secure bool
	var err error
	if n.TLS, secure, err = l.storeTLS(o); err != nil {
		return nil, err
	}
	if v, ok := o.Get("smc_service"); ok {
		l.warn(v.Line, "smc_service has no effect: Inkwell has no such directory", "use service_list=HOST:PORT …")
	}
	if kind, ok := o.Get("dynamic_config_type"); ok {
		if kind.Text == "thrift_bucket" {
			if n.Mapping, err = l.mapping(o, p); err != nil {
				return nil, err
			}
			return n, nil
		}
		l.warn(kind.Line, fmt.Sprintf("dynamic_config_type=%s is not known and not used", conf.Quote(kind.Text)),
			"write thrift_bucket, or remove it")
	}
	if servers, ok := o.Get("service_list"); ok {
		n.setOrder(o, servers.Text)
		n.Addrs = withTLS(l.servers(o, servers), secure)
		if len(n.Addrs) == 0 {
			return nil, &refusal{status: badLocation, line: servers.Line,
				cure: "write service_list=HOST:PORT HOST:PORT …"}
		}
		return n, nil
	}
	host, port := o.text("remote_host"), o.count("remote_port")
	if _, ok := o.Get("smc_service"); ok && host == "" {
		return nil, refuse(b, "Could not get list of servers from service",
			"use service_list=HOST:PORT … in place of smc_service")
	}
	addr, why := location(host, port)
	if why != "" {
		return nil, refuse(b, badLocation, why+": write remote_host=HOST and remote_port=1463")
	}
	n.Addrs = withTLS([]string{addr}, secure)
	return n, nil
}

// setOrder sets how one of the servers is chosen.
func (n *Network) setOrder(o block, servers string) {
	order := o.choice("service_order", "random", "listed", "spread")
	if _, given := o.Get("service_order"); !given && slices.ContainsFunc(strings.Fields(servers), discovery.IsSource) {
		order = "spread"
	}
	n.Shuffle, n.Spread = order == "random", order == "spread"
}

// withTLS adds tls:// to the addresses and sources that lack it.
func withTLS(addrs []string, secure bool) []string {
	for i, addr := range addrs {
		if secure && discovery.IsSource(addr) {
			addrs[i] = discovery.Secure(addr)
		} else if secure && !strings.HasPrefix(addr, "tls://") && !strings.HasPrefix(addr, "unix:") {
			addrs[i] = "tls://" + addr
		}
	}
	return addrs
}

// location joins host and port, or returns why it cannot.
func location(host string, port uint64) (addr, why string) {
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	switch {
	case host == "":
		return "", "the host is missing"
	case strings.ContainsAny(host, " \t/[]"):
		return "", fmt.Sprintf("%s is no host", conf.Quote(host))
	case port == 0:
		return "", "the port is missing"
	case port > 65535:
		return "", fmt.Sprintf("%d is no port", port)
	}
	return net.JoinHostPort(host, strconv.FormatUint(port, 10)), ""
}

// servers reads a service_list. Invalid servers are errors; the others are used.
func (l *loader) servers(o block, list conf.Setting) []string {
	var addrs []string
	standard := o.count("list_default_port")
	for _, word := range strings.Fields(list.Text) {
		if strings.HasPrefix(word, "unix:/") {
			addrs = append(addrs, word)
			continue
		}
		if discovery.IsSource(word) {
			if _, err := discovery.Parse(word); err != nil {
				l.fail(list.Line, fmt.Sprintf("%s in service_list is not used: %v", conf.Quote(word), err),
					"write srv:NAME, dns:NAME:PORT or file:/path")
				continue
			}
			addrs = append(addrs, word)
			continue
		}
		bare, secure := strings.CutPrefix(word, "tls://")
		host, port := bare, standard
		if i := strings.LastIndexByte(bare, ':'); i >= 0 &&
			(strings.IndexByte(bare, ':') == i || strings.HasSuffix(bare[:i], "]")) {
			var clean bool
			host = bare[:i]
			if port, clean = conf.Unsigned(bare[i+1:]); !clean {
				l.warn(list.Line, fmt.Sprintf("the port of %s is read as %d", conf.Quote(word), port),
					"write digits only")
			}
		}
		addr, why := location(host, port)
		if why != "" {
			l.fail(list.Line, fmt.Sprintf("%s in service_list is not used: %s", conf.Quote(word), why),
				"write HOST:PORT, or add list_default_port=1463")
			continue
		}
		addrs = append(addrs, withTLS([]string{addr}, secure)...)
	}
	return addrs
}

// mapping reads where to ask for the server of a bucket.
func (l *loader) mapping(o block, p position) (*Mapping, error) {
	m := &Mapping{Bucket: p.bucket, TTL: o.seconds("bucket_updater_ttl"), Timeout: mappingTimeout}
	if v, ok := o.Get("bucket_id"); ok {
		m.Bucket = int(min(o.count("bucket_id"), 1<<31-1))
	} else if !p.inBucket {
		return nil, refuse(o.Block, "Bad config - dynamic_config_type=thrift_bucket without bucket_id",
			fmt.Sprintf("put the store into a bucket store, or add bucket_id=N%s", v.Text))
	}
	if _, ok := o.Get("timeout"); ok && o.milliseconds("timeout") > 0 {
		m.Timeout = o.milliseconds("timeout")
	}
	addr, why := location(o.text("bucket_updater_host"), o.count("bucket_updater_port"))
	if why != "" {
		return nil, refuse(o.Block, "Bad config - dynamic_config_type=thrift_bucket without a server to ask",
			why+": write bucket_updater_host=HOST and bucket_updater_port=PORT")
	}
	m.Addrs = []string{addr}
	return m, nil
}
