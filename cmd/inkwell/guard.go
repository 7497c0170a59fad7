package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"inkwell/internal/access"
	"inkwell/internal/conf"
	"inkwell/internal/rpc"
)

// guardFlags are the flags that restrict the peers of a collector: who they are, what they may write, and how much.
func guardFlags(flags *pflag.FlagSet) {
	flags.String("tls-cert", "", "PEM `FILE` with the certificate for tls:// listeners, reloaded when it changes")
	flags.String("tls-key", "", "PEM `FILE` with its private key")
	flags.String("tls-ca", "",
		"PEM `FILE` with the authorities for clients, each of which must then show a certificate")
	flags.Var(new(allowValue), "allow", "let FROM (a name in its certificate, an address, a range, loopback, unix, "+
		"*) write CATEGORY, PREFIX* or *; can be "+
		"repeated; without it everybody may write everything")
	httpFlags(flags)
	flags.Var(checked("256", "count", parsePerAddress), "max-connections-per-address",
		"largest number of connections from one address, except this machine; 0 = no limit")
	flags.Int("max-entries", 0, "largest number of messages in one call; 0 = one for each 32 bytes of the largest call")
	flags.Var(checked("0", "size", parseMessage), "max-message",
		"drop and count longer messages; 0 = no limit but the size of a call")
	flags.Var(checked("256MiB", "size", parseInFlight), "max-in-flight",
		"bytes of calls over 256KiB that are read at the same time; one address gets a quarter")
	flags.Var(checked("10m", "duration", parseTimeout), "idle-timeout",
		"how long a connection may be silent between two calls")
	flags.Var(checked("1m", "duration", parseTimeout), "header-timeout",
		"how long a new connection has until its first call begins, including the TLS handshake")
}

// httpFlags say where HTTP is answered, and who may see more than /healthz and /readyz.
func httpFlags(flags *pflag.FlagSet) {
	flags.StringSlice("http", nil, "`HOST:PORT`, tls://HOST:PORT or unix:PATH on which only HTTP is answered: "+
		"/healthz, /metrics, /status.json and the page; several times")
	flags.StringSlice("allow-status", nil, "let `FROM` (as in --allow) read status, metrics and files over HTTP, in "+
		"addition to this machine; several times")
}

// parsePerAddress parses a number of connections.
func parsePerAddress(s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 30)
	if err != nil {
		err = fmt.Errorf("%q: want a number of connections, 0 for no limit", s)
	}
	return n, err
}

// perAddress converts a number of connections, of which 0 is no limit, to the option of the collector.
func perAddress(n int) int {
	if n == 0 {
		return -1
	}
	return n
}

func parseMessage(s string) (int, error) {
	n, err := conf.ParseSize(s)
	return int(min(n, 1<<30)), err
}

func parseInFlight(s string) (int64, error) {
	n, err := conf.ParseSize(s)
	if err == nil && n < 1<<20 {
		err = fmt.Errorf("size %q: must be 1MiB or more", s)
	}
	return n, err
}

func parseTimeout(s string) (time.Duration, error) {
	d, err := conf.ParseDuration(s)
	if err == nil && d < time.Second {
		err = fmt.Errorf("duration %q: must be 1s or more", s)
	}
	return d, err
}

// allowValue is the flag --allow. One value can hold several rules, separated by blanks (INKWELL_ALLOW).
type allowValue struct{ rules []access.Rule }

func (v *allowValue) Set(s string) error {
	for _, word := range strings.Fields(s) {
		r, err := access.ParseFlag(word)
		if err != nil {
			return err
		}
		v.rules = append(v.rules, r)
	}
	return nil
}

func (v *allowValue) Type() string { return "FROM=CATEGORY,…" }

func (v *allowValue) String() string {
	texts := make([]string, len(v.rules))
	for i, r := range v.rules {
		texts[i] = r.String()
	}
	return strings.Join(texts, " ")
}

// checkGuard checks the flags that restrict the peers of a collector.
func (l *flagLines) checkGuard() error {
	listen := slices.Concat(l.list("listen"), l.list("http"))
	secure := slices.ContainsFunc(listen, isTLS)
	files := rpc.TLSFiles{Cert: l.text("tls-cert"), Key: l.text("tls-key"), CA: l.text("tls-ca")}
	switch {
	case secure && files.Cert == "":
		return usagef("--listen tls://… and --http tls://… need --tls-cert and --tls-key")
	case !secure && files != rpc.TLSFiles{}:
		return usagef("--tls-cert, --tls-key and --tls-ca are for --listen tls://HOST:PORT or --http " +
			"tls://HOST:PORT, and there is none")
	}
	if err := pair(files); err != nil {
		return err
	}
	for _, addr := range listen {
		if _, err := rpc.ParseAddress(addr); err != nil {
			return usagef("--listen or --http: %w", err)
		}
	}
	for _, name := range []string{"max-categories", "max-connections"} {
		if n, err := l.flags.GetInt(name); err != nil || n < 1 {
			return usagef("--%s must be above 0", name)
		}
	}
	if n, err := l.flags.GetInt("max-entries"); err != nil || n < 0 {
		return usagef("--max-entries must not be below 0")
	}
	if n, err := l.flags.GetInt("level"); err != nil || n < 0 {
		return usagef("--level must not be below 0")
	}
	return nil
}

func isTLS(addr string) bool { return strings.HasPrefix(addr, "tls://") }

// tlsFlags are the TLS flags of a client.
func tlsFlags(flags *pflag.FlagSet, files *rpc.TLSFiles) {
	flags.StringVar(&files.CA, "tls-ca", "",
		"PEM `FILE` with the authorities for tls:// servers (default those of the system)")
	flags.StringVar(&files.Cert, "tls-cert", "",
		"PEM `FILE` with the certificate to show to a tls:// server, reloaded when it changes")
	flags.StringVar(&files.Key, "tls-key", "", "PEM `FILE` with its private key")
	flags.StringVar(&files.ServerName, "tls-server-name", "",
		"`NAME` that the server's certificate must have, instead of the host")
}

// checkTLS refuses TLS files that would not be used: whoever gives them believes that the connection is encrypted.
func checkTLS(to []string, files rpc.TLSFiles) error {
	if files != (rpc.TLSFiles{}) && !slices.ContainsFunc(to, isTLS) {
		return usagef("--tls-… is for tls://HOST:PORT, and no address is one: %s", strings.Join(to, ", "))
	}
	return pair(files)
}

// needTLS is checkTLS for files that flags gave. Files in a configuration may be for other stores.
func needTLS(cmd *cobra.Command, to []string, files rpc.TLSFiles) error {
	for _, name := range []string{"tls-ca", "tls-cert", "tls-key", "tls-server-name"} {
		if cmd.Flags().Changed(name) {
			return checkTLS(to, files)
		}
	}
	return nil
}

func pair(files rpc.TLSFiles) error {
	if (files.Cert == "") != (files.Key == "") {
		return usageError{errors.New("--tls-cert and --tls-key need each other")}
	}
	return nil
}

// credentials reads the TLS files. It returns nil if addr needs none.
func credentials(addr string, files rpc.TLSFiles) (*rpc.Credentials, error) {
	if err := checkTLS([]string{addr}, files); err != nil || !isTLS(addr) {
		return nil, err
	}
	return rpc.OpenTLS(files, nil)
}
