package config

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"inkwell/internal/conf"
	"inkwell/rotate"
	"inkwell/store"
	"inkwell/store/series"
)

var fileOptions = []option{
	{key: "file_path", kind: text, value: "/tmp",
		meaning: "Directory of the files, made if it is missing. Where each category has files of its own, " +
			"`/CATEGORY` is put behind it."},
	{key: "base_filename", kind: text,
		meaning: "What the names begin with; without it, and always where each category has files of its own, the " +
			"category."},
	{key: "sub_directory", kind: text,
		meaning: "Put behind the directory, also behind that of a category; several levels with `/`."},
	{key: "use_hostname_sub_directory", kind: exactly, value: "no",
		meaning: "`yes`: the name of the host is the `sub_directory`."},
	{key: "base_symlink_name", kind: text,
		meaning: "What the name of the `_current` link begins with, in place of the base of the files."},
	{key: "create_symlink", kind: exactly, value: "yes",
		meaning: "Keep a link `BASE_current` to the file that is written. Anything but `yes` is no."},
	{key: "rotate_period", kind: text, value: "never",
		meaning: "When the next file is begun: `hourly`, `daily`, `never`, or a number with `w`, `d`, `h`, `m` or " +
			"`s`. `max_size` holds beside it."},
	{key: "rotate_hour", kind: count, value: "1",
		meaning: "With `daily`: the hour at which the next file is begun, 0 to 23."},
	{key: "rotate_minute", kind: count, value: "15",
		meaning: "With `daily` and `hourly`: the minute at which the next file is begun, 0 to 59."},
	{key: "max_size", kind: octets, value: "1000000000",
		meaning: "The next file is begun when one has more bytes than this, 0 = no limit. With `compress` a file on " +
			"disk never has more."},
	{key: "max_write_size", kind: octets, value: "1000000",
		meaning: "Bytes that are gathered for one write; never more than `max_size`."},
	{key: "chunk_size", kind: octets, value: "0",
		meaning: "Zero bytes are put between messages so that none crosses a multiple of this in the file, 0 = never."},
	{key: "add_newlines", kind: newlines, value: "0", newer: "never",
		meaning: "`1` or `always`: a newline is put behind every message. `if-missing`: only behind those that do " +
			"not end in one. A number otherwise: `yes` is read as 0, as it always was."},
	{key: "write_category", kind: exactly, value: "no",
		meaning: "`yes`: a line with its category stands before every message."},
	{key: "write_meta", kind: exactly, value: "no",
		meaning: "`yes`: a file ends with `scribe_meta<new_logfile>: ` and the path of the next."},
	{key: "write_stats", kind: exactly, value: "no",
		meaning: "`yes`: a line about every file that is finished is appended to `scribe_stats` in its directory."},
	{key: "rotate_on_reopen", kind: exactly, value: "no",
		meaning: "`yes`: a start begins a new file instead of going on with the newest."},
	{key: "fs_type", kind: text, value: "std",
		meaning: "`std`, the local file system. With any other, as `hdfs`, which is not supported, the files of the " +
			"store cannot be opened: its messages wait."},
	{key: "compress", kind: text, value: "none", ours: true,
		meaning: "`gzip` or `zstd`: finished files are compressed ones that never change, and `.NAME.open` is the " +
			"one being written (see files.md)."},
	{key: "publish", kind: text, value: "no", ours: true,
		meaning: "`yes`: the same without compression: `.NAME.open` is the file being written, and finished ones " +
			"never change. What follows *with `compress`* holds for it, too, but for `level`. " +
			"An address, `s3://BUCKET/PREFIX?endpoint=URL&region=REGION`, `hdfs://NAMENODE:PORT/PATH` or " +
			"`/a/directory`: finished files are brought there as well (see scale-out.md); those here stay " +
			"for as long as `keep` says, and until they are there."},
	{key: "who", kind: text, ours: true,
		meaning: "With an address in `publish`: the name of this collector in the names of files there, letters, " +
			"digits, dots and hyphens; without it the name of the host and four digits that are drawn once."},
	{key: "away_max", kind: size, value: "0", ours: true,
		meaning: "With an address in `publish`: bytes of finished files that may wait for it before every call is " +
			"answered TRY_LATER, 0 = what the disk holds."},
	{key: "level", kind: count, value: "0", ours: true,
		meaning: "With `compress`: how hard to try, 1 to 9 for gzip and 1 to 22 for zstd, 0 = the codec's default."},
	{key: "seek_table", kind: exactly, value: "no", ours: true,
		meaning: "With `compress=zstd`: `yes`: a file ends with a seek table in a skippable frame, for tools that " +
			"begin in the middle. Trino cannot read such a file."},
	{key: "keep", kind: duration, value: "0", ours: true,
		meaning: "With `compress`: finished files that are older are removed, 0 = never."},
	{key: "keep_bytes", kind: size, value: "0", ours: true,
		meaning: "With `compress`: the oldest finished files are removed while those of their category take more " +
			"together, 0 = never."},
	{key: "keep_total", kind: size, value: "0", ours: true,
		meaning: "With `compress`: the oldest finished files of all categories are removed while they take more " +
			"together, 0 = never."},
	{key: "keep_open", kind: exactly, value: "no", ours: true,
		meaning: "With `compress`: `yes`: the end of the server leaves the files being written open, and its next " +
			"start goes on with them. `no`: it finishes them."},
	{key: "layout", kind: text, value: "flat", ours: true,
		meaning: "With `compress` and a `rotate_period`: `hive`: finished files are in partitions, `dt=2026-11-29` " +
			"or, with a period shorter than a day, `dt=2026-11-29/hr=04`, " +
			"in the directory of the category, and a partition that is complete has a `_SUCCESS`. Days begin at " +
			"00:00 and hours at their first minute then."},
	{key: "done_markers", kind: exactly, value: "no", ours: true,
		meaning: "With `compress` and a `rotate_period`: `yes`: `_SUCCESS.PERIOD` beside the files tells when those " +
			"of a day or an hour are all there (see files.md). `layout=hive` makes them always."},
	{key: "lateness", kind: duration, value: "10m", ours: true,
		meaning: "With `done_markers`: how long a marker waits for senders that have not moved on."},
}

