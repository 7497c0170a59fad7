package rpc

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"inkwell/internal/access"
	"inkwell/proto"
)

// authority signs the certificates of a test.
type authority struct {
	t    testing.TB
	dir  string
	name string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB, name string) *authority {
	a := &authority{t: t, dir: t.TempDir(), name: name}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	a.cert, a.key = a.sign(template, nil)
	a.write("ca.pem", "CERTIFICATE", a.cert.Raw)
	return a
}

// ca is the file with the authority's certificate.
func (a *authority) ca() string { return filepath.Join(a.dir, "ca.pem") }

func (a *authority) sign(template *x509.Certificate, parent *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	signer := a.key
	if parent == nil {
		parent, signer = template, key
	}
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key
}

// write puts a PEM file in its place at once.
func (a *authority) write(name, kind string, der []byte) {
	a.t.Helper()
	path := filepath.Join(a.dir, name)
	if err := os.WriteFile(path+".new", pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		a.t.Fatal(err)
	}
}

// leaf is what is special about a certificate.
type leaf struct {
	names   []string // DNS names, IP addresses, URIs and mail addresses
	common  string
	expired bool
	future  bool
	usage   x509.ExtKeyUsage
}

// issue makes a certificate and its key in files of that name.
func (a *authority) issue(file string, l leaf) TLSFiles {
	a.t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: l.common},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	if l.usage != 0 {
		template.ExtKeyUsage = []x509.ExtKeyUsage{l.usage}
	}
	for _, name := range l.names {
		switch u, err := url.Parse(name); {
		case net.ParseIP(name) != nil:
			template.IPAddresses = append(template.IPAddresses, net.ParseIP(name))
		case strings.Contains(name, "@"):
			template.EmailAddresses = append(template.EmailAddresses, name)
		case err == nil && u.Scheme != "":
			template.URIs = append(template.URIs, u)
		default:
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	if l.expired {
		template.NotBefore, template.NotAfter = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)
	}
	if l.future {
		template.NotBefore, template.NotAfter = time.Date(2095, 1, 2, 3, 0, 0, 0, time.UTC), time.Date(2096, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	cert, key := a.sign(template, a.cert)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	a.write(file+".key", "PRIVATE KEY", der)
	a.write(file+".pem", "CERTIFICATE", cert.Raw)
	return TLSFiles{Cert: filepath.Join(a.dir, file+".pem"), Key: filepath.Join(a.dir, file+".key")}
}

// secure lets r serve a TLS listener too, and returns its address.
func (r *rig) secure(t testing.TB, files TLSFiles) (addr string, c *Credentials) {
	t.Helper()
	c, err := OpenTLS(files, r.log.Logger())
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	wrapped, err := c.Listener(ln)
	if err != nil {
		t.Fatal(err)
	}
	r.serveOn(t, wrapped)
	return "tls://" + ln.Addr().String(), c
}

// call sends one entry to addr over a connection of its own.
func call(t testing.TB, addr string, files TLSFiles) error {
	t.Helper()
	credentials, err := OpenTLS(files, nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := Dial(context.Background(), addr, ClientOptions{Timeout: patience, DialTimeout: patience, TLS: credentials})
	if err != nil {
		return err
	}
	if _, err := c.Log(context.Background(), []*proto.Batch{batch("x"), batch(strings.Repeat("y", 100_000))}); err != nil {
		return err
	}
	return c.Close()
}

// callers notes who calls.
type callers struct {
	mu  sync.Mutex
	all []string
}

func (c *callers) Log(ctx context.Context, _ *proto.Batch) (proto.ResultCode, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if caller := access.FromContext(ctx); caller != nil {
		c.all = append(c.all, caller.Names...)
	}
	return proto.OK, nil
}

func (c *callers) got() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.all
}

func TestTLS(t *testing.T) {
	ours, other := newAuthority(t, "our authority"), newAuthority(t, "another authority")
	server := ours.issue("server", leaf{names: []string{"127.0.0.1", "localhost"}})
	web := ours.issue("web", leaf{names: []string{"web1.example.com", "spiffe://prod/web1", "ops@example.com"}, common: "not a name"})
	with := func(files TLSFiles, ca string) TLSFiles { files.CA = ca; return files }
	tests := []struct {
		name           string
		server, client TLSFiles
		err, log       string // "" = it works
	}{
		{"anonymous client", server, TLSFiles{CA: ours.ca()}, "", ""},
		{"mutual", with(server, ours.ca()), with(web, ours.ca()), "", ""},
		{"a certificate nobody asked for", server, with(web, ours.ca()), "", ""},
		{"expired server", ours.issue("old", leaf{names: []string{"127.0.0.1"}, expired: true}), TLSFiles{CA: ours.ca()}, "certificate of 127.0.0.1 expired on 2026-01-02", "expired"},
		{"server of the future", ours.issue("new", leaf{names: []string{"127.0.0.1"}, future: true}), TLSFiles{CA: ours.ca()}, "certificate of 127.0.0.1 is valid only from 2095-01-02 on", "not valid yet"},
		{"wrong host", ours.issue("wrong", leaf{names: []string{"a.example.com", "b.example.com"}}), TLSFiles{CA: ours.ca()}, "valid for a.example.com, b.example.com, not for 127.0.0.1", "certificate"},
		{"wrong host, named", ours.issue("named", leaf{names: []string{"a.example.com"}}), TLSFiles{CA: ours.ca(), ServerName: "a.example.com"}, "", ""},
		{"common name only", ours.issue("common", leaf{common: "127.0.0.1"}), TLSFiles{CA: ours.ca()}, "no name (a common name alone, 127.0.0.1, is none)", "certificate"},
		{"unknown server", other.issue("unknown", leaf{names: []string{"127.0.0.1"}}), TLSFiles{CA: ours.ca()}, "signed by an unknown authority (another authority)", "refuses our certificate"},
		{"unknown to the system", server, TLSFiles{}, "signed by an unknown authority", "refuses our certificate"},
		{"client's as server's", ours.issue("use", leaf{names: []string{"127.0.0.1"}, usage: x509.ExtKeyUsageClientAuth}), TLSFiles{CA: ours.ca()}, "not for this use", "certificate"},
		{"no client certificate", with(server, ours.ca()), TLSFiles{CA: ours.ca()}, "the peer wants a certificate", "the client shows no certificate"},
		{"expired client", with(server, ours.ca()), with(ours.issue("oldweb", leaf{names: []string{"web2"}, expired: true}), ours.ca()), "it has expired, or is not valid yet", "certificate of web2 expired on 2026-01-02"},
		{"client of the future", with(server, ours.ca()), with(ours.issue("newweb", leaf{names: []string{"web3"}, future: true}), ours.ca()), "it has expired, or is not valid yet", "certificate of web3 is valid only from 2095-01-02 on"},
		{"unknown client", with(server, ours.ca()), with(other.issue("stranger", leaf{names: []string{"web1.example.com"}}), ours.ca()), "peer refuses our certificate", "signed by an unknown authority (another authority)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			seen := new(callers)
			r := serve(t, ServerOptions{}, seen, nil)
			addr, _ := r.secure(t, tt.server)
			err := call(t, addr, tt.client)
			if tt.err == "" {
				if err != nil {
					t.Fatal(err)
				}
				want := []string(nil)
				if tt.server.CA != "" {
					want = []string{"web1.example.com", "spiffe://prod/web1", "ops@example.com"}
				}
				if diff := cmp.Diff(want, seen.got()); diff != "" {
					t.Error(diff)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.err) || !strings.Contains(err.Error(), addr) {
				t.Errorf("error %v", err)
			}
			eventually(t, "the failure in the counters", func() bool { return r.count("TLS handshakes failed") == 1 })
			eventually(t, "the failure in the log", func() bool {
				return strings.Contains(r.log.String(), tt.log) && strings.Contains(r.log.String(), "peer=127.0.0.1")
			})
			if by := seen.got(); len(by) > 0 {
				t.Errorf("the handler was called by %q", by)
			}
		})
	}
}

// A server that ends does not wait for handshakes.
func TestShutdownEndsHandshakes(t *testing.T) {
	ours := newAuthority(t, "our authority")
	r := serve(t, ServerOptions{}, nothing{}, nil)
	addr, _ := r.secure(t, ours.issue("server", leaf{names: []string{"127.0.0.1"}}))
	var waiting []net.Conn
	for _, hello := range [][]byte{nil, {0x16, 3, 1, 2, 0, 1}} {
		nc, err := net.Dial("tcp", strings.TrimPrefix(addr, "tls://"))
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		if _, err := nc.Write(hello); err != nil {
			t.Fatal(err)
		}
		waiting = append(waiting, nc)
	}
	eventually(t, "both connections", func() bool { return r.count("connections") == int64(len(waiting)) })
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	began := time.Now()
	if err := r.Shutdown(ctx); err != nil || time.Since(began) > patience/2 {
		t.Errorf("after %v: %v", time.Since(began), err)
	}
	if n := r.count("TLS handshakes failed"); n != 0 {
		t.Errorf("%d handshakes are said to have failed", n)
	}
}

// Plain and TLS side by side: each tells what the other is mistaken for.
func TestPlainMeetsTLS(t *testing.T) {
	ours := newAuthority(t, "our authority")
	r := serve(t, ServerOptions{}, nothing{}, nil)
	addr, _ := r.secure(t, ours.issue("server", leaf{names: []string{"127.0.0.1"}}))
	if err := call(t, r.addr, TLSFiles{}); err != nil {
		t.Errorf("plain: %v", err)
	}
	if err := call(t, addr, TLSFiles{CA: ours.ca()}); err != nil {
		t.Errorf("TLS: %v", err)
	}
	plain := strings.TrimPrefix(addr, "tls://")
	if err := call(t, plain, TLSFiles{}); err == nil || !strings.Contains(err.Error(), "the peer speaks TLS: write tls://") {
		t.Errorf("plain to a TLS listener: %v", err)
	}
	client, conn, err := FB303(plain, patience, nil)
	if err == nil {
		_, err = client.GetStatus(t.Context())
		conn.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "the peer speaks TLS: write tls://") {
		t.Errorf("a plain question to a TLS listener: %v", err)
	}
	if err := call(t, "tls://"+r.addr, TLSFiles{CA: ours.ca()}); err == nil || !strings.Contains(err.Error(), "is this a plain listener?") {
		t.Errorf("TLS to a plain listener: %v", err)
	}
	eventually(t, "both mistakes", func() bool { return r.count("TLS handshakes failed") == 2 && r.count("frames too large") == 1 })

	old := serve(t, ServerOptions{}, nothing{}, nil)
	addr, _ = old.secure(t, ours.issue("server", leaf{names: []string{"127.0.0.1"}}))
	nc, err := tls.Dial("tcp", strings.TrimPrefix(addr, "tls://"), &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12})
	if err == nil {
		nc.Close()
		t.Error("TLS 1.2 was spoken")
	}
	eventually(t, "TLS 1.2 refused", func() bool {
		return old.count("TLS handshakes failed") == 1 && strings.Contains(old.log.String(), "the peer has no TLS 1.3")
	})
	if err := call(t, speaking12(t, ours), TLSFiles{CA: ours.ca()}); err == nil || !strings.Contains(err.Error(), "the peer has no TLS 1.3") {
		t.Errorf("a server of TLS 1.2: %v", err)
	}
	probe := old.dial(t) // the one before is alone in the log of this minute
	probe.Close()

	alerting := answering(t, []byte{0x15, 3, 1, 0, 2, 2, 70})
	if err := call(t, alerting, TLSFiles{}); err == nil || !strings.Contains(err.Error(), "the peer speaks TLS") {
		t.Errorf("an alert: %v", err)
	}
}

// speaking12 is the address of a server that knows nothing newer than TLS 1.2.
func speaking12(t *testing.T, ours *authority) string {
	files := ours.issue("server12", leaf{names: []string{"127.0.0.1"}})
	cert, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}, MaxVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		nc, err := ln.Accept()
		if err != nil {
			return
		}
		defer nc.Close()
		nc.SetDeadline(time.Now().Add(patience))
		nc.Read(make([]byte, 1)) // shakes hands
	})
	t.Cleanup(func() {
		ln.Close()
		serving.Wait()
	})
	return "tls://" + ln.Addr().String()
}

