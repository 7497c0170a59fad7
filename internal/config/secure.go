package config

import (
	"cmp"
	"fmt"
	"strings"

	"inkwell/internal/access"
	"inkwell/internal/conf"
)

var allowOptions = []option{
	{key: "from", kind: text, ours: true,
		meaning: "Whom the block is for, several with blanks: a name in a verified certificate (DNS, URI or mail " +
			"address, with `*` for any characters), an address, a range as `10.0.0.0/8`, `loopback`, `unix`, " +
			"`unix:uid=33`, `unix:gid=33`, or `*` for everybody. Must be given."},
	{key: "categories", kind: text, ours: true,
		meaning: "The categories that they may write, several with blanks: `NAME`, `PREFIX*` or `*`."},
	{key: "status", kind: exactly, value: "no", ours: true,
		meaning: "`yes`: they may read the status, the metrics and the finished files over HTTP; without it only " +
			"this machine may. A block with nothing else leaves writing as it is without it."},
	{key: "control", kind: exactly, value: "no", ours: true,
		meaning: "`yes`: they may also stop the server and have it read its configuration again; without it only " +
			"this machine may."},
}

const allowIntro = "Who may write what. The block can stand several times, in any order. Without one whoever can " +
	"connect may write everything; with one what no block allows is " +
	"dropped, counted as `refused not allowed` and answered OK. A mistake in one makes the whole file unusable."

// allow reads an <allow> block.
func (l *loader) allow(b *conf.Block) {
	o := l.block(b, "allow")
	l.unknown(b, true)
	r := access.Rule{From: o.text("from"), Categories: o.text("categories"), Control: o.yes("control"),
		Status: o.yes("status")}
	if _, err := access.Parse([]access.Rule{r}); err != nil {
		l.spoil(b.Line, "<allow>: "+err.Error(),
			"see docs/security.md: a rule that is not understood must not be passed over")
		return
	}
	l.rules = append(l.rules, r)
}

// useRules compiles the rules of the blocks that were read.
func (l *loader) useRules() {
	rules, err := access.Parse(l.rules)
	if err != nil {
		l.spoil(0, err.Error(), "") // each was understood alone
	}
	l.config.Allow = rules
}

// globalTLS reads the TLS files of the listeners.
func (l *loader) globalTLS(b block) TLS {
	t := TLS{Cert: b.text("tls_cert"), Key: b.text("tls_key"), CA: b.text("tls_ca")}
	for _, key := range []string{"listen", "http"} {
		for _, v := range b.All(key) {
			if strings.HasPrefix(v.Text, "tls://") && t.Cert == "" {
				l.spoil(v.Line, fmt.Sprintf("%s=%s has no certificate", key, conf.Quote(v.Text)),
					"add tls_cert=FILE and tls_key=FILE")
			}
		}
	}
	if (t.Cert == "") != (t.Key == "") {
		v, _ := b.Get("tls_cert")
		if t.Cert == "" {
			v, _ = b.Get("tls_key")
		}
		l.spoil(v.Line, "tls_cert and tls_key need each other", "give both")
	}
	return t
}

// storeTLS reads the TLS options of a network store; with secure its addresses get tls://.
func (l *loader) storeTLS(o block) (t TLS, secure bool, err error) {
	t = TLS{Cert: o.text("tls_cert"), Key: o.text("tls_key"), CA: o.text("tls_ca"),
		ServerName: o.text("tls_server_name")}
	if (t.Cert == "") != (t.Key == "") {
		return t, false, refuse(o.Block, "Bad config - tls_cert and tls_key need each other", "give both, or neither")
	}
	global := l.config.TLS
	if t.Cert == "" {
		t.Cert, t.Key = global.Cert, global.Key
	}
	t.CA = cmp.Or(t.CA, global.CA)
	list, _ := o.Get("service_list")
	secure = o.yes("tls")
	if !secure && !strings.Contains(list.Text, "tls://") && !strings.Contains(list.Text, "file:") {
		for _, key := range []string{"tls_ca", "tls_cert", "tls_key", "tls_server_name"} {
			if v, own := o.Literal(key); own {
				return t, false, &refusal{status: "Bad config - " + key + " without tls=yes", line: v.Line,
					cure: "add tls=yes, or remove it: nothing would be encrypted"}
			}
		}
	}
	if _, dynamic := o.Get("dynamic_config_type"); dynamic && secure {
		return t, false, refuse(o.Block, "Bad config - tls=yes with dynamic_config_type",
			"name the servers, with service_list=tls://HOST:PORT …")
	}
	return t, secure, nil
}
