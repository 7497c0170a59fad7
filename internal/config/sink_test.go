package config

import (
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"inkwell/forwarder/lines"
	"inkwell/rotate"
	"inkwell/store"
	"inkwell/store/series"
)

// sinks loads a file without problems and returns its stores.
func sinks(t *testing.T, text string) []*Store {
	t.Helper()
	c, problems := load(text)
	if len(problems) > 0 || c.Status != "" {
		t.Fatalf("%s\nproblems %q, status %q", text, problems, c.Status)
	}
	return c.Stores
}

func period(t *testing.T, text string) series.Period {
	t.Helper()
	p, err := series.ParsePeriod(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// standard is a file store without options.
func standard(t *testing.T) File {
	return File{PlainOptions: series.PlainOptions{Dir: "/tmp", Base: "a", Period: period(t, "never"), RotateHour: 1, RotateMinute: 15, MaxSize: 1_000_000_000, MaxWrite: 1_000_000}, Rotate: "never"}
}

func TestFile(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		lines string
		want  func(f *File)
	}{
		{"", func(*File) {}},
		{"file_path=/x/y\nbase_filename=b", func(f *File) { f.Dir, f.Base = "/x/y", "b" }},
		{"sub_directory=a/b\nbase_symlink_name=l", func(f *File) { f.Sub, f.Symlink = "a/b", "l" }},
		{"use_hostname_sub_directory=yes", func(f *File) { f.Sub = host }},
		{"create_symlink=no", func(f *File) { f.NoSymlink = true }},
		{"rotate_period=daily\nrotate_hour=0\nrotate_minute=5", func(f *File) { f.Rotate, f.Period, f.RotateHour, f.RotateMinute = "daily", period(t, "daily"), 0, 5 }},
		{"rotate_period=hourly", func(f *File) { f.Rotate, f.Period = "hourly", period(t, "hourly") }},
		{"rotate_period=90", func(f *File) { f.Rotate, f.Period = "90", period(t, "90s") }},
		{"max_size=50", func(f *File) { f.MaxSize, f.MaxWrite = 50, 50 }},
		{"max_size=0x400\nmax_write_size=100", func(f *File) { f.MaxSize, f.MaxWrite = 1024, 100 }},
		{"max_size=0", func(f *File) { f.MaxSize = 0 }},
		{"chunk_size=1024\nadd_newlines=always\nwrite_category=yes", func(f *File) { f.Chunk, f.Form.Newlines, f.WriteCategory = 1024, store.NewlinesAlways, true }},
		{"write_meta=yes\nwrite_stats=yes\nrotate_on_reopen=yes\nfs_type=std", func(f *File) { f.WriteMeta, f.WriteStats, f.RotateOnReopen = true, true, true }},
		{"compress=gzip\nlevel=6\nrotate_period=daily\nkeep=30d\nkeep_bytes=1GB", func(f *File) {
			f.Rotate = "daily"
			daily, _ := rotate.ParsePeriod("daily")
			f.Compress = &Compress{Codec: rotate.Gzip, Level: 6, Period: daily, At: rotate.Clock{Hour: 1, Minute: 15}, Keep: 30 * 24 * time.Hour, KeepBytes: 1e9, Lateness: 10 * time.Minute}
		}},
		{"publish=yes\nrotate_period=daily\nkeep_total=1GB\nkeep_open=yes\ndone_markers=yes\nlateness=1h\nadd_newlines=if-missing", func(f *File) {
			f.Rotate, f.Form.Newlines = "daily", store.NewlinesIfMissing
			daily, _ := rotate.ParsePeriod("daily")
			f.Compress = &Compress{Codec: rotate.None, Period: daily, At: rotate.Clock{Hour: 1, Minute: 15}, KeepTotal: 1e9, KeepOpen: true, DoneMarkers: true, Lateness: time.Hour}
		}},
		{"publish=s3://b/p?region=eu\ncompress=gzip\nrotate_period=daily\nwho=web1\naway_max=1TB", func(f *File) {
			f.Rotate = "daily"
			daily, _ := rotate.ParsePeriod("daily")
			f.Compress = &Compress{Codec: rotate.Gzip, Period: daily, At: rotate.Clock{Hour: 1, Minute: 15}, Lateness: 10 * time.Minute, Depot: "s3://b/p?region=eu", Who: "web1", AwayMax: 1e12}
		}},
		{"publish=/srv/depot\nrotate_period=daily", func(f *File) {
			f.Rotate = "daily"
			daily, _ := rotate.ParsePeriod("daily")
			f.Compress = &Compress{Codec: rotate.None, Period: daily, At: rotate.Clock{Hour: 1, Minute: 15}, Lateness: 10 * time.Minute, Depot: "/srv/depot"}
		}},
		{"add_newlines=never", func(*File) {}},
		{"add_newlines=always", func(f *File) { f.Form.Newlines = store.NewlinesAlways }},
		{"compress=zstd\nrotate_period=900", func(f *File) {
			f.Rotate = "900"
			quarter, _ := rotate.ParsePeriod("15m")
			f.Compress = &Compress{Codec: rotate.Zstd, Period: quarter, At: rotate.Clock{Hour: 1, Minute: 15}, Lateness: 10 * time.Minute}
		}},
	}
	for _, c := range cases {
		want := standard(t)
		c.want(&want)
		got := sinks(t, storeText("category=a", "type=file", c.lines))[0].Sink
		if !reflect.DeepEqual(got, Sink(want)) {
			t.Errorf("%s\n got %+v\nwant %+v", c.lines, got, want)
		}
	}
	want := standard(t)
	want.Thrift = true
	got := sinks(t, storeText("category=a", "type=thriftfile", "flush_frequency_ms=1", "msg_buffer_size=1"))[0].Sink
	if !reflect.DeepEqual(got, Sink(want)) {
		t.Errorf("thriftfile:\n got %+v\nwant %+v", got, want)
	}
}

func TestQueueOptions(t *testing.T) {
	s := sinks(t, storeText("category=a", "type=null"))[0]
	if s.TargetWriteSize != 16384 || s.MaxWriteInterval != time.Second || !s.MustSucceed || s.Name != "store0" || s.Line != 1 {
		t.Errorf("%+v", s)
	}
	s = sinks(t, storeText("category=a", "type=null", "target_write_size=20480", "max_write_interval=0", "must_succeed=no"))[0]
	if s.TargetWriteSize != 20480 || s.MaxWriteInterval != time.Second || s.MustSucceed {
		t.Errorf("%+v", s)
	}
	s = sinks(t, "null::target_write_size=7\n"+storeText("category=a", "type=null", "null::max_write_interval=9"))[0]
	if s.TargetWriteSize != 7 || s.MaxWriteInterval != 9*time.Second {
		t.Errorf("inherited: %+v", s)
	}
}

func TestUnits(t *testing.T) {
	c, problems := load("inkwell 1\nmax_queue_size=1MiB\ncheck_interval=2m\n" +
		storeText("category=a", "type=buffer", "retry_interval=1h", "<primary>", "type=network", "service_list=a:1", "timeout=1.5s", "</primary>", "<secondary>", "type=file", "max_size=1GB", "</secondary>"))
	b := c.Stores[0].Sink.(Buffer)
	if len(problems) > 0 || c.MaxQueueSize != 1<<20 || c.CheckInterval != 2*time.Minute || b.RetryInterval != time.Hour || b.Primary.(Network).Timeout != 1500*time.Millisecond || b.Secondary.(File).MaxSize != 1e9 {
		t.Errorf("%q %+v %+v", problems, c, b)
	}
}

func TestGlobal(t *testing.T) {
	c, problems := load(`port=1463
listen=10.0.0.1:1464
listen=unix:/run/inkwell.sock
listen=[::1]:0
max_msg_per_second=2000000
max_queue_size=010
check_interval=0
new_thread_per_category=no
num_thrift_server_threads=4
max_conn=200
prefix_match=longest
durability=memory
state_dir=/var/lib/x
journal_max=1GiB
max_frame_size=64MiB
max_categories=7
` + storeText("category=a", "type=null"))
	if len(problems) > 0 || c.Port != 1463 || strings.Join(c.Listen, " ") != "10.0.0.1:1464 unix:/run/inkwell.sock [::1]:0" || c.MaxMessagesPerSecond != 2e6 || c.MaxQueueSize != 10 ||
		c.CheckInterval != time.Second || c.ThreadPerCategory || c.MaxConnections != 200 || !c.LongestPrefix || c.Durability != "memory" ||
		c.StateDir != "/var/lib/x" || c.JournalMax != 1<<30 || c.MaxFrame != 64<<20 || c.MaxCategories != 7 || c.New {
		t.Errorf("%q %+v", problems, c)
	}
}

func TestCategories(t *testing.T) {
	cases := []struct {
		lines, categories, handled string
		list                       bool
	}{
		{"category=foo", "foo", "foo", false},
		{"category=foo*", "foo*", "foo", false},
		{"category=*", "*", "", false},
		{"category=default", "default", "default", false},
		{"categories= rock*\tpaper ", "rock*,paper", "rock*\tpaper", true},
		{"category=c\ncategories=m1 m2", "c,m1,m2", "m1 m2", true},
	}
	for _, c := range cases {
		s := sinks(t, storeText(c.lines, "type=null"))[0]
		if strings.Join(s.Categories, ",") != c.categories || s.Handled != c.handled || s.List != c.list {
			t.Errorf("%q: %+v", c.lines, s)
		}
	}
}

func TestBuffer(t *testing.T) {
	lines := []string{"type=buffer", "<primary>", "type=network", "remote_host=h", "remote_port=1463", "</primary>", "<secondary>", "type=file", "file_path=/buf", "max_size=3000000", "</secondary>"}
	network := Network{Addrs: []string{"h:1463"}, Timeout: 5 * time.Second, MaxBatch: 4 << 20, MaxAge: 10 * time.Minute, Quarantine: time.Hour}
	file := standard(t)
	file.Dir, file.MaxSize, file.NoSymlink = "/buf", 3_000_000, true
	want := Buffer{Primary: network, Secondary: file, RetryInterval: 300 * time.Second, RetryRange: 60 * time.Second, Replay: true, MinRetry: 5 * time.Second, MaxRetry: 100 * time.Second,
		MaxOffset: 20 * time.Second}
	if got := sinks(t, storeText(append(lines, "category=a")...))[0].Sink; !reflect.DeepEqual(got, Sink(want)) {
		t.Errorf("\n got %+v\nwant %+v", got, want)
	}
	more := append(lines, "category=default", "retry_interval=4", "retry_interval_range=2", "replay_buffer=no", "flush_streaming=yes", "adaptive_backoff=yes", "min_retry_interval=1",
		"max_retry_interval=20", "max_random_offset=4", "buffer_send_rate=5", "buffer_bypass_max_ratio=0.5", "spool_max=1GiB", "file::rotate_period=daily")
	file.Base, file.NoSymlink, file.Rotate, file.Period = "default", false, "daily", period(t, "daily")
	want = Buffer{Primary: network, Secondary: file, RetryInterval: 4 * time.Second, RetryRange: 2 * time.Second, FlushStreaming: true, Adaptive: true, MinRetry: time.Second, MaxRetry: 20 * time.Second,
		MaxOffset: 4 * time.Second, SpoolMax: 1 << 30}
	got := sinks(t, storeText(more...))[0].Sink
	if !reflect.DeepEqual(got, Sink(want)) {
		t.Errorf("\n got %+v\nwant %+v", got, want)
	}
	file.Root, file.Dir, file.Base = "/buf", "/buf/web", "web"
	want.Secondary = file
	if got := got.For("web"); !reflect.DeepEqual(got, Sink(want)) {
		t.Errorf("copy:\n got %+v\nwant %+v", got, want)
	}
	// One buffer for several categories records the category of each entry.
	for text, shared := range map[string]bool{
		"new_thread_per_category=no\n" + storeText(append(lines, "category=default")...):                        true,
		"new_thread_per_category=no\n" + storeText(append(lines, "category=x*")...):                             true,
		"new_thread_per_category=no\nfile::base_filename=b\n" + storeText(append(lines, "categories=m1 m2")...): true,
		"new_thread_per_category=no\n" + storeText(append(lines, "category=a")...):                              false,
		storeText(append(lines, "category=default")...):                                                         false,
	} {
		f := sinks(t, text)[0].Sink.(Buffer).Secondary.(File)
		if f.WriteCategory != shared || f.Chunk != 0 || f.Form.Newlines != store.NewlinesNever {
			t.Errorf("%s: %+v", text, f)
		}
	}
}

func TestNetwork(t *testing.T) {
	cases := []struct {
		lines string
		want  Network
	}{
		{"remote_host=h\nremote_port=0x5b7", Network{Addrs: []string{"h:1463"}}},
		{"remote_host=::1\nremote_port=1463", Network{Addrs: []string{"[::1]:1463"}}},
		{"remote_host=[fe80::1]\nremote_port=1463", Network{Addrs: []string{"[fe80::1]:1463"}}},
		{"service_list=a:1  b\t c:3\nlist_default_port=2", Network{Addrs: []string{"a:1", "b:2", "c:3"}, Shuffle: true}},
		{"service_list=[::1]:1 ::2 [::3]\nlist_default_port=2", Network{Addrs: []string{"[::1]:1", "[::2]:2", "[::3]:2"}, Shuffle: true}},
		{"service_list=a:1 b:2\nservice_order=listed", Network{Addrs: []string{"a:1", "b:2"}}},
		{"service_list=a:1\nremote_host=h\nremote_port=2", Network{Addrs: []string{"a:1"}, Shuffle: true}},
		{"remote_host=h\nremote_port=1\ntimeout=200\nuse_conn_pool=yes\nignore_network_error=yes\nmax_batch_size=1MiB\nquarantine_after=10m",
			Network{Addrs: []string{"h:1"}, Timeout: 200 * time.Millisecond, Pool: true, IgnoreError: true, MaxBatch: 1 << 20, MaxAge: 10 * time.Minute, Quarantine: 10 * time.Minute}},
		{"dynamic_config_type=thrift_bucket\nbucket_id=3\nbucket_updater_host=u\nbucket_updater_port=9999\nbucket_updater_ttl=3",
			Network{Mapping: &Mapping{Addrs: []string{"u:9999"}, Bucket: 3, TTL: 3 * time.Second, Timeout: time.Second}}},
	}
	for _, c := range cases {
		if c.want.Timeout == 0 {
			c.want.Timeout = 5 * time.Second
		}
		if c.want.MaxBatch == 0 {
			c.want.MaxBatch = 4 << 20
		}
		if c.want.Quarantine == 0 {
			c.want.Quarantine = time.Hour
		}
		c.want.MaxAge = 10 * time.Minute
		got := sinks(t, storeText("category=a", "type=network", c.lines))[0].Sink
		if !reflect.DeepEqual(got, Sink(c.want)) || !reflect.DeepEqual(got.For("x"), got) {
			t.Errorf("%s\n got %+v\nwant %+v", c.lines, got, c.want)
		}
	}
	c, problems := load(storeText("category=a", "type=network", "remote_host=h", "remote_port=1", "timeout=0"))
	if n := c.Stores[0].Sink.(Network); n.Timeout != 5*time.Second || len(problems) != 1 {
		t.Errorf("timeout=0: %v %q", n.Timeout, problems)
	}
}

func dirs(t *testing.T, b Sink) string {
	var all []string
	for _, child := range b.(Bucket).Children {
		f := child.(File)
		all = append(all, filepath.Join(f.Dir, f.Sub, f.Base))
	}
	return strings.Join(all, " ")
}

func TestBucket(t *testing.T) {
	one := []string{"category=bk", "type=bucket", "num_buckets=2", "bucket_type=key_range", "bucket_range=100", "delimiter=59", "remove_key=yes", "bucket_subdir=b", "<bucket>", "type=file", "file_path=/x", "base_filename=f", "</bucket>"}
	s := sinks(t, storeText(one...))[0].Sink.(Bucket)
	if s.Kind != "key_range" || s.Range != 100 || s.Delimiter != ';' || !s.RemoveKey || dirs(t, s) != "/x/b000/f /x/b001/f /x/b002/f" {
		t.Errorf("%+v %s", s, dirs(t, s))
	}
	s = sinks(t, storeText(append(one, "bucket_offset=1046", "failure_bucket=oops")...))[0].Sink.(Bucket)
	if dirs(t, s) != "/x/oops/f /x/b1047/f /x/b1048/f" {
		t.Errorf("offset: %s", dirs(t, s))
	}
	if copied := s.For("cat").(Bucket); dirs(t, copied) != "/x/oops/cat/cat /x/b1047/cat/cat /x/b1048/cat/cat" || !copied.RemoveKey || copied.Range != 100 {
		t.Errorf("copy: %s", dirs(t, copied))
	}
	s = sinks(t, storeText("category=bk", "type=bucket", "num_buckets=1", "bucket_subdir=b", "<bucket>", "type=file", "file_path=/tmp", "</bucket>"))[0].Sink.(Bucket)
	if s.Kind != "context_log" || s.Delimiter != ':' || s.RemoveKey || dirs(t, s) != "/tmp/b000/bk /tmp/b001/bk" {
		t.Errorf("defaults: %+v", s)
	}
	s = sinks(t, `<store>
category=default
type=bucket
num_buckets=1
bucket_type=key_modulo
network::bucket_updater_host=u
network::bucket_updater_port=9999
<bucket0>
type=null
</bucket0>
<bucket1>
type=buffer
<primary>
type=network
dynamic_config_type=thrift_bucket
timeout=7000
</primary>
<secondary>
type=null
</secondary>
</bucket1>
</store>`)[0].Sink.(Bucket)
	m := s.Children[1].(Buffer).Primary.(Network).Mapping
	if s.Children[0] != Sink(Null{}) || m.Bucket != 1 || m.TTL != time.Minute || m.Timeout != 7*time.Second || m.Addrs[0] != "u:9999" {
		t.Errorf("mapping: %+v", m)
	}
}

func TestMultiAndCategory(t *testing.T) {
	m := sinks(t, storeText("category=a", "type=multi", "report_success=any", "<store>", "type=file", "file_path=/m0", "</store>", "<store>", "type=null", "</store>"))[0].Sink.(Multi)
	if !m.Any || len(m.Children) != 2 || m.Children[0].(File).Dir != "/m0" || m.For("x").(Multi).Children[0].(File).Dir != "/m0/x" || !m.For("x").(Multi).Any {
		t.Errorf("%+v", m)
	}
	m = sinks(t, storeText("category=a", "type=multi", "<store1>", "type=null", "</store1>", "<store2>", "type=null", "</store2>"))[0].Sink.(Multi)
	if m.Any || len(m.Children) != 2 {
		t.Errorf("from 1: %+v", m)
	}
	for _, lines := range []string{"type=multifile\nfile_path=/x\nmultifile::add_newlines=always", "type=category\nfile::file_path=/not\n<model>\ntype=file\nfile_path=/x\nadd_newlines=always\n</model>"} {
		s := sinks(t, storeText("category=a", lines))[0].Sink.(ByCategory)
		f := s.Model.(File)
		if f.Dir != "/x" || f.Form.Newlines != store.NewlinesAlways || s.Model.For("c").(File).Dir != "/x/c" || s.For("c").(ByCategory).Model.For("c").(File).Dir != "/x/c/c" {
			t.Errorf("%s: %+v", lines, f)
		}
	}
	if f := sinks(t, storeText("category=a", "type=thriftmultifile"))[0].Sink.(ByCategory).Model.(File); !f.Thrift {
		t.Errorf("%+v", f)
	}
	// The model inherits from the parent of the category block and not from that block.
	f := sinks(t, "file::max_size=5\n"+storeText("category=a", "type=category", "file::max_size=6", "<model>", "type=file", "</model>"))[0].Sink.(ByCategory).Model.(File)
	if f.MaxSize != 5 {
		t.Errorf("max_size %d", f.MaxSize)
	}
}

func TestInheritance(t *testing.T) {
	stores := sinks(t, `port=1463
file::fs_type=std
file::add_newlines=always
<store>
category=default
file::file_path=/x
type=multi
<store>
type=file
file::max_size=2000
</store>
<store>
type=file
add_newlines=0
file_path=/y
</store>
</store>
<store>
category=b
type=file
</store>`)
	m := stores[0].Sink.(Multi)
	a, b, c := m.Children[0].(File), m.Children[1].(File), stores[1].Sink.(File)
	if a.Dir != "/x" || a.Form.Newlines != store.NewlinesAlways || a.MaxSize != 2000 || b.Dir != "/y" || b.Form.Newlines != store.NewlinesNever || b.MaxSize != 1e9 || c.Dir != "/tmp" || c.Form.Newlines != store.NewlinesAlways {
		t.Errorf("%+v\n%+v\n%+v", a, b, c)
	}
}

func TestFor(t *testing.T) {
	f := sinks(t, storeText("category=default", "type=file", "file_path=/x", "base_filename=ignored", "sub_directory=s", "base_symlink_name=l", "write_stats=yes", "chunk_size=5"))[0].Sink
	want := standard(t)
	want.Root, want.Dir, want.Base, want.Sub, want.Symlink, want.WriteStats, want.Chunk = "/x", "/x/web", "web", "s", "l", true, 5
	if got := f.For("web"); !reflect.DeepEqual(got, Sink(want)) || got.String() != "file /x/web/s/web" {
		t.Errorf("\n got %+v\nwant %+v", got, want)
	}
}

func TestLoops(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		listen, to string
		loop       bool
	}{
		{"port=1463", "127.0.0.1:1463", true}, {"port=1463", "127.0.0.2:1463", true}, {"port=1463", "localhost:1463", true}, {"port=1463", "LOCALHOST:1463", true},
		{"port=1463", "[::1]:1463", true}, {"port=1463", "0.0.0.0:1463", true}, {"port=1463", host + ":1463", true}, {"port=1463", "127.0.0.1:1464", false},
		{"port=1463", "logs.example.com:1463", false}, {"port=1463", "192.0.2.1:1463", false}, {"", "127.0.0.1:1463", false},
		{"listen=0.0.0.0:1463", "127.0.0.1:1463", true}, {"listen=:1463", "127.0.0.1:1463", true}, {"listen=127.0.0.1:1463", "localhost:1463", true},
		{"listen=127.0.0.1:1463", "127.0.0.2:1463", false}, {"listen=localhost:1463", "127.0.0.1:1463", true}, {"listen=127.0.0.1:1463", "127.0.0.1:1463", true},
		{"listen=192.0.2.1:1463", "127.0.0.1:1463", false}, {"port=1463\nlisten=192.0.2.1:1463", "127.0.0.1:1463", false}, {"inkwell 1\nport=1463", "localhost:1463", true},
		{"inkwell 1\nport=1463", "127.0.0.2:1463", false}, {"listen=unix:/x", "127.0.0.1:1463", false},
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		cases = append(cases, struct {
			listen, to string
			loop       bool
		}{"port=1463", net.JoinHostPort(a.(*net.IPNet).IP.String(), "1463"), true})
	}
	good := storeText("category=good", "type=null")
	for _, c := range cases {
		for _, s := range []string{
			storeText("category=a", "type=network", "service_list=192.0.2.7:1463 "+c.to),
			storeText("category=a", "type=buffer", "<primary>", "type=network", "service_list="+c.to, "</primary>", "<secondary>", "type=null", "</secondary>"),
		} {
			got, problems := load(c.listen + "\n" + s + good)
			want := ""
			if c.loop {
				want = "Bad config - network store sends to this server itself: " + c.to
			}
			if st := got.Stores[0]; !strings.EqualFold(st.Status, want) || (st.Sink == nil) != c.loop || (got.Status != "") != (c.loop && got.New) || len(problems) > 1 || (len(problems) == 1) != c.loop {
				t.Errorf("%s, to %s: %q, problems %q", c.listen, c.to, st.Status, problems)
			}
		}
	}
	c, _ := load(storeText("category=a", "type=network", "service_list=127.0.0.1:5"))
	c.RefuseLoops([]string{":5"})
	if c.Status != "No stores configured successfully: Bad config - network store sends to this server itself: 127.0.0.1:5" || len(c.Problems) != 1 || c.Problems[0].Line != 1 {
		t.Errorf("%q %v", c.Status, c.Problems)
	}
}

