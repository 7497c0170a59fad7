package main

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"inkwell/internal/config"
	"inkwell/rotate"
	"inkwell/store"
)

// meaning is a value of a flag of collect, the lines that stand for it, and the options that must result.
type meaning struct {
	flag, value, lines string
	is                 func(c *config.Config, f config.File) bool
}

const mega = 1 << 20

var meanings = []meaning{
	{"dir", "/srv/logs", "file_path=/srv/logs", func(_ *config.Config, f config.File) bool { return f.Dir == "/srv/logs" }},
	{"dir", "/x/logs", "file_path=/x/logs", func(_ *config.Config, f config.File) bool { return f.Dir == "/x/logs" }},
	{"dir", "/x/007", "file_path=/x/007", func(_ *config.Config, f config.File) bool { return f.Dir == "/x/007" }},
	{"dir", "/a b/$c=d%'", "file_path=/a b/$c=d%'", func(_ *config.Config, f config.File) bool { return f.Dir == "/a b/$c=d%'" }},
	{"dir", "/x/ a #1\t", `file_path="/x/ a #1\t"`, func(_ *config.Config, f config.File) bool { return f.Dir == "/x/ a #1\t" }},
	{"dir", `/x/"`, `file_path=/x/"`, func(_ *config.Config, f config.File) bool { return f.Dir == `/x/"` }},
	{"state", "/var/lib/x #", `state="/var/lib/x #"`, func(c *config.Config, _ config.File) bool { return c.State == "/var/lib/x #" }},
	{"listen", "127.0.0.1:7,unix:/a b", "listen=127.0.0.1:7|listen=unix:/a b", func(c *config.Config, _ config.File) bool {
		return slices.Equal(c.Listen, []string{"127.0.0.1:7", "unix:/a b"})
	}},
	{"http", "127.0.0.1:7,unix:/a b", "http=127.0.0.1:7|http=unix:/a b", func(c *config.Config, _ config.File) bool {
		return slices.Equal(c.HTTP, []string{"127.0.0.1:7", "unix:/a b"})
	}},
	{"allow-status", "10.0.0.9,*.example.com", "<allow>|from=10.0.0.9|status=yes|</allow>||<allow>|from=*.example.com|status=yes|</allow>", func(c *config.Config, _ config.File) bool {
		last := c.Allow.List()[len(c.Allow.List())-1]
		return last.Status && last.From == "*.example.com"
	}},
	{"compress", "gzip", "compress=gzip", func(_ *config.Config, f config.File) bool { return f.Compress.Codec == rotate.Gzip }},
	{"compress", "zstd", "compress=zstd", func(_ *config.Config, f config.File) bool { return f.Compress.Codec == rotate.Zstd }},
	{"compress", "none", "publish=yes", func(_ *config.Config, f config.File) bool { return f.Compress.Codec == rotate.None }},
	{"level", "0", "level=0", func(_ *config.Config, f config.File) bool { return f.Compress.Level == 0 }},
	{"level", "7", "level=7", func(_ *config.Config, f config.File) bool { return f.Compress.Level == 7 }},
	{"rotate", "daily", "rotate_period=daily|rotate_hour=0|rotate_minute=0", every("daily")},
	{"rotate", "hourly", "rotate_period=hourly", every("hourly")},
	{"rotate", "never", "rotate_period=never", every("never")},
	{"rotate", "90s", "rotate_period=90s", every("90s")},
	{"rotate", "1h30m", "rotate_period=1h30m", every("1h30m")},
	{"rotate", "2w", "rotate_period=2w", every("2w")},
	{"rotate-at", "08:09", "rotate_hour=8|rotate_minute=9", func(_ *config.Config, f config.File) bool {
		return f.Rotate != "daily" && f.Rotate != "hourly" || f.Compress.At == rotate.Clock{Hour: 8, Minute: 9}
	}},
	{"max-size", "0", "max_size=0", func(_ *config.Config, f config.File) bool { return f.MaxSize == 0 }},
	{"max-size", "0100", "max_size=100", func(_ *config.Config, f config.File) bool { return f.MaxSize == 100 }},
	{"max-size", "1.5MB", "max_size=1.5MB", func(_ *config.Config, f config.File) bool { return f.MaxSize == 1500000 }},
	{"max-size", " 7 MiB ", "max_size=7 MiB", func(_ *config.Config, f config.File) bool { return f.MaxSize == 7*mega }},
	{"durability", "write", "durability=write", func(c *config.Config, _ config.File) bool { return c.Durability == "write" }},
	{"add-newlines", "never", "add_newlines=never", newlines(store.NewlinesNever)},
	{"add-newlines", "always", "add_newlines=always", newlines(store.NewlinesAlways)},
	{"add-newlines", "if-missing", "add_newlines=if-missing", newlines(store.NewlinesIfMissing)},
	{"max-trusted-frame", "8MiB", "max_trusted_frame_size=8MiB", func(c *config.Config, _ config.File) bool { return c.MaxTrusted == 8*mega }},
	{"max-frame", "1MiB", "max_frame_size=1MiB", func(c *config.Config, _ config.File) bool { return c.MaxFrame == mega }},
	{"max-categories", "17", "max_categories=17", func(c *config.Config, _ config.File) bool { return c.MaxCategories == 17 }},
	{"max-connections", "010", "max_conn=8", func(c *config.Config, _ config.File) bool { return c.MaxConnections == 8 }}, // as pflag has it
	{"publish", "/srv/depot", "publish=/srv/depot", func(_ *config.Config, f config.File) bool { return f.Compress.Depot == "/srv/depot" }},
	{"publish", "s3://b/p?region=eu", "publish=s3://b/p?region=eu", func(_ *config.Config, f config.File) bool {
		return f.Compress.Depot == "s3://b/p?region=eu"
	}},
	{"who", "web-1.a", "who=web-1.a", func(_ *config.Config, f config.File) bool { return f.Compress.Who == "web-1.a" }},
	{"away-max", "2TB", "away_max=2TB", func(_ *config.Config, f config.File) bool { return f.Compress.AwayMax == 2e12 }},
	{"keep-open", "true", "keep_open=yes", func(_ *config.Config, f config.File) bool { return f.Compress.KeepOpen }},
	{"keep-open", "false", "keep_open=no", func(_ *config.Config, f config.File) bool { return !f.Compress.KeepOpen }},
	{"keep", "1d12h", "keep=1d12h", func(_ *config.Config, f config.File) bool { return f.Compress.Keep == 36*time.Hour }},
	{"keep-bytes", "500GB", "keep_total=500GB", func(_ *config.Config, f config.File) bool { return f.Compress.KeepTotal == 500e9 }},
	{"stream-ttl", "2h", "stream_ttl=2h", func(c *config.Config, _ config.File) bool { return c.StreamTTL == 2*time.Hour }},
	{"layout", "flat", "layout=flat", func(_ *config.Config, f config.File) bool { return !f.Compress.Hive }},
	{"layout", "hive", "layout=hive", func(_ *config.Config, f config.File) bool { return f.Compress.Hive }},
	{"done-markers", "true", "done_markers=yes", func(_ *config.Config, f config.File) bool { return f.Compress.DoneMarkers }},
	{"lateness", "3m", "lateness=3m", func(_ *config.Config, f config.File) bool { return f.Compress.Lateness == 3*time.Minute }},
	{"journal", "kafka://k/t", "journal=kafka://k/t", func(c *config.Config, _ config.File) bool { return c.Topic.Topic == "t" }},
	{"journal-max", "4MB", "journal_max=4MB", func(c *config.Config, _ config.File) bool { return c.JournalMax == 4e6 }},
	{"max-connections-per-address", "0", "max_conn_per_address=0", func(c *config.Config, _ config.File) bool { return c.MaxPerAddress == 0 }},
	{"max-connections-per-address", "012", "max_conn_per_address=12", func(c *config.Config, _ config.File) bool { return c.MaxPerAddress == 12 }},
	{"max-entries", "9", "max_entries=9", func(c *config.Config, _ config.File) bool { return c.MaxEntries == 9 }},
	{"max-message", "2kB", "max_message_size=2kB", func(c *config.Config, _ config.File) bool { return c.MaxMessage == 2000 }},
	{"max-in-flight", "3MiB", "max_in_flight=3MiB", func(c *config.Config, _ config.File) bool { return c.MaxInFlight == 3*mega }},
	{"idle-timeout", "5s", "idle_timeout=5s", func(c *config.Config, _ config.File) bool { return c.IdleTimeout == 5*time.Second }},
	{"header-timeout", "6s", "header_timeout=6s", func(c *config.Config, _ config.File) bool { return c.HeaderTimeout == 6*time.Second }},
	{"user", "nobody:#x", `user="nobody:#x"`, func(c *config.Config, _ config.File) bool { return c.User == "nobody:#x" }},
	{"allow", "10.0.0.0/8=a#b,c*", `<allow>|from=10.0.0.0/8|categories="a#b c*"|</allow>`, func(c *config.Config, _ config.File) bool {
		return c.Allow.List()[0].Categories == "a#b c*"
	}},
}

