package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"inkwell/internal/conf"
	"inkwell/rotate"
	"inkwell/store"
	"inkwell/store/depot"
	"inkwell/store/kafka"
	"inkwell/store/spool"
)

func (a *app) collect() *cobra.Command {
	s := &configured{name: "collect", version: version()}
	cmd := &cobra.Command{
		Use:   "collect (--dir DIR | -c FILE)",
		Short: "receive entries and write rotated, compressed files per category",
		Long: `collect listens for Scribe clients and forwarders and writes what they send to
DIR/CATEGORY/CATEGORY-YYYY-MM-DD_NNNNN.gz.

A call is answered OK when its entries are durable in a journal; from there they are written to
the files. A file under its final name never changes; while it is being written it is called
.NAME.open. At SIGTERM the collector stops accepting calls, finishes and publishes the open files,
and ends with 0; a second one ends it at once and loses nothing that was answered OK. At SIGHUP it
reopens the log file.

The flags stand for a configuration, which 'inkwell check --print -- collect FLAGS' prints. With
-c the configuration is in a file, which SIGHUP reads again. A start with the printed
configuration continues with the journal and the files of the flags.`,
		Example: `  inkwell collect --dir /srv/logs
  inkwell collect --dir /srv/logs --listen 0.0.0.0:1463 --compress zstd --rotate hourly --max-size 256MiB --keep 30d
  inkwell collect --dir /srv/logs --listen tls://0.0.0.0:1464 --tls-cert web.pem --tls-key web.key --tls-ca ca.pem --allow '*.example.com=*'
  inkwell collect -c /etc/inkwell/collect.conf`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if s.file != "" {
				err = onlyConfig(cmd, s.file)
			} else {
				s.text, err = flagText(cmd, nil, collectLines)
			}
			if err != nil {
				return err
			}
			return a.runCollect(cmd.Context(), s)
		},
	}
	collectFlags(cmd.Flags())
	guardFlags(cmd.Flags())
	userFlag(cmd.Flags(), &s.user)
	cmd.Flags().StringVarP(&s.file, "config", "c", "", "configuration `FILE`, instead of all other flags")
	return cmd
}

// collectFlags are the flags about the output files. Their values are checked here and go into the configuration as the
// user wrote them: see collectLines.
func collectFlags(flags *pflag.FlagSet) {
	flags.String("dir", "", "`DIR` to write the files to (required)")
	flags.StringSlice("listen", []string{"127.0.0.1:1463"},
		"`HOST:PORT`, tls://HOST:PORT or unix:PATH to listen on; separate several by commas, or repeat the flag")
	flags.String("state", "", "`DIR` for journal and checkpoint (default .inkwell in --dir)")
	flags.Var(checked("gzip", "codec", rotate.ParseCodec), "compress", "gzip, zstd or none")
	flags.Int("level", 0, "compression level, 0 = the codec's default")
	flags.Var(checked("daily", "period", rotate.ParsePeriod), "rotate",
		"begin new files daily, hourly, never or every 90s, 15m …")
	flags.Var(checked("00:00", "HH:MM", rotate.ParseClock), "rotate-at",
		"local time at which daily files begin, and the minute at which hourly ones do")
	flags.Var(checked("1GB", "size", conf.ParseSize), "max-size",
		"largest size of a file on disk, never exceeded; 0 = no limit")
	flags.Var(checked("sync", "durability", spool.ParseDurability), "durability",
		"what OK means: sync (on disk), write (survives a killed process), memory")
	flags.Var(checked("never", "word", store.ParseNewlines), "add-newlines",
		"add a newline to messages: never, always or if-missing")
	flags.Var(checked("64MiB", "size", parseFrame), "max-frame", "largest call that is accepted")
	flags.Var(checked("256MiB", "size", parseTrusted), "max-trusted-frame",
		"the same for this machine, and for peers that an --allow names")
	flags.Int("max-categories", 4096, "largest number of categories at once; further ones go to _overflow")
	flags.Int("max-connections", 1024, "largest number of connections at once")
	flags.Var(checked("", "address", parsePublish), "publish", "also copy finished files to `ADDRESS`: "+
		"s3://BUCKET/PREFIX?endpoint=URL, hdfs://NAMENODE:PORT/PATH or a directory")
	flags.Var(checked("", "name", parseWho), "who",
		"the name of this collector in the names of published files (default: the host and four digits)")
	flags.Var(checked("0", "size", conf.ParseSize), "away-max",
		"bytes that may wait for --publish before senders are told to try later; 0 = as much as the disk holds")
	flags.Bool("keep-open", false, "leave files open at the end, for the next start to continue")
	flags.Var(checked("0", "duration", conf.ParseDuration), "keep",
		"remove finished files older than this (30d); 0 = never")
	flags.Var(checked("0", "size", conf.ParseSize), "keep-bytes",
		"remove the oldest finished files while all of them take more than this (500GB); 0 = never")
	flags.Var(checked("30d", "duration", conf.ParseDuration), "stream-ttl",
		"forget which entries of a sender are stored when it has been silent for this long")
	flags.Var(checked("flat", "layout", parseLayout), "layout",
		"flat, or hive: finished files in partitions, dt=DAY/hr=HOUR, with a _SUCCESS in those that are complete")
	flags.Bool("done-markers", false, "write _SUCCESS.PERIOD beside the files of a day or hour when they are complete")
	flags.Var(checked("10m", "duration", conf.ParseDuration), "lateness",
		"how long a done marker waits for senders that have sent nothing later")
	flags.Var(checked("", "address", parseTopic), "journal",
		"keep the journal in a topic that several collectors share: `kafka://BROKER,BROKER/TOPIC?OPTIONS`")
	flags.Var(checked("32GiB", "size", conf.ParseSize), "journal-max",
		"bytes that may wait for the files before senders are told to try later")
}

