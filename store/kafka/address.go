package kafka

import (
	"cmp"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Address says where a topic is and how it is used:
//
//	kafka://BROKER,BROKER/TOPIC?group=NAME&member=NAME&every=15m&…
type Address struct {
	Brokers []string // HOST:PORT
	Topic   string
	Group   string        // of the collectors that share the topic
	Member  string        // name of this collector in the group; the same after a restart
	Every   time.Duration // how often files are finished and committed, by the clock
	Session time.Duration // a member that is silent for so long loses its partitions
	// Replicas is the replication factor that the topic must have at least. One of them may be down.
	Replicas int
	// Fan is over how many partitions the streams of a category are spread. It must be the same for all collectors.
	Fan Fan

	TLS            bool
	CA, Cert, Key  string // PEM files
	SASL           string // "", plain, scram-sha-256 or scram-sha-512
	User, Password string // Password is the path of the file that contains it
	text           string
}

const (
	scheme         = "kafka://"
	defaultEvery   = 15 * time.Minute
	defaultSession = 45 * time.Second
	defaultPort    = "9092"
	maxTopic       = 249 // bytes of the name of a topic
)

// loginKeys are the options that every address can have, and journalKeys those that only the address of a journal has.
var (
	loginKeys   = []string{"tls", "ca", "cert", "key", "sasl", "user", "password_file"}
	journalKeys = []string{"group", "member", "every", "session", "replicas", "fan"}
)

// nameLetters are what the name of a topic is made of.
const nameLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

// mechanisms are the values of the option sasl.
var mechanisms = []string{"plain", "scram-sha-256", "scram-sha-512"}

// IsAddress reports whether a text is an address of a topic.
func IsAddress(text string) bool { return strings.HasPrefix(text, scheme) }

// ParseAddress parses the address of a journal.
func ParseAddress(text string) (a Address, err error) {
	return parseAddress(text, nameLetters, append(journalKeys[:len(journalKeys):len(journalKeys)], loginKeys...))
}

// ParseTarget parses the address of topics for other programs: kafka://BROKER,BROKER/NAME?OPTIONS, with {category} in
// the name if each category has a topic of its own. It has only the options of TLS and login.
func ParseTarget(text string) (a Address, err error) {
	if a, err = parseAddress(text, nameLetters+"{}", loginKeys); err != nil {
		return a, err
	}
	if rest := strings.ReplaceAll(a.Topic, "{category}", ""); strings.ContainsAny(rest, "{}") {
		return a, fmt.Errorf("address %q: the only word in braces is {category}", text)
	}
	return a, nil
}

// parseAddress parses an address with these letters in the name of the topic, and these options.
func parseAddress(text, letters string, keys []string) (a Address, err error) {
	rest, ok := strings.CutPrefix(text, scheme)
	if !ok {
		return a, fmt.Errorf("address %q: want kafka://BROKER,BROKER/TOPIC", text)
	}
	rest, query, _ := strings.Cut(rest, "?")
	brokers, topic, _ := strings.Cut(rest, "/")
	if brokers == "" || topic == "" || len(topic) > maxTopic || strings.Trim(topic, letters) != "" {
		return a, fmt.Errorf("address %q: want kafka://BROKER,BROKER/TOPIC, with letters, digits, dots, hyphens and "+
			"underscores in the name of the topic", text)
	}
	a = Address{Topic: topic, text: text}
	for b := range strings.SplitSeq(brokers, ",") {
		if _, _, err := net.SplitHostPort(b); err != nil {
			b = net.JoinHostPort(b, defaultPort)
		}
		a.Brokers = append(a.Brokers, b)
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return a, fmt.Errorf("address %q: %w", text, err)
	}
	for key, all := range values {
		if !slices.Contains(keys, key) {
			return a, fmt.Errorf("address %q: unknown option %q (there are %s)", text, key, strings.Join(keys, ", "))
		}
		if len(all) > 1 {
			return a, fmt.Errorf("address %q: option %q stands there twice", text, key)
		}
	}
	if err := a.set(values.Get); err != nil {
		return a, fmt.Errorf("address %q: %w", text, err)
	}
	return a, nil
}

// set reads the options.
func (a *Address) set(get func(string) string) (err error) {
	a.Group, a.Member = cmp.Or(get("group"), "inkwell"), get("member")
	if a.Member == "" {
		if a.Member, err = os.Hostname(); err != nil {
			return fmt.Errorf("the name of this machine cannot be found out (give member=): %w", err)
		}
	}
	if a.Every, err = duration(get("every"), defaultEvery, time.Second, 24*time.Hour); err != nil {
		return fmt.Errorf("every=%w", err)
	}
	if a.Session, err = duration(get("session"), defaultSession, time.Second, 30*time.Minute); err != nil {
		return fmt.Errorf("session=%w", err)
	}
	a.Replicas, err = strconv.Atoi(cmp.Or(get("replicas"), "3"))
	if err != nil || a.Replicas < 1 {
		return fmt.Errorf("replicas=%s: want the least number of replicas that the topic must have, as in 3",
			get("replicas"))
	}
	if a.Fan, err = parseFan(get("fan")); err != nil {
		return err
	}
	return a.secure(get)
}

// secure reads the options of TLS and SASL.
func (a *Address) secure(get func(string) string) error {
	a.CA, a.Cert, a.Key = get("ca"), get("cert"), get("key")
	switch get("tls") {
	case "yes":
		a.TLS = true
	case "", "no":
		if a.CA+a.Cert+a.Key != "" {
			return fmt.Errorf("ca, cert and key have no effect without tls=yes")
		}
	default:
		return fmt.Errorf("tls=%s: want yes or no", get("tls"))
	}
	if (a.Cert == "") != (a.Key == "") {
		return fmt.Errorf("cert and key belong together")
	}
	a.SASL, a.User, a.Password = get("sasl"), get("user"), get("password_file")
	switch {
	case a.SASL == "" && a.User+a.Password != "":
		return fmt.Errorf("user and password_file have no effect without sasl=")
	case a.SASL == "":
	case !slices.Contains(mechanisms, a.SASL):
		return fmt.Errorf("sasl=%s: want %s", a.SASL, strings.Join(mechanisms, ", "))
	case a.User == "" || a.Password == "":
		return fmt.Errorf("sasl=%s needs user=NAME and password_file=FILE", a.SASL)
	}
	return nil
}

func duration(text string, value, least, most time.Duration) (time.Duration, error) {
	if text == "" {
		return value, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < least || d > most {
		return 0, fmt.Errorf("%s: want a duration from %v to %v, as in %v", text, least, most, value)
	}
	return d, nil
}

// String returns the address as it was written.
func (a Address) String() string { return a.text }