func every(text string) func(*config.Config, config.File) bool {
	want, err := rotate.ParsePeriod(text)
	return func(_ *config.Config, f config.File) bool { return err == nil && f.Compress.Period == want }
}

func newlines(want store.Newlines) func(*config.Config, config.File) bool {
	return func(_ *config.Config, f config.File) bool { return f.Form.Newlines == want }
}

// printed is the configuration of a command line: as check prints it, and as that text is read back.
func printed(t *testing.T, args ...string) (string, *config.Config) {
	t.Helper()
	r := inkwell(t, nil, append([]string{"check", "--print", "--"}, args...)...)
	c := config.Load("f", []byte(r.stdout))
	if r.code != exitOK || len(c.Problems) > 0 || c.Status != "" {
		t.Fatalf("%q: code %d, %s%s%v %s", args, r.code, r.stderr, r.stdout, c.Problems, c.Status)
	}
	return r.stdout, c
}

// TestEveryFlagOfCollectIsConfiguration finds each flag in the text with its meaning; TestCheckPrintsFlags has the TLS
// flags.
func TestEveryFlagOfCollectIsConfiguration(t *testing.T) {
	known := []string{"config", "tls-cert", "tls-key", "tls-ca"}
	for _, m := range meanings {
		known = append(known, m.flag)
		args := []string{"collect", "--" + m.flag + "=" + m.value}
		if m.flag != "dir" {
			args = append(args, "--dir=/d")
		}
		if m.flag == "who" || m.flag == "away-max" {
			args = append(args, "--publish=/p")
		}
		if m.flag == "journal" {
			args = append(args, "--publish=/p", "--max-message=1MiB")
		}
		text, c := printed(t, args...)
		if !m.is(c, c.Stores[0].Sink.(config.File)) {
			t.Errorf("--%s=%s comes to something else:\n%s", m.flag, m.value, text)
		}
		if want := "\n" + strings.ReplaceAll(m.lines, "|", "\n") + "\n"; !strings.Contains(text, want) {
			t.Errorf("--%s=%s: want %s in\n%s", m.flag, m.value, want, text)
		}
	}
	(&app{}).collect().Flags().VisitAll(func(f *pflag.Flag) {
		if !slices.Contains(known, f.Name) {
			t.Errorf("no test has --%s", f.Name)
		}
	})
}

