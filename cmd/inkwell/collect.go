package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"inkwell/collector"
	"inkwell/internal/conf"
	"inkwell/internal/stats"
	"inkwell/rotate"
	"inkwell/store"
	"inkwell/store/spool"
)

func (a *app) collect() *cobra.Command {
	o, rules, s := new(collector.Options), new(allowValue), &configured{name: "collect", version: version()}
	cmd := &cobra.Command{
		Use:   "collect (--dir DIR | -c FILE)",
		Short: "take what is sent and write rotated, compressed files per category",
		Long: `collect listens for Scribe clients and forwarders and writes what they send to DIR/CATEGORY/CATEGORY-YYYY-MM-DD_NNNNN.gz.

A call is answered OK when its entries are durable in a journal; from there they go into the files. A file under its final name never
changes; while it is written it is called .NAME.open. SIGTERM stops taking, finishes and publishes what is open, and ends with 0; a
second one ends at once and loses nothing that was answered OK. SIGHUP opens the log file anew.

With -c a configuration says what goes where ('inkwell check --print -- collect FLAGS' shows the one that flags stand for); SIGHUP reads
it again.`,
		Example: `  inkwell collect --dir /srv/logs
  inkwell collect --dir /srv/logs --listen 0.0.0.0:1463 --compress zstd --rotate hourly --max-size 256MiB --keep 30d
  inkwell collect --dir /srv/logs --listen tls://0.0.0.0:1464 --tls-cert web.pem --tls-key web.key --tls-ca ca.pem --allow '*.example.com=*'
  inkwell collect -c /etc/inkwell/collect.conf`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if s.file != "" {
				return a.collectConfigured(cmd, s)
			}
			if err := rules.guard(o); err != nil {
				return err
			}
			return a.runCollect(cmd, o, s.user)
		},
	}
	collectFlags(cmd.Flags(), o)
	guardFlags(cmd.Flags(), o, rules)
	userFlag(cmd.Flags(), &s.user)
	cmd.Flags().StringVarP(&s.file, "config", "c", "", "configuration `FILE`, instead of all other flags")
	return cmd
}

func collectFlags(flags *pflag.FlagSet, o *collector.Options) {
	f := &o.Files
	flags.StringVar(&f.Dir, "dir", "", "`DIR` to write the files to (required)")
	flags.StringSliceVar(&o.Listen, "listen", []string{"127.0.0.1:1463"}, "`HOST:PORT`, tls://HOST:PORT or unix:PATH to listen on; several with commas, or several times")
	flags.StringVar(&f.StateDir, "state", "", "`DIR` of journal and checkpoint (default .inkwell in --dir)")
	flags.Var(conf.Value(&f.Codec, "gzip", "codec", rotate.ParseCodec), "compress", "gzip, zstd or none")
	flags.IntVar(&f.Level, "level", 0, "compression level, 0 = the codec's default")
	flags.Var(conf.Value(&f.Period, "daily", "period", rotate.ParsePeriod), "rotate", "begin new files daily, hourly, never or every 90s, 15m …")
	flags.Var(conf.Value(&f.At, "00:00", "HH:MM", rotate.ParseClock), "rotate-at", "local time at which days begin, and minute at which hours do")
	flags.Var(conf.Value(&f.MaxSize, "1GB", "size", conf.ParseSize), "max-size", "bytes of a file on disk, never passed; 0 = no bound")
	flags.Var(conf.Value(&f.Durability, "sync", "durability", spool.ParseDurability), "durability", "what OK means: sync (on disk), write (survives a killed process), memory")
	flags.Var(conf.Value(&f.Newlines, "never", "word", store.ParseNewlines), "add-newlines", "put a newline behind messages: never, always or if-missing")
	flags.Var(conf.Value(&o.Limits.MaxFrame, "64MiB", "size", parseFrame), "max-frame", "largest call that is accepted; from this machine, and from those that an --allow names, up to 256MiB when this is not given")
	flags.IntVar(&f.MaxCategories, "max-categories", 4096, "categories at once; further ones go to _overflow")
	flags.IntVar(&o.Limits.MaxConnections, "max-connections", 1024, "connections at once")
	flags.BoolVar(&f.KeepOpen, "keep-open", false, "leave open files at the end, to be continued by the next start")
	flags.Var(conf.Value(&f.Keep, "0", "duration", conf.ParseDuration), "keep", "remove finished files older than this (30d); 0 = never")
	flags.Var(conf.Value(&f.KeepBytes, "0", "size", conf.ParseSize), "keep-bytes", "remove the oldest finished files while all take more than this (500GB); 0 = never")
	flags.Var(conf.Value(&f.StreamTTL, "30d", "duration", conf.ParseDuration), "stream-ttl", "forget which entries of a silent sender are there after this")
	flags.BoolVar(&f.DoneMarkers, "done-markers", false, "write _SUCCESS.PERIOD beside the files of a day or hour when they are all there")
	flags.Var(conf.Value(&f.Lateness, "10m", "duration", conf.ParseDuration), "lateness", "how long a done marker waits for senders that have not moved on")
	flags.Var(conf.Value(&f.JournalMax, "32GiB", "size", conf.ParseSize), "journal-max", "bytes that may wait for the files before senders are told to try later")
}