func TestInputs(t *testing.T) {
	c, problems := load("inkwell 1\n<tail>\ncategory=a\npath=/x/*.log\n</tail>\n<tail>\ncategory=b.{n}\npath=/y/{n}\nexclude=*.gz\nexclude=/y/a\nfrom_end=yes\nmax_line=1MiB\n" +
		"encoding=utf-16le\nformat=cri\nstamp=yes\nmultiline_start=^[0-9]\nmultiline_lines=7\nmultiline_wait=1s\n</tail>\n<pipe>\ncategory=p\nwhen_full=drop\ndrain_timeout=1m\n</pipe>\n" +
		storeText("category=default", "type=null"))
	tails := []Tail{
		{Category: "a", Glob: "/x/*.log", Lines: lines.Options{MaxLine: 16 << 20, MaxLines: 500, Wait: 5 * time.Second}},
		{Category: "b.{n}", Glob: "/y/{n}", Exclude: []string{"*.gz", "/y/a"}, FromEnd: true, Lines: lines.Options{Encoding: lines.UTF16LE, Format: lines.CRI,
			Stamp: true, Start: "^[0-9]", MaxLines: 7, Wait: time.Second, MaxLine: 1 << 20}},
	}
	pipes := []Pipe{{Category: "p", DropWhenFull: true, DrainTimeout: time.Minute}}
	if len(problems) > 0 || !c.New || !reflect.DeepEqual(c.Tails, tails) || !reflect.DeepEqual(c.Pipes, pipes) || len(c.Stores) != 1 {
		t.Errorf("%q %+v %+v", problems, c.Tails, c.Pipes)
	}
	c, _ = load("<tail>\ntype=null\ncategory=a\n</tail>")
	if len(c.Stores) != 1 || len(c.Tails) != 0 || c.Status != "" {
		t.Errorf("a block <tail> of an old file, with a type, is a store: %+v", c)
	}
}

func TestInputsWithMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"path=/x/{a":                                "{ is not closed",
		"path=/x/a**":                               "must stand alone",
		"path=/x/{m}":                               "{n} is not known here, but {m}",
		"path=/x/{n}\nexclude=[":                    "exclude [",
		"path=/x/{n}\nencoding=latin1":              "latin1",
		"path=/x/{n}\nformat=json":                  "json",
		"path=/x/{n}\nstamp=yes":                    "stamp needs format",
		"path=/x/{n}\nmultiline_start=(":            "missing closing )",
		"path=/x/{n}\nmultiline_lines=0":            "is no number of lines",
		"path=/x/{n}\nmultiline_wait=0s":            "must be more than 0",
		"path=/x/{n}\nmultiline_wait=5 years or so": "5s is used",
	} {
		_, problems := load("inkwell 1\n<tail>\ncategory=b.{n}\n" + text + "\n</tail>\n" + storeText("category=default", "type=null"))
		if len(problems) != 1 || !strings.Contains(problems[0], want) {
			t.Errorf("%q: %q, want %q", text, problems, want)
		}
	}
}

func TestStrings(t *testing.T) {
	cases := []struct{ lines, want string }{
		{"type=file\nfile_path=/x/", "file /x/a"},
		{"type=file\nfile_path=/x\ncompress=zstd", "zstd file /x/a"},
		{"type=thriftfile\nfile_path=/x", "thriftfile /x/a"},
		{"type=null", "null"},
		{"type=network\nservice_list=h:1 i:2", "network h:1 i:2"},
		{"type=multifile\nfile_path=/x", "by category: file /x/a"},
		{"type=multi\n<store>\ntype=null\n</store>\n<store>\ntype=file\nfile_path=/x\n</store>", "multi, all of (null, file /x/a)"},
		{"type=buffer\n<primary>\ntype=network\nremote_host=h\nremote_port=1\n</primary>\n<secondary>\ntype=file\nfile_path=/b\n</secondary>", "buffer (network h:1, file /b/a)"},
		{"type=bucket\nnum_buckets=1\nbucket_type=random\nbucket_subdir=s\n<bucket>\ntype=file\nfile_path=/x\n</bucket>", "bucket random of 1 (file /x/s000/a, file /x/s001/a)"},
	}
	for _, c := range cases {
		if got := sinks(t, storeText("category=a", c.lines))[0].Sink.String(); got != c.want {
			t.Errorf("%s: %q, want %q", c.lines, got, c.want)
		}
	}
}