// TestFlagsOfCollectTogether takes random values: each means the same as alone, the flags run the same as a file with
// the printed text, and everything that the text omits has its default.
func TestFlagsOfCollectTogether(t *testing.T) {
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 0))
		chosen := map[string]meaning{"dir": meanings[random.IntN(6)]}
		for _, i := range random.Perm(len(meanings)) {
			if m := meanings[i]; random.IntN(2) == 0 && m.flag != "dir" {
				chosen[m.flag] = m
			}
		}
		if chosen["rotate"].value == "never" {
			delete(chosen, "done-markers")
		}
		if chosen["compress"].value == "none" {
			delete(chosen, "level") // which is nothing there
			delete(chosen, "layout")
		}
		if chosen["rotate"].value == "never" {
			delete(chosen, "layout")
		}
		if chosen["layout"].value == "hive" {
			delete(chosen, "rotate-at")
		}
		if chosen["done-markers"].value == "true" || chosen["publish"].value == "" || chosen["max-message"].value == "" {
			delete(chosen, "journal") // which cannot be
		}
		if chosen["publish"].value == "" { // without which they are nothing
			delete(chosen, "who")
			delete(chosen, "away-max")
		}
		args := []string{"collect"}
		for flag, m := range chosen {
			args = append(args, "--"+flag+"="+m.value)
		}
		text, c := printed(t, args...)
		for _, m := range chosen {
			if !m.is(c, c.Stores[0].Sink.(config.File)) {
				t.Fatalf("seed %d: --%s=%q comes to something else:\n%s", seed, m.flag, m.value, text)
			}
		}
		cmd := (&app{}).collect()
		if err := cmd.ParseFlags(args[1:]); err != nil {
			t.Fatal(err)
		}
		runs, err := flagText(cmd, nil, collectLines)
		if err != nil || runs != text {
			t.Fatalf("%q, %v runs\n%s\nand prints\n%s", args, err, runs, text)
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			f.Changed = f.Changed || slices.ContainsFunc(slices.Concat(keysOf["global"], keysOf["file"]), func(k flagKey) bool { return k.flag == f.Name })
		})
		long, err := flagText(cmd, nil, collectLines)
		if err != nil {
			t.Fatal(err)
		}
		whole := config.Load("f", []byte(long))
		c.File, whole.File = nil, nil
		c.Stores[0].Line, whole.Stores[0].Line = 0, 0
		if !reflect.DeepEqual(whole, c) {
			t.Fatalf("with every line it is\n%s\nand without those that are left out something else:\n%s", long, text)
		}
	}
}