// checked is a flag that keeps its value as text once parse has accepted it.
func checked[T any](text, kind string, parse func(string) (T, error)) pflag.Value {
	return conf.Value(new(T), text, kind, parse)
}

// parseTopic checks the address of a topic.
func parseTopic(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	_, err := kafka.ParseAddress(s)
	return s, err
}

// parseLayout parses the layout of a category's directory.
func parseLayout(s string) (string, error) {
	if s != "flat" && s != "hive" {
		return "", fmt.Errorf("layout %q: must be flat or hive", s)
	}
	return s, nil
}

// parseTrusted parses the largest frame of trusted peers; 0 gives them no more than others.
func parseTrusted(s string) (int, error) {
	n, err := conf.ParseSize(s)
	if err == nil && n > 256<<20 {
		err = fmt.Errorf("frame size %q: must be at most 256MiB", s)
	}
	return int(n), err
}

// parseFrame parses the size of a frame.
func parseFrame(s string) (int, error) {
	n, err := conf.ParseSize(s)
	if err == nil && (n < 1<<10 || n > 256<<20) {
		err = fmt.Errorf("frame size %q: must be between 1KiB and 256MiB", s)
	}
	return int(n), err
}

// parsePublish checks the address of a depot.
func parsePublish(s string) (string, error) {
	if s == "" {
		return s, nil
	}
	_, err := depot.ParseAddress(s)
	return s, err
}

// parseWho checks the name of a writer.
func parseWho(s string) (string, error) {
	if s == "" {
		return s, nil
	}
	return s, depot.ValidWriter(s)
}

// absoluteDepot returns the address of a depot with an absolute path, so that it does not depend on the working
// directory.
func absoluteDepot(address string) (string, error) {
	if depot.IsAddress(address) {
		return address, nil
	}
	return absolute(address)
}

// onlyConfig refuses, beside -c FILE, flags for what the file says.
func onlyConfig(cmd *cobra.Command, file string) error {
	var extra []string
	cmd.Flags().Visit(func(f *pflag.Flag) { // those that were given on the command line
		if f.Name != "config" && f.Name != "user" && cmd.InheritedFlags().Lookup(f.Name) == nil {
			extra = append(extra, "--"+f.Name)
		}
	})
	if len(extra) > 0 {
		return usagef("%s beside -c: say it in %s (inkwell check --print -- collect FLAGS shows how)",
			strings.Join(extra, ", "), file)
	}
	return nil
}

// collectLines writes the configuration that the flags of collect stand for.
func collectLines(l *flagLines) error {
	dir, state := l.text("dir"), l.text("state")
	if dir == "" {
		return usagef("--dir DIR is missing: where shall the files go?")
	}
	dir, err := absolute(dir)
	if err != nil {
		return err
	}
	if state == "" {
		state = filepath.Join(dir, ".inkwell")
	}
	if state, err = absolute(state); err != nil {
		return err
	}
	if err := l.checkGuard(); err != nil {
		return err
	}
	for _, addr := range l.list("listen") {
		l.set("listen", addr)
	}
	l.http()
	l.tls()
	l.set("state", state)
	l.user()
	l.copy("global")
	l.rules()
	l.add("", "<store>", "category=default", "type=file")
	l.set("file_path", dir)
	if l.text("publish") != "" {
		address, err := absoluteDepot(l.text("publish"))
		if err != nil {
			return err
		}
		l.set("publish", address)
	}
	if codec := l.text("compress"); codec == "none" {
		if l.text("publish") == "" {
			l.add("publish=yes")
		}
	} else {
		l.set("compress", codec)
		l.copyOne("file", flagKey{"level", "level"})
	}
	l.rotation()
	l.copy("file")
	l.add("</store>")
	return nil
}

// rotation adds the keys for the rotation: the interval, and the time at which days and hours begin.
func (l *flagLines) rotation() {
	period := l.text("rotate")
	l.set("rotate_period", period)
	if period != "daily" && period != "hourly" {
		return
	}
	at, _ := rotate.ParseClock(l.text("rotate-at")) // which the flag has checked
	l.add(fmt.Sprintf("rotate_hour=%d", at.Hour), fmt.Sprintf("rotate_minute=%d", at.Minute))
}