// TestTwins numbers buffers that have the same secondary, and no others.
func TestTwins(t *testing.T) {
	buffer := func(base string) string {
		return "type=buffer\n<primary>\ntype=network\nremote_host=h\nremote_port=1\n</primary>\n<secondary>\ntype=file\nfile_path=/x\nbase_filename=" + base + "\n</secondary>"
	}
	stores := Load("test.conf", []byte(storeText("category=a", buffer("same"))+storeText("category=b", buffer("same"))+storeText("category=c", buffer("other"))+
		storeText("category=default", buffer("same"))+storeText("category=d*", buffer("same"))+storeText("category=default", buffer("same"))+
		storeText("category=e", "type=bucket\nnum_buckets=1\n<bucket0>\n"+buffer("same")+"\n</bucket0>\n<bucket1>\n"+buffer("own")+"\n</bucket1>"))).Stores
	for i, want := range []int{0, 1, 0, 0, 0, 1} {
		if got := stores[i].Sink.(Buffer).Twin; got != want {
			t.Errorf("store %d is twin %d, want %d", i, got, want)
		}
	}
	for i, want := range []int{2, 0} {
		if got := stores[6].Sink.(Bucket).Children[i].(Buffer).Twin; got != want {
			t.Errorf("bucket %d is twin %d, want %d", i, got, want)
		}
	}
}
