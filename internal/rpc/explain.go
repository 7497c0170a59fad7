package rpc

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"time"
)

// certificateError says what is wrong with a peer's certificate, in words for whoever has to renew it.
type certificateError struct {
	text string
	err  error
}

func (e *certificateError) Error() string { return e.text }
func (e *certificateError) Unwrap() error { return e.err }

// explain replaces a TLS error by one that names the cause; it returns other errors unchanged. The only text of the
// peer in it is the names in a certificate, without control characters.
func explain(err error) error {
	if err == nil {
		return nil
	}
	if text := cause(err); text != "" {
		return &certificateError{text: text, err: err}
	}
	return err
}

func cause(err error) string {
	var (
		invalid  x509.CertificateInvalidError
		host     x509.HostnameError
		unknown  x509.UnknownAuthorityError
		noTLS    tls.RecordHeaderError
		verified *tls.CertificateVerificationError
		alert    tls.AlertError
	)
	switch {
	case errors.As(err, &invalid):
		return invalidity(invalid)
	case errors.As(err, &host):
		return fmt.Sprintf("certificate is valid for %s, not for %s", clean(validFor(host.Certificate)),
			clean(host.Host))
	case errors.As(err, &unknown):
		return "certificate is signed by an unknown authority" + issuer(unknown.Cert) +
			": give the one that signed it as tls_ca"
	case errors.As(err, &noTLS):
		return "the peer speaks no TLS"
	case errors.As(err, &verified):
		return "certificate is not accepted: " + clean(verified.Err.Error())
	case errors.As(err, &alert), strings.Contains(err.Error(), "remote error: tls:"):
		return refusal(err)
	case strings.Contains(err.Error(), "client didn't provide a certificate"):
		return "the client shows no certificate"
	case strings.Contains(err.Error(), "unsupported version"),
		strings.Contains(err.Error(), "unsupported protocol version"):
		return "the peer has no TLS 1.3"
	}
	return ""
}

// invalidity says why a certificate cannot be used.
func invalidity(e x509.CertificateInvalidError) string {
	if e.Cert == nil {
		return "certificate cannot be used: " + clean(e.Error())
	}
	switch now := time.Now(); {
	case e.Reason == x509.Expired && now.Before(e.Cert.NotBefore):
		return fmt.Sprintf("certificate of %s is valid only from %s on: look at the clock",
			clean(validFor(e.Cert)), e.Cert.NotBefore.UTC().Format(time.DateOnly))
	case e.Reason == x509.Expired:
		return fmt.Sprintf("certificate of %s expired on %s",
			clean(validFor(e.Cert)), e.Cert.NotAfter.UTC().Format(time.DateOnly))
	case e.Reason == x509.IncompatibleUsage:
		return fmt.Sprintf("certificate of %s is not for this use: a server needs serverAuth, a client clientAuth",
			clean(validFor(e.Cert)))
	}
	return fmt.Sprintf("certificate of %s cannot be used: %s", clean(validFor(e.Cert)), clean(e.Error()))
}

// refusal says why the peer has refused us. The alert is one of a few fixed texts.
func refusal(err error) string {
	text := err.Error()
	if i := strings.LastIndex(text, "tls: "); i >= 0 {
		text = text[i+len("tls: "):]
	}
	for alert, meaning := range map[string]string{
		"certificate required": "the peer wants a certificate: give tls_cert and tls_key",
		"expired certificate": "the peer refuses our certificate: " +
			"it has expired, or is not valid yet by the peer's clock",
		"unknown certificate authority":  "the peer refuses our certificate: it does not know who signed it",
		"bad certificate":                "the peer refuses our certificate",
		"unknown certificate":            "the peer refuses our certificate",
		"unsupported certificate":        "the peer refuses our certificate: it is not for this use",
		"protocol version not supported": "the peer has no TLS 1.3",
	} {
		if text == alert {
			return meaning
		}
	}
	return "the peer ends the handshake: " + clean(text)
}

// handshakeError returns err in the words for the side that dialed.
func handshakeError(err error) error {
	if err == io.EOF || errors.Is(err, syscall.ECONNRESET) {
		return fmt.Errorf("the peer hung up instead of speaking TLS (is this a plain listener?): %w", err)
	}
	return explain(err)
}

// validFor lists the names of a certificate.
func validFor(c *x509.Certificate) string {
	if c == nil {
		return "nobody"
	}
	if c.IsCA {
		return "the authority " + c.Subject.CommonName
	}
	all := append([]string(nil), c.DNSNames...)
	for _, ip := range c.IPAddresses {
		all = append(all, ip.String())
	}
	for _, uri := range c.URIs {
		all = append(all, uri.String())
	}
	if all = append(all, c.EmailAddresses...); len(all) > 0 {
		return strings.Join(all, ", ")
	}
	if c.Subject.CommonName != "" {
		return "no name (a common name alone, " + c.Subject.CommonName + ", is none)"
	}
	return "no name"
}

func issuer(c *x509.Certificate) string {
	if c == nil || c.Issuer.CommonName == "" {
		return ""
	}
	return " (" + clean(c.Issuer.CommonName) + ")"
}

// maxShown is the most bytes of a peer's text that are shown.
const maxShown = 500

// clean makes a peer's text fit to be logged and shown.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if len(s) > maxShown {
		s = strings.ToValidUTF8(s[:maxShown], "") + "…"
	}
	return s
}