// TestFlagsThatAreNoConfiguration are refused by the command and by check with the same message.
func TestFlagsThatAreNoConfiguration(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"collect", "--dir", "/a\nb"}, "the end of a line cannot stand in a name"},
		{[]string{"collect", "--dir", "/d", "--state", "/a\rb"}, "the end of a line"},
		{[]string{"collect", "--dir", "/d", "--level", "10"}, "level=10 is more than 9"},
		{[]string{"collect", "--dir", "/d", "--level", "-1"}, "--level must not be below 0"},
		{[]string{"collect", "--dir", "/d", "--max-connections", "0"}, "--max-connections must be above 0"},
		{[]string{"collect", "--dir", "/d", "--max-categories", "-1"}, "--max-categories must be above 0"},
		{[]string{"collect", "--dir", "/d", "--journal-max", "1000"}, "less than 1MiB"},
		{[]string{"collect", "--dir", "/d", "--stream-ttl", "1s"}, "less than a minute"},
		{[]string{"collect", "--dir", "/d", "--done-markers", "--rotate", "never"}, "done_markers=yes has no effect with rotate_period=never"},
	} {
		r := inkwell(t, nil, c.args...)
		if r.code != exitUsage || !strings.Contains(r.stderr, c.want) {
			t.Errorf("%q: code %d, %s; want %s", c.args, r.code, r.stderr, c.want)
		}
		r = inkwell(t, nil, append([]string{"check", "--print", "--"}, c.args...)...)
		if r.code != exitUsage || !strings.Contains(r.stderr, c.want) || r.stdout != "" {
			t.Errorf("check --print -- %q: code %d, %s; want %s", c.args, r.code, r.stderr, c.want)
		}
	}
}

