package kafka

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseAddress(t *testing.T) {
	a, err := ParseAddress("kafka://k1,k2:9999/logs.prod?group=g&member=m&every=1m&session=10s&replicas=2&fan=2,a:b:4&tls=yes&ca=/ca" +
		"&cert=/c&key=/k&sasl=scram-sha-512&user=u&password_file=/p")
	want := Address{Brokers: []string{"k1:9092", "k2:9999"}, Topic: "logs.prod", Group: "g", Member: "m", Every: time.Minute,
		Session: 10 * time.Second, Replicas: 2, Fan: Fan{"": 2, "a:b": 4}, TLS: true, CA: "/ca", Cert: "/c", Key: "/k", SASL: "scram-sha-512", User: "u",
		Password: "/p", text: a.text}
	if err != nil || !slices.Equal(a.Brokers, want.Brokers) {
		t.Fatalf("%+v, %v", a, err)
	}
	a.Brokers, want.Brokers = nil, nil
	if got, want := a, want; got.Topic != want.Topic || got.Group != want.Group || got.Member != want.Member ||
		got.Every != want.Every || got.Session != want.Session || got.Replicas != want.Replicas || !maps.Equal(got.Fan, want.Fan) || got.Fan.Of("a:b") != 4 || got.Fan.Of("a") != 2 || got.Fan.Most() != 4 || !got.TLS ||
		got.CA != want.CA || got.Cert != want.Cert || got.Key != want.Key || got.SASL != want.SASL || got.User != want.User ||
		got.Password != want.Password {
		t.Errorf("%+v, want %+v", got, want)
	}
	if a, err = ParseAddress("kafka://[::1]:1/t"); err != nil || a.Every != defaultEvery || a.Session != defaultSession ||
		a.Replicas != 3 || a.Fan.Of("a") != 1 || a.Fan.Most() != 1 || a.Group != "inkwell" || a.Member == "" || a.TLS {
		t.Errorf("defaults: %+v, %v", a, err)
	}
	for text, want := range map[string]string{
		"s3://b/t": "want kafka://", "kafka://k": "want kafka://", "kafka:///t": "want kafka://", "kafka://k/a b": "want kafka://",
		"kafka://k/t?x=1": "unknown option", "kafka://k/t?every=1m&every=2m": "twice", "kafka://k/t?every=1": "every=1:",
		"kafka://k/t?every=1ms": "every=", "kafka://k/t?session=1h": "session=", "kafka://k/t?replicas=0": "replicas=0", "kafka://k/t?fan=0": "fan=0", "kafka://k/t?fan=a:1,b": "fan=a:1,b",
		"kafka://k/t?tls=maybe": "tls=maybe", "kafka://k/t?ca=/x": "without tls=yes", "kafka://k/t?tls=yes&cert=/x": "belong together",
		"kafka://k/t?user=u": "without sasl", "kafka://k/t?sasl=gssapi": "sasl=gssapi", "kafka://k/t?sasl=plain&user=u": "password_file",
	} {
		if _, err := ParseAddress(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
