package rpc

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"
)

// TLSFiles names the PEM files of one side of a TLS connection.
type TLSFiles struct {
	Cert, Key string // the chain, leaf first, and its private key; a client needs them only if the server asks
	// CA signs the peers. A listener with it demands a certificate from every client; a client without it uses the
	// authorities of the system.
	CA         string
	ServerName string // for a client: the name in the server's certificate; "" = the host that is dialed
}

// recheck is the least time between two looks at the files.
const recheck = time.Second

// Credentials are the contents of TLSFiles, which are read again when the files change. If the new files do not fit
// together, the former contents stay in use; that is logged once for each state of the files. Safe for concurrent use.
type Credentials struct {
	files TLSFiles
	log   *slog.Logger

	mu      sync.Mutex
	looked  time.Time
	seen    []os.FileInfo // of the files at the last attempt to read them
	cert    *tls.Certificate
	trusted *x509.CertPool // nil = the system's
	server  *tls.Config    // for listeners; nil without a certificate
}

// OpenTLS reads the files.
func OpenTLS(files TLSFiles, log *slog.Logger) (*Credentials, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if (files.Cert == "") != (files.Key == "") {
		return nil, errors.New("TLS needs both tls_cert and tls_key, or neither")
	}
	c := &Credentials{files: files, log: log}
	seen, err := c.stat()
	if err == nil {
		err = c.read()
	}
	if err != nil {
		return nil, err
	}
	c.looked, c.seen = time.Now(), seen
	return c, nil
}

// Certificate returns the certificate that is shown to peers, and its file; nil = there is none. c may be nil.
func (c *Credentials) Certificate() (file string, cert *x509.Certificate) {
	if c == nil {
		return "", nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refresh()
	if c.cert == nil {
		return "", nil
	}
	return c.files.Cert, c.cert.Leaf
}

// Listener returns a listener that speaks TLS 1.3 with the connections of ln. It needs a certificate.
func (c *Credentials) Listener(ln net.Listener) (net.Listener, error) {
	if c.files.Cert == "" {
		return nil, fmt.Errorf("listen with TLS on %s: give tls_cert and tls_key", ln.Addr())
	}
	current := func(*tls.ClientHelloInfo) (*tls.Config, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.refresh()
		return c.server, nil
	}
	return tls.NewListener(ln, &tls.Config{MinVersion: tls.VersionTLS13, GetConfigForClient: current}), nil
}

// client returns the configuration for one connection to host.
func (c *Credentials) client(host string) *tls.Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refresh()
	conf := &tls.Config{MinVersion: tls.VersionTLS13, ServerName: host, RootCAs: c.trusted}
	if c.files.ServerName != "" {
		conf.ServerName = c.files.ServerName
	}
	// The certificate is shown even if the server does not list its authority, so that the server can say what is
	// wrong.
	if cert := c.cert; cert != nil {
		conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
	}
	return conf
}

// refresh reads the files again if they have changed since the last attempt. The caller holds mu.
func (c *Credentials) refresh() {
	now := time.Now()
	if now.Sub(c.looked) < recheck {
		return
	}
	c.looked = now
	seen, err := c.stat()
	if err == nil && same(seen, c.seen) {
		return
	}
	if err == nil {
		err = c.read()
	} else if c.seen == nil {
		return // the files were already missing at the last attempt
	}
	c.seen = seen
	if err != nil {
		c.log.Error("the new TLS files cannot be used, the old ones stay in use", "error", err)
		return
	}
	c.log.Info("TLS files reloaded", "certificate", c.files.Cert, "ca", c.files.CA)
}

// stat looks at the files.
func (c *Credentials) stat() (seen []os.FileInfo, err error) {
	for _, name := range []string{c.files.Cert, c.files.Key, c.files.CA} {
		var info os.FileInfo
		if name != "" {
			if info, err = os.Stat(name); err != nil {
				return nil, fmt.Errorf("find a TLS file, as tls_cert, tls_key or tls_ca (--tls-cert …) names it: %w",
					err)
			}
		}
		seen = append(seen, info)
	}
	return seen, nil
}

func same(a, b []os.FileInfo) bool {
	for i := range a {
		if i >= len(b) || (a[i] == nil) != (b[i] == nil) {
			return false
		}
		if a[i] != nil && (!os.SameFile(a[i], b[i]) || a[i].Size() != b[i].Size() ||
			!a[i].ModTime().Equal(b[i].ModTime())) {
			return false
		}
	}
	return true
}

// read reads the files, and uses them if all of them are good.
func (c *Credentials) read() error {
	var cert *tls.Certificate
	var trusted *x509.CertPool
	if c.files.Cert != "" {
		pair, err := tls.LoadX509KeyPair(c.files.Cert, c.files.Key)
		if err != nil {
			return fmt.Errorf("read TLS certificate %s with key %s: %w", c.files.Cert, c.files.Key, err)
		}
		switch now, leaf := time.Now(), pair.Leaf; {
		case now.After(leaf.NotAfter):
			c.log.Warn("our own certificate has expired: peers will refuse it",
				"certificate", c.files.Cert, "on", leaf.NotAfter.UTC().Format(time.DateOnly))
		case now.Before(leaf.NotBefore):
			c.log.Warn("our own certificate is not valid yet: peers will refuse it",
				"certificate", c.files.Cert, "until", leaf.NotBefore.UTC().Format(time.DateOnly))
		}
		cert = &pair
	}
	if c.files.CA != "" {
		pem, err := os.ReadFile(c.files.CA)
		if err != nil {
			return fmt.Errorf("read TLS authorities: %w", err)
		}
		trusted = x509.NewCertPool()
		if !trusted.AppendCertsFromPEM(pem) {
			return fmt.Errorf("read TLS authorities: %s has no certificate in PEM form", c.files.CA)
		}
	}
	c.cert, c.trusted, c.server = cert, trusted, nil
	if cert != nil {
		// Session tickets are disabled so that every connection is verified with the current files.
		c.server = &tls.Config{
			MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{*cert}, SessionTicketsDisabled: true,
		}
		if trusted != nil {
			c.server.ClientAuth, c.server.ClientCAs = tls.RequireAndVerifyClientCert, trusted
		}
	}
	return nil
}