// TestEveryFlagOfSendersIsConfiguration finds each flag of forward and pipe in the text, which has no problems.
func TestEveryFlagOfSendersIsConfiguration(t *testing.T) {
	forward, pipe := []string{"forward", "--to", "h:1", "--state", "/s", "a=/x"}, []string{"pipe", "--to", "h:1", "--spool", "/s", "a"}
	known := map[string][]string{"forward": {"config", "to", "state"}, "pipe": {"config", "to", "spool"}}
	for _, c := range []struct {
		base               []string
		flag, value, lines string
		secure             bool // it is for addresses with tls://
	}{
		{forward, "spool-max", "0", "spool_max=0", false},
		{forward, "from", "end", "from_end=yes", false},
		{forward, "max-line", "1MiB", "max_line=1MiB", false},
		{forward, "user", "nobody", "user=nobody", false},
		{forward, "host", "web 1 #", `host="web 1 #"`, false},
		{forward, "prefix", "{host} {path} ", `prefix="{host} {path} "`, false},
		{pipe, "host", "web1", "host=web1", false},
		{pipe, "prefix", "{host} ", `prefix="{host} "`, false},
		{forward, "http", "127.0.0.1:9", "http=127.0.0.1:9", false},
		{forward, "allow-status", "10.0.0.9", "<allow>|from=10.0.0.9|status=yes|</allow>", false},
		{forward, "exclude", "*.gz #", `exclude="*.gz #"`, false},
		{forward, "encoding", "utf-16le", "encoding=utf-16le", false},
		{forward, "format", "cri", "format=cri", false},
		{append(slices.Clone(forward), "--format", "cri"), "stamp", "true", "stamp=yes", false},
		{forward, "multiline-start", "^# [0-9]+$", `multiline_start="^# [0-9]+$"`, false},
		{forward, "multiline-lines", "010", "multiline_lines=10", false},
		{forward, "multiline-wait", "1m", "multiline_wait=1m", false},
		{forward, "max-categories", "9", "max_categories=9", false},
		{forward, "journal", "unit=a.service unit=b-* category=x.#{unit} format=message", "<journal>|unit=a.service|unit=b-*|category=\"x.#{unit}\"|format=message|</journal>", false},
		{forward, "journal", "all", "<journal>|</journal>", false},
		{forward, "syslog", "udp://127.0.0.1:514 unix:/s# category={app} format=raw", "<syslog>|listen=udp://127.0.0.1:514|listen=\"unix:/s#\"|category={app}|format=raw|</syslog>", false},
		{forward, "once", "true", "# --once true: stays a flag", false},
		{forward, "wait", "5s", "# --wait 5s: stays a flag", false},
		{forward, "tls-ca", "/a #", `tls_ca="/a #"`, true},
		{forward, "tls-server-name", "n", "tls_server_name=n", true},
		{pipe, "spool-max", "1.5GB", "spool_max=1.5GB", false},
		{pipe, "when-full", "drop", "when_full=drop", false},
		{pipe, "drain-timeout", "0s", "drain_timeout=0s", false},
		{pipe, "echo", "true", "# --echo true: stays a flag", false},
		{pipe, "tls-ca", "ca", "tls_ca=ca", true},
		{pipe, "tls-server-name", "n", "tls_server_name=n", true},
	} {
		known[c.base[0]] = append(known[c.base[0]], c.flag)
		args := append([]string{c.base[0], "--" + c.flag + "=" + c.value}, c.base[1:]...)
		if c.secure {
			args = append(args[:2:2], append([]string{"--to", "tls://i:2"}, args[2:]...)...)
		}
		if text, _ := printed(t, args...); !strings.Contains(text, "\n"+strings.ReplaceAll(c.lines, "|", "\n")+"\n") {
			t.Errorf("%q: want %s in\n%s", args, c.lines, text)
		}
		if text, _ := printed(t, c.base...); strings.Contains(text, c.lines) {
			t.Errorf("%q: %s stands in\n%s", c.base, c.lines, text)
		}
	}
	text, c := printed(t, "forward", "--to", "h:1", "--state", "/s", "--journal", "all", "--from", "end")
	if len(c.Journals) != 1 || !c.Journals[0].FromEnd || c.Stores[0].Sink.(config.Buffer).SpoolDir != "/s/spool" {
		t.Errorf("%+v of\n%s", c.Journals, text)
	}
	text, _ = printed(t, "forward", "--to", "tls://h:1", "--tls-cert", "c", "--tls-key", "k", "--state", "/ s #", "a b#=/var/log/a b #[0-9].log")
	for _, line := range []string{`state="/ s #"`, `category="a b#"`, `path="/var/log/a b #[0-9].log"`, `spool_dir="/ s #/spool"`, "tls_cert=c", "tls_key=k"} {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("want %s in\n%s", line, text)
		}
	}
	// The file means the same in whatever directory the program is started.
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for args, lines := range map[string][]string{
		"forward --to h:1 --state s a=logs/*.log": {"state={HERE}/s", "path={HERE}/logs/*.log", "spool_dir={HERE}/s/spool"},
		"pipe --to h:1 --spool s a":               {"spool_dir={HERE}/s"},
		"collect --dir out --state s":             {"state={HERE}/s", "file_path={HERE}/out"},
	} {
		text, _ := printed(t, strings.Fields(args)...)
		for _, line := range lines {
			if line = strings.Replace(line, "{HERE}", here, 1); !strings.Contains(text, "\n"+line+"\n") {
				t.Errorf("%s: want %s in\n%s", args, line, text)
			}
		}
	}
	for _, cmd := range []*cobra.Command{(&app{}).forward(), (&app{}).pipe()} {
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if !slices.Contains(append(known[cmd.Name()], "tls-cert", "tls-key"), f.Name) {
				t.Errorf("no test has --%s of %s", f.Name, cmd.Name())
			}
		})
	}
}