// collectConfigured runs on a configuration, which no flag may contradict.
func (a *app) collectConfigured(cmd *cobra.Command, s *configured) error {
	var extra []string
	cmd.Flags().Visit(func(f *pflag.Flag) { // those that were given on the command line
		if f.Name != "config" && f.Name != "user" && cmd.InheritedFlags().Lookup(f.Name) == nil {
			extra = append(extra, "--"+f.Name)
		}
	})
	if len(extra) > 0 {
		return usagef("%s beside -c: say it in %s (inkwell check --print -- collect FLAGS shows how)", strings.Join(extra, ", "), s.file)
	}
	return a.runConfigured(cmd.Context(), s)
}

// maxFrame is the largest call that the original takes.
const maxFrame = 256 << 20

// parseFrame reads the size of a frame.
func parseFrame(s string) (int, error) {
	n, err := conf.ParseSize(s)
	if err == nil && (n < 1<<10 || n > maxFrame) {
		err = fmt.Errorf("frame size %q: must be between 1KiB and 256MiB", s)
	}
	return int(n), err
}

func (a *app) runCollect(cmd *cobra.Command, o *collector.Options, userName string) error {
	f := &o.Files
	if !cmd.Flags().Changed("max-frame") {
		o.Limits.MaxTrusted = maxFrame
	}
	switch {
	case f.Dir == "":
		return usagef("--dir DIR is missing: where shall the files go?")
	case f.MaxCategories < 1 || o.Limits.MaxConnections < 1 || f.JournalMax < 1:
		return usagef("--max-categories, --max-connections and --journal-max must be above 0")
	}
	if f.DoneMarkers && f.Period.Next(time.Now(), f.At).IsZero() {
		return usagef("--done-markers needs --rotate daily, hourly or another period: with never no file is complete")
	}
	if f.StateDir == "" {
		f.StateDir = filepath.Join(f.Dir, ".inkwell")
	}
	acc, err := a.account(userName)
	if err == nil {
		err = acc.make(f.Dir, f.StateDir)
	}
	if err != nil {
		return err
	}
	log, err := a.log.openFor(a.screen, acc)
	if err != nil {
		return err
	}
	ctx, stop := a.untilSignal(cmd.Context(), log, func() {}) // from before anything is taken
	defer stop()
	o.Version, o.Logger, o.Stats, o.Drop = version(), log, stats.New(), acc.become
	began := time.Now()
	c, err := collector.Open(*o)
	if err != nil {
		return err
	}
	log.Info("recovered", "dir", f.Dir, "state", f.StateDir, "after", time.Since(began).Round(time.Millisecond))
	return a.run(ctx, job{log: log, stats: o.Stats, work: c.Run, read: func() reading {
		s := c.Status()
		return reading{lines: s.Entries, bytes: s.Bytes, backlog: s.Backlog, note: fmt.Sprintf("%d connections, %d categories", s.Connections, s.Categories)}
	}})
}