// publishedKeys are the keys that only make sense where finished files do not change.
var publishedKeys = []string{"keep", "keep_bytes", "keep_total", "keep_open", "layout", "done_markers", "lateness"}

const fileIntro = "Files in directories: `DIR/BASE_NNNNN`, or `DIR/BASE-YYYY-MM-DD_NNNNN` if they are rotated by the " +
	"clock. Where each category has files of its own that is " +
	"`DIR/CATEGORY/CATEGORY_NNNNN`. What is in them is the messages and nothing else, byte for byte, unless an " +
	"option below puts something between them."

const multifileIntro = "A `category` store with a `file` model whose options stand in the block itself. Its files " +
	"are `DIR/CATEGORY/CATEGORY_NNNNN` with " +
	"`new_thread_per_category=no`; otherwise the category stands twice in the path. Options are inherited as " +
	"`multifile::KEY`."

var thriftfileOptions = append(without(fileOptions,
	append([]string{"add_newlines", "write_category", "write_meta", "compress", "publish", "who", "away_max", "level",
		"seek_table"}, publishedKeys...)...),
	option{key: "flush_frequency_ms", kind: count, value: "0",
		meaning: "Has no effect: what a call brought is written at once."},
	option{key: "msg_buffer_size", kind: octets, value: "0", meaning: "Has no effect."},
	option{key: "use_simple_file", kind: oneOrZero, value: "0",
		meaning: "`1`: the messages stand in the file without lengths and padding. A number: `yes` is read as 0."},
)

const thriftfileIntro = "Files named and rotated as those of `file`, with the events of Thrift's TFileTransport in " +
	"them: four bytes of length, the lowest first, and the message. " +
	"Every start begins a new file. `chunk_size=0` is 16 MiB, that of Thrift."

const thriftmultifileIntro = "A `category` store with a `thriftfile` model whose options stand in the block itself. " +
	"Options are inherited as `thriftmultifile::KEY`."