// TestAddressesOfSenders have the same meaning in the text and on the command line.
func TestAddressesOfSenders(t *testing.T) {
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for to, want := range map[string][]string{
		"h:1463":               {"h:1463"},
		"h:01463,tls://i:9":    {"h:1463", "tls://i:9"},
		"[::1]:1463":           {"[::1]:1463"},
		"tls://[fe80::1]:1463": {"tls://[fe80::1]:1463"},
		"unix:/run/s":          {"unix:/run/s"},
		"unix:s":               {"unix:" + here + "/s"},
	} {
		_, c := printed(t, "pipe", "--to", to, "a")
		if got := c.Stores[0].Sink.(config.Network); !slices.Equal(got.Addrs, want) || got.Shuffle || got.Timeout != 30*time.Second {
			t.Errorf("--to %s is %+v, want %q", to, got, want)
		}
	}
	if r := inkwell(t, nil, "pipe", "--to", "unix:/a b", "a"); r.code != exitUsage || !strings.Contains(r.stderr, "a blank cannot stand in an address") {
		t.Errorf("%+v", r)
	}
}

// TestStateOf checks where a collector looks for its journal.
func TestStateOf(t *testing.T) {
	top := "inkwell 1\nlisten=h:7\n"
	files := "<store>\ncategory=default\ntype=file\nfile_path=/srv/logs\n</store>\n"
	for _, c := range []struct {
		text, env string
		want      stateDir
	}{
		{top + "state=/s\n" + files, "", stateDir{"", "/s"}},
		{top + "state=/s\n" + files, "/e", stateDir{"", "/s"}},
		{top + "state=/srv/logs/.inkwell\n" + files, "", stateDir{"/srv/logs", "/srv/logs/.inkwell"}},
		{top + "state=/srv/logs\n" + files, "", stateDir{"/srv/logs", "/srv/logs"}},
		{top + "state=/srv/logs2\n" + files, "", stateDir{"", "/srv/logs2"}},
		{top + "state_dir=/s\n" + files, "", stateDir{"/s", "/s/collect-7"}},
		{top + "state_dir=/s\n" + files, "/e", stateDir{"/e", "/e/collect-7"}},
	} {
		s := &configured{name: "collect"}
		lookup := func(string) (string, bool) { return c.env, c.env != "" }
		loaded := config.Load("f", []byte(c.text))
		got, err := s.stateOf(loaded, listened(loaded), lookup)
		if err != nil || got != c.want {
			t.Errorf("%s with %q: %+v, %v; want %+v", c.text, c.env, got, err, c.want)
		}
	}
}

// TestDirectoryIsTheSameFromEverywhere prints a configuration for a relative --dir, which must work from another
// directory.
func TestDirectoryIsTheSameFromEverywhere(t *testing.T) {
	at, err := filepath.Abs("logs")
	if err != nil {
		t.Fatal(err)
	}
	text, _ := printed(t, "collect", "--dir=logs")
	for _, want := range []string{"\nstate=" + at + "/.inkwell\n", "\nfile_path=" + at + "\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("want %q in\n%s", want, text)
		}
	}
}