// answering is the address of a server that reads a little, answers each connection with the same bytes, and hangs up.
func answering(t *testing.T, reply []byte) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer nc.Close()
				nc.SetDeadline(time.Now().Add(patience))
				nc.Write(reply)
				for buf := make([]byte, 64<<10); ; {
					if _, err := nc.Read(buf); err != nil {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() { ln.Close(); serving.Wait() })
	return ln.Addr().String()
}

// Certificates are read again under a running server, and under a client that dials again.
func TestRenewal(t *testing.T) {
	ours, other := newAuthority(t, "our authority"), newAuthority(t, "another authority")
	files := ours.issue("server", leaf{names: []string{"127.0.0.1"}})
	files.CA = filepath.Join(ours.dir, "clients.pem")
	ours.write("clients.pem", "CERTIFICATE", ours.cert.Raw)
	r := serve(t, ServerOptions{}, nothing{}, nil)
	addr, c := r.secure(t, files)
	again := func() { // as if a second had passed
		c.mu.Lock()
		c.looked = time.Time{}
		c.mu.Unlock()
	}
	web := ours.issue("web", leaf{names: []string{"web1"}})
	web.CA = ours.ca()
	if err := call(t, addr, web); err != nil {
		t.Fatal(err)
	}
	standing, err := Dial(context.Background(), addr, ClientOptions{TLS: must(OpenTLS(web, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer standing.Close()

	ours.issue("server", leaf{names: []string{"renewed.example.com"}})
	again()
	if err := call(t, addr, web); err == nil || !strings.Contains(err.Error(), "valid for renewed.example.com") {
		t.Errorf("after the renewal: %v", err)
	}
	ours.issue("server", leaf{names: []string{"127.0.0.1"}})
	ours.issue("half", leaf{names: []string{"127.0.0.1"}})
	again()
	if err := call(t, addr, web); err != nil {
		t.Errorf("renewed again: %v", err)
	}
	if err := os.Rename(filepath.Join(ours.dir, "half.key"), files.Key); err != nil { // not of the certificate
		t.Fatal(err)
	}
	for range 3 {
		again()
		if err := call(t, addr, web); err != nil {
			t.Errorf("with half of a new pair: %v", err)
		}
	}
	if err := os.Remove(files.Key); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		again()
		if err := call(t, addr, web); err != nil {
			t.Errorf("without a key: %v", err)
		}
	}
	if n := strings.Count(r.log.String(), "the old ones stay in use"); n != 2 {
		t.Errorf("logged %d times, want once for each state:\n%s", n, r.log.String())
	}
	ours.issue("server", leaf{names: []string{"127.0.0.1"}})
	ours.write("clients.pem", "CERTIFICATE", other.cert.Raw)
	again()
	if err := call(t, addr, web); err == nil {
		t.Error("a client of an authority that is trusted no more was served")
	}
	if code, err := standing.Log(context.Background(), []*proto.Batch{batch("x")}); code != proto.OK || err != nil {
		t.Errorf("the connection that stood: %v %v", code, err)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestTLSFilesThatCannotBeUsed(t *testing.T) {
	ours := newAuthority(t, "our authority")
	good := ours.issue("good", leaf{names: []string{"x"}})
	other := ours.issue("other", leaf{names: []string{"x"}})
	for name, files := range map[string]TLSFiles{
		"needs both": {Cert: good.Cert}, "no such file": {CA: filepath.Join(ours.dir, "none.pem")}, "no certificate in PEM form": {CA: good.Key},
		"does not match": {Cert: good.Cert, Key: other.Key},
	} {
		if _, err := OpenTLS(files, nil); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if _, err := must(OpenTLS(TLSFiles{CA: ours.ca()}, nil)).Listener(ln); err == nil {
		t.Error("a listener without a certificate")
	}
}

func TestAddresses(t *testing.T) {
	for text, want := range map[string]Address{
		"h:1": {"tcp", "h:1", false}, "[::1]:1463": {"tcp", "[::1]:1463", false}, ":1463": {"tcp", ":1463", false}, "tls://h:1": {"tcp", "h:1", true},
		"unix:/a/b": {"unix", "/a/b", false}, "unix:": {}, "unix:@a": {}, "h": {}, "tls://h": {}, "tls:/h:1": {}, "http://h:1": {}, "tls://h:": {}, "": {},
	} {
		if got, err := ParseAddress(text); got != want || (err == nil) != (want != Address{}) {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
}

func TestUnixCallers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sock")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	var caller access.Identity
	s := &sink{before: func(ctx context.Context, _ *proto.Batch) (proto.ResultCode, error) {
		caller = access.FromContext(ctx).Identity
		return proto.OK, nil
	}}
	serve(t, ServerOptions{}, s, nil).serveOn(t, ln)
	if err := call(t, "unix:"+path, TLSFiles{}); err != nil {
		t.Fatal(err)
	}
	if got := s.got(); !slices.Contains(got, "c=x") {
		t.Errorf("got %q", got)
	}
	if caller.Unix == nil || int(caller.Unix.UID) != os.Getuid() || !caller.Local() {
		t.Errorf("%+v", caller)
	}
	if err := call(t, "unix:"+path+"x", TLSFiles{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no such socket: %v", err)
	}
}