// plainFile reads a block of the types file, thriftfile, multifile and thriftmultifile.
func (l *loader) plainFile(b *conf.Block, kind string, p position) (Sink, error) {
	o := l.block(b, kind)
	f := File{PlainOptions: series.PlainOptions{
		Dir: o.text("file_path"), Sub: o.text("sub_directory"), Base: o.text("base_filename"),
		Symlink:   o.text("base_symlink_name"),
		NoSymlink: !o.yes("create_symlink"), Thrift: strings.HasPrefix(kind, "thrift"),
		MaxSize: o.bytes("max_size"), MaxWrite: o.bytes("max_write_size"), Chunk: o.bytes("chunk_size"),
		WriteStats: o.yes("write_stats"), Single: p.single, RotateOnReopen: o.yes("rotate_on_reopen"),
	}}
	if fs, v := o.value("fs_type"); v.Text != "std" {
		status := "file open error"
		if v.Text == "hdfs" {
			status = "File open error"
		}
		return nil, &refusal{status: status, line: v.Line,
			cure: fmt.Sprintf("%s=%s is not supported: write to a local directory and copy finished files from there",
				fs.key, conf.Quote(v.Text))}
	}
	if f.MaxSize > 0 {
		f.MaxWrite = min(f.MaxWrite, f.MaxSize)
	}
	f.Dir = cmp.Or(f.Dir, ".")
	l.names(o, &f, p)
	if f.Thrift {
		l.period(o, &f)
		if o.yes("use_simple_file") {
			f.Simple, f.Chunk = true, 0
		}
		return l.secondary(o, f, p)
	}
	f.Form.Newlines, f.WriteCategory, f.WriteMeta = o.newlines("add_newlines"), o.yes("write_category"), o.yes(
		"write_meta")
	if v, _ := o.Get("add_newlines"); f.Form.Newlines == store.NewlinesAlways && v.Line > 0 && v.Text != "always" {
		l.warn(v.Line, fmt.Sprintf("add_newlines=%s puts a newline also behind messages that end with one, as those "+
			"of scribe_pipe and of an inkwell forward or pipe do: an empty line behind each",
			conf.Quote(v.Text)), "write add_newlines=if-missing, or always if that is meant")
	}
	if !p.readable {
		l.compress(o, &f)
	}
	l.period(o, &f)
	if f.Compress != nil {
		l.layout(o, &f)
		l.markers(o, f.Compress)
	}
	return l.secondary(o, f, p)
}

// layout reads whether finished files go to partitions, which are days and hours of the calendar.
func (l *loader) layout(o block, f *File) {
	c := f.Compress
	if o.choice("layout", "flat", "hive") != "hive" {
		return
	}
	v, _ := o.Get("layout")
	switch {
	case c.Codec == rotate.None:
		l.fail(v.Line, "layout=hive is for compressed files only", "add compress=gzip or compress=zstd, or remove it")
		return
	case c.Period.Next(time.Now(), c.At).IsZero():
		l.fail(v.Line,
			"layout=hive has no effect with rotate_period=never: files without a date belong to no partition",
			"write rotate_period=daily, hourly or another period")
		return
	}
	c.Hive, c.At = true, rotate.Clock{}
	f.RotateHour, f.RotateMinute = 0, 0
	for _, key := range []string{"rotate_hour", "rotate_minute"} {
		if v, ok := o.Get(key); ok && o.count(key) != 0 {
			l.fail(v.Line, fmt.Sprintf(
				"%s=%s cannot be had with layout=hive: a partition is a day from 00:00 on, or a full hour", key,
				conf.Quote(v.Text)), "remove one of them")
		}
	}
}

// markers reads whether done markers are written, and when: they say that all files of a period are complete.
func (l *loader) markers(o block, c *Compress) {
	c.DoneMarkers, c.Lateness = o.yes("done_markers") || c.Hive, o.duration("lateness")
	if v, _ := o.Get("done_markers"); c.DoneMarkers && c.Period.Next(time.Now(), c.At).IsZero() {
		l.fail(v.Line, "done_markers=yes has no effect with rotate_period=never: no file is complete then",
			"write rotate_period=daily, hourly or another period")
		c.DoneMarkers = false
	}
}

// names reads the names of f's files and the directory for them.
func (l *loader) names(o block, f *File, p position) {
	if f.Base == "" {
		f.Base = p.handled
		if p.shared && strings.ContainsAny(p.handled, " \t") {
			l.warn(o.Line, fmt.Sprintf("the files of these categories are called %s", conf.Quote(f.Base)),
				"add a line base_filename=NAME")
		}
	}
	if unsafe(f.Base) && !p.model {
		l.warn(o.Line, fmt.Sprintf("base_filename %s is no name of a file: _unsafe is used", conf.Quote(f.Base)),
			"put directories into file_path or sub_directory")
		f.Base = "_unsafe"
	}
	if !o.yes("use_hostname_sub_directory") {
		return
	}
	host, err := os.Hostname()
	if err != nil {
		l.warn(o.Line, fmt.Sprintf("use_hostname_sub_directory=yes: the name of the host is not known: %v", err),
			"use sub_directory=NAME")
		return
	}
	if f.Sub != "" {
		l.warn(o.Line, fmt.Sprintf("sub_directory=%s is not used, because of use_hostname_sub_directory=yes",
			conf.Quote(f.Sub)), "remove one of them")
	}
	f.Sub = host
}

