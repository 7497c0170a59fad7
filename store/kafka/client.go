package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// dialTimeout bounds how long connecting to a broker takes.
const dialTimeout = 10 * time.Second

// client opens a client for the brokers of an address. It does not connect.
func (a *Address) client(more ...kgo.Opt) (*kgo.Client, error) {
	opts := []kgo.Opt{kgo.SeedBrokers(a.Brokers...), kgo.ClientID("inkwell"), kgo.DialTimeout(dialTimeout)}
	if a.TLS {
		c, err := a.tls()
		if err != nil {
			return nil, err
		}
		opts = append(opts, kgo.DialTLSConfig(c))
	}
	switch a.SASL {
	case "plain":
		opts = append(opts, kgo.SASL(plain.Plain(func(context.Context) (plain.Auth, error) {
			password, err := a.password()
			return plain.Auth{User: a.User, Pass: password}, err
		})))
	case "scram-sha-256", "scram-sha-512":
		opts = append(opts, kgo.SASL(a.scram()))
	}
	cl, err := kgo.NewClient(append(opts, more...)...)
	if err != nil {
		return nil, fmt.Errorf("use %s: %w", a, err)
	}
	return cl, nil
}

// scram returns the mechanism for a SCRAM login.
func (a *Address) scram() sasl.Mechanism {
	auth := func(context.Context) (scram.Auth, error) {
		password, err := a.password()
		return scram.Auth{User: a.User, Pass: password}, err
	}
	if a.SASL == "scram-sha-256" {
		return scram.Sha256(auth)
	}
	return scram.Sha512(auth)
}

// password reads the file again for each connection, so that a password can be changed without a restart.
func (a *Address) password() (string, error) {
	data, err := os.ReadFile(a.Password)
	if err != nil {
		return "", fmt.Errorf("read the password of %s (password_file=): %w", a.User, err)
	}
	return strings.TrimRight(string(data), "\r\n"), nil
}

// tls returns the configuration of TLS. The certificate is read again for each connection.
func (a *Address) tls() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if a.CA != "" {
		data, err := os.ReadFile(a.CA)
		if err != nil {
			return nil, fmt.Errorf("read the authorities of the brokers (ca=): %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(data) {
			return nil, fmt.Errorf("read the authorities of the brokers (ca=): %s contains no certificate", a.CA)
		}
	}
	if a.Cert != "" {
		read := func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(a.Cert, a.Key)
			if err != nil {
				return nil, fmt.Errorf("read the certificate for the brokers (cert=, key=): %w", err)
			}
			return &pair, nil
		}
		if _, err := read(nil); err != nil {
			return nil, err
		}
		c.GetClientCertificate = read
	}
	return c, nil
}

// pause waits, and reports whether ctx has not ended.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// errRemoved says that records were removed by retention before they were read.
var errRemoved = errors.New("records were removed before they were read")