// period reads when f is rotated.
func (l *loader) period(o block, f *File) {
	option, v := o.value("rotate_period")
	var err error
	if f.Compress != nil {
		text := v.Text
		if strings.Trim(text, "0123456789") == "" {
			text += "s"
		}
		f.Compress.Period, err = rotate.ParsePeriod(text)
	} else {
		f.Period, err = series.ParsePeriod(v.Text)
	}
	if err != nil {
		l.warn(v.Line, fmt.Sprintf("rotate_period=%s is not understood: never is used", conf.Quote(v.Text)),
			"write hourly, daily, never, or a number with w, d, h, m or s, as in 15m")
		v.Text = option.value
	}
	if err != nil && f.Compress != nil {
		f.Compress.Period, _ = rotate.ParsePeriod(v.Text)
	}
	if err != nil || f.Compress != nil {
		f.Period, _ = series.ParsePeriod(option.value)
	}
	f.Rotate = v.Text
	clock := func(key string, most uint64) int {
		n := o.count(key)
		if v, ok := o.Get(key); ok && n > most {
			return int(o.fallback(key, v, fmt.Sprintf("never comes, the last one is %d", most)))
		}
		return int(n)
	}
	f.RotateHour, f.RotateMinute = clock("rotate_hour", 23), clock("rotate_minute", 59)
	if f.Compress != nil {
		f.Compress.At = rotate.Clock{Hour: f.RotateHour, Minute: f.RotateMinute}
	}
}

// compress reads the options for compressed files.
func (l *loader) compress(o block, f *File) {
	codec, _ := rotate.ParseCodec(o.choice("compress", "gzip", "zstd", "none"))
	published, address := l.publish(o)
	c := Compress{Depot: address, Codec: codec, Keep: o.duration("keep"), KeepBytes: o.bytes("keep_bytes"),
		KeepTotal: o.bytes("keep_total"), KeepOpen: o.yes("keep_open")}
	publish := published || codec != rotate.None
	if codec == rotate.None {
		idle := []string{"level", "seek_table"}
		if !publish {
			idle = append(idle, publishedKeys...)
		}
		for _, key := range idle {
			if v, ok := o.Get(key); ok {
				l.warn(v.Line, fmt.Sprintf("%s has no effect without compress", key),
					"add compress=gzip or compress=zstd, or remove it")
			}
		}
	}
	if !publish {
		return
	}
	if codec != rotate.None {
		c.Seek = l.seek(o, codec)
		c.Level = l.level(o, map[rotate.Codec]uint64{rotate.Gzip: 9, rotate.Zstd: 22}[codec])
	}
	for _, key := range []string{"chunk_size", "write_meta", "write_stats", "create_symlink", "base_symlink_name"} {
		if v, ok := o.Get(key); ok {
			l.warn(v.Line, fmt.Sprintf("%s has no effect with compress or publish", key), "remove one of them")
		}
	}
	f.Compress = &c
	l.depotOptions(o, f)
}

// seek reads whether zstd files end with a seek table.
func (l *loader) seek(o block, codec rotate.Codec) bool {
	yes := o.yes("seek_table")
	if v, _ := o.Get("seek_table"); yes && codec != rotate.Zstd {
		l.warn(v.Line, "seek_table has no effect without compress=zstd", "remove it")
	}
	return yes && codec == rotate.Zstd
}

// level reads the level of compression.
func (l *loader) level(o block, most uint64) int {
	level := o.count("level")
	if v, ok := o.Get("level"); ok && level > most {
		level = uint64(o.fallback("level", v, fmt.Sprintf("is more than %d", most)))
	}
	return int(level)
}

// secondary turns f into files that a buffer can read back, in the format of the original: without padding, without
// rotation by the clock and without links, and with the category of each message if there are several.
func (l *loader) secondary(o block, f File, p position) (Sink, error) {
	if !p.readable {
		return f, nil
	}
	if f.Thrift {
		return nil, refuse(o.Block, "Bad config - buffer secondary store cannot be read back",
			"write type=file, or replay_buffer=no")
	}
	for _, key := range []string{"add_newlines", "compress", "publish"} {
		if v, ok := o.Literal(key); ok && !slices.Contains([]string{"0", "never", "none", "no"}, v.Text) {
			l.warn(v.Line, key+" has no effect in the secondary of a buffer, which keeps messages as they came",
				"put it where they are written in the end")
		}
	}
	f.Form.Newlines, f.Chunk, f.NoSymlink, f.WriteCategory = store.NewlinesNever, 0, true, f.WriteCategory || p.shared
	f.Rotate = "never"
	f.Period, _ = series.ParsePeriod(f.Rotate)
	return f, nil
}
