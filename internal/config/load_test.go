package config

import (
	"strings"
	"testing"
	"time"
)

// load reads a file and returns its problems without the name of the file.
func load(text string) (*Config, []string) {
	c := Load("f", []byte(text))
	var problems []string
	for _, p := range c.Problems {
		problems = append(problems, strings.TrimPrefix(p.String(), "f:"))
	}
	return c, problems
}

// store wraps the lines of a store in a file.
func storeText(lines ...string) string {
	return "<store>\n" + strings.Join(lines, "\n") + "\n</store>\n"
}

// badStore is a store block with a mistake in it, and where and in which words it is reported.
type badStore struct {
	name, text, status string
	line               int
}

const someFile = "type=file\nfile_path=/x"

// TestBadBlocks has blocks that are no stores: messages for them are refused.
func TestBadBlocks(t *testing.T) {
	file := someFile
	for _, c := range []badStore{
		{"no category", storeText(file), "Bad config - store with no category", 1},
		{"no categories", storeText("categories=", file), "Bad config - store with no category", 1},
		{"blank category", storeText("category=", file), "Bad config - store with blank category", 2},
		{"no type", storeText("category=a"), "Bad config - no type for store with category: a", 1},
		{"blank type", storeText("category=a", "type="), "Bad config - no type for store with category: a", 1},
		{"no type for several", storeText("categories=a b"), "Bad config - no type for store with category: a b", 1},
		{"no type for both", storeText("category=c", "categories=a b"), "Bad config - no type for store with category: a b", 1},
		{"unknown type", storeText("category=a", "type=fiel"), "Bad config - can't create a store of type: fiel", 3},
		{"type with a capital", storeText("category=a", "type=File"), "Bad config - can't create a store of type: File", 3},
		{"unknown type for several", storeText("categories=a b", "type=fiel"), "Bad config - could not create store for category: a b", 3},
		{"type that is a section", storeText("category=a", "type=global"), "Bad config - can't create a store of type: global", 3},
		{"prefix without type", storeText("category=a*"), "Bad config - no type for store with category: a*", 1},
		{"categories= with nothing", storeText("category=a", "categories=", "type=null"), "Bad config - could not create store for category: ", 1},
	} {
		bad := c.told(t)
		if bad.Sink != nil {
			t.Errorf("%s: it is a store: %v", c.name, bad.Sink)
		}
		alone, _ := load(c.text)
		if want := "No stores configured successfully: " + c.status; alone.Status != want {
			t.Errorf("%s: alone: %q, want %q", c.name, alone.Status, want)
		}
	}
}

// TestBadStores has stores with a mistake: they exist, and messages for them wait for a corrected configuration.
func TestBadStores(t *testing.T) {
	file := someFile
	for _, c := range []badStore{
		{"another file system", storeText("category=a", file, "fs_type=nfs"), "file open error", 5},
		{"hdfs", storeText("category=a", file, "fs_type=hdfs"), "File open error", 5},
		{"hdfs to be read back", storeText("category=a", "type=buffer", "<primary>", "type=network", "remote_host=h", "remote_port=1", "</primary>", "<secondary>", file, "fs_type=hdfs", "</secondary>"),
			"File open error", 12},
		{"empty buffer", storeText("category=a", "type=buffer"), "Bad config - buffer store doesn't have primary store", 1},
		{"no primary", storeText("category=a", "type=buffer", "<secondary>", file, "</secondary>"), "Bad config - buffer store doesn't have primary store", 1},
		{"primary without type", storeText("category=a", "type=buffer", "<secondary>", file, "</secondary>", "<primary>", "</primary>"), "Bad config - buffer primary store doesn't have a type", 8},
		{"multi primary", storeText("category=a", "type=buffer", "<secondary>", file, "</secondary>", "<primary>", "type=multi", "</primary>"),
			"Bad config - buffer primary store cannot be multistore", 9},
		{"unreadable secondary", storeText("category=a", "type=buffer", "<primary>", "type=null", "</primary>", "<secondary>", "type=network", "</secondary>"),
			"Bad config - buffer secondary store cannot be read back", 8},
		{"thriftfile to be read back", storeText("category=a", "type=buffer", "<primary>", "type=null", "</primary>", "<secondary>", "type=thriftfile", "</secondary>"),
			"Bad config - buffer secondary store cannot be read back", 7},
		{"unknown primary", storeText("category=a", "type=buffer", "<secondary>", file, "</secondary>", "<primary>", "type=x", "</primary>"), "Bad config - can't create a store of type: x", 9},
		{"network to nowhere", storeText("category=a", "type=network"), "Bad config - invalid location for remote server", 1},
		{"network without port", storeText("category=a", "type=network", "remote_host=h"), "Bad config - invalid location for remote server", 1},
		{"network with too large a port", storeText("category=a", "type=network", "remote_host=h", "remote_port=65536"), "Bad config - invalid location for remote server", 1},
		{"network with a port of letters", storeText("category=a", "type=network", "remote_host=h", "remote_port=scribe"), "Bad config - invalid location for remote server", 1},
		{"empty service_list", storeText("category=a", "type=network", "service_list= "), "Bad config - invalid location for remote server", 4},
		{"service_list without ports", storeText("category=a", "type=network", "service_list=a b"), "Bad config - invalid location for remote server", 4},
		{"smc", storeText("category=a", "type=network", "smc_service=x"), "Could not get list of servers from service", 1},
		{"no num_buckets", storeText("category=a", "type=bucket"), "Bad config - bucket store must have num_buckets", 1},
		{"no buckets", storeText("category=a", "type=bucket", "num_buckets=0"), "Bad config - bucket store must have num_buckets", 4},
		{"-1 buckets", storeText("category=a", "type=bucket", "num_buckets=-1"), "Bad config - bucket store must have num_buckets", 4},
		{"a bucket is missing", storeText("category=a", "type=bucket", "num_buckets=1", "<bucket0>", file, "</bucket0>"), "could not find bucket definition for bucket1", 1},
		{"a bucket without type", storeText("category=a", "type=bucket", "num_buckets=1", "<bucket0>", file, "</bucket0>", "<bucket1>", "</bucket1>"), "store contained in a bucket store must have a type", 9},
		{"too many buckets", storeText("category=a", "type=bucket", "num_buckets=1", "bucket_subdir=x", "<bucket>", file, "</bucket>", "<bucket1>", "type=null", "</bucket1>"), "bucket store has too many buckets defined", 10},
		{"no file_path", storeText("category=a", "type=bucket", "num_buckets=1", "bucket_subdir=x", "<bucket>", "type=file", "</bucket>"), "file store contained by bucketizer must have a file_path", 6},
		{"no bucket_subdir", storeText("category=a", "type=bucket", "num_buckets=1", "<bucket>", file, "</bucket>"), "bucketizer containing file stores must have a bucket_subdir", 1},
		{"bucket_subdir too much", storeText("category=a", "type=bucket", "num_buckets=1", "bucket_subdir=x", "<bucket0>", "type=null", "</bucket0>", "<bucket1>", "type=null", "</bucket1>"),
			"cannot have bucket_subdir when defining multiple buckets", 5},
		{"one bucket of networks", storeText("category=a", "type=bucket", "num_buckets=1", "bucket_subdir=x", "<bucket>", "type=network", "</bucket>"),
			"store contained in a bucket store must have a type of either file or thriftfile if not defined explicitely", 7},
		{"one bucket without type", storeText("category=a", "type=bucket", "num_buckets=1", "bucket_subdir=x", "<bucket>", "</bucket>"),
			"store contained in a bucket store must have a type of either file or thriftfile if not defined explicitely", 6},
		{"remove_key with context_log", storeText("category=a", "type=bucket", "num_buckets=1", "remove_key=yes"), "Bad config - bucketizer store of type context_log do not support remove_key", 5},
		{"empty multi", storeText("category=a", "type=multi"), "MULTI: No stores found, invalid store.", 1},
		{"multi from 2", storeText("category=a", "type=multi", "<store2>", "type=null", "</store2>"), "MULTI: No stores found, invalid store.", 1},
		{"multi with a bad success", storeText("category=a", "type=multi", "report_success=some", "<store>", "type=null", "</store>"), "MULTI: Invalid report_success value.", 4},
		{"multi without types", storeText("category=a", "type=multi", "<store>", "</store>"), "MULTI: Store is missing type.", 4},
		{"category without model", storeText("category=a", "type=category"), "CATEGORYSTORE: NO stores found, invalid store.", 1},
		{"model without type", storeText("category=a", "type=category", "<model>", "</model>"), "CATEGORYSTORE: Store is missing type.", 4},
		{"mapping outside of buckets", storeText("category=a", "type=network", "dynamic_config_type=thrift_bucket", "bucket_updater_host=h", "bucket_updater_port=1"),
			"Bad config - dynamic_config_type=thrift_bucket without bucket_id", 1},
		{"mapping of nobody", storeText("category=a", "type=network", "dynamic_config_type=thrift_bucket", "bucket_id=1"),
			"Bad config - dynamic_config_type=thrift_bucket without a server to ask", 1},
	} {
		bad := c.told(t)
		want := Unusable{Status: c.status, Refusal: c.status}
		if strings.Contains(c.text, "type=bucket") {
			want.Refusal = "Failed write to bucket store"
		}
		if bad.Sink != Sink(want) {
			t.Errorf("%s: %+v, want %+v", c.name, bad.Sink, want)
		}
		if alone, _ := load(c.text); alone.Status != "" {
			t.Errorf("%s: alone: %q", c.name, alone.Status)
		}
	}
}

// TestMultiWithoutTheRest keeps the stores before a mistake.
func TestMultiWithoutTheRest(t *testing.T) {
	bad := badStore{"", storeText("category=a", "type=multi", "<store>", "type=null", "</store>", "<store>", "</store>", "<store>", someFile, "</store>"), "MULTI: Store is missing type.", 7}.told(t)
	if want := "multi, all of (null)"; bad.Sink.String() != want {
		t.Errorf("%v, want %s", bad.Sink, want)
	}
}

// told loads the store beside a correct one, and checks that its mistake is reported.
func (c badStore) told(t *testing.T) *Store {
	t.Helper()
	got, problems := load(c.text + storeText("category=good", "type=null"))
	bad, good := got.Stores[0], got.Stores[1]
	if bad.Status != c.status || good.Status != "" || good.Sink == nil || got.Status != "" {
		t.Errorf("%s: status %q, want %q; the good one %q, the whole %q", c.name, bad.Status, c.status, good.Status, got.Status)
	}
	found := false
	for _, p := range got.Problems {
		found = found || p.Error && p.Line == c.line && p.Text == c.status && p.Cure != ""
	}
	if !found {
		t.Errorf("%s: no error of line %d with a cure: %q", c.name, c.line, problems)
	}
	return bad
}

func TestNoStores(t *testing.T) {
	good := storeText("category=default", "type=null")
	cases := []struct{ name, text, want string }{
		{"empty file", "", "no <store> block"},
		{"port only", "port=1463", "no <store> block"},
		{"only a tail", "<tail>\ncategory=a\npath=/x\n</tail>", "no <store> block"},
		{"two bad ones: the last", storeText("category=a", "type=x") + storeText("type=file"), "Bad config - store with no category"},
		{"port 0", "port=0\n" + good, "port=0 is no port"},
		{"port too large", "port=65536\n" + good, "port=65536 is no port"},
		{"port of letters", "port=scribe\n" + good, "port=scribe is no port"},
		{"port -1", "port=-1\n" + good, "port=-1 is no port"},
		{"no threads", "num_thrift_server_threads=0\n" + good, "num_thrift_server_threads=0 is 0"},
		{"letters for threads", "num_thrift_server_threads=three\n" + good, "num_thrift_server_threads=three is 0"},
		{"no address", "listen=nowhere\n" + good, "listen=nowhere is no address to listen on"},
		{"new style", "inkwell 1\n" + good + "</store>", "f:6: </store> closes nothing and is ignored"},
		{"new style, unknown key", "inkwell 1\nprot=1463\n" + good, "f:2: prot is not known in what stands outside of all blocks"},
		{"new style, bad store", "inkwell 1\n" + good + storeText("category=a"), "f:6: Bad config - no type for store with category: a"},
	}
	for _, c := range cases {
		got, _ := load(c.text)
		if want := "No stores configured successfully: " + c.want; got.Status != want {
			t.Errorf("%s: %q, want %q", c.name, got.Status, want)
		}
	}
}

func TestProblems(t *testing.T) {
	buffer := func(line string) string {
		return storeText("category=a", "type=buffer", line, "<primary>", "type=null", "</primary>", "<secondary>", "type=null", "</secondary>")
	}
	cases := []struct{ name, text, want string }{
		{"nothing", "port=1463\n" + storeText("category=a", "type=null"), ""},
		{"unknown key", "max_msg_per_secnd=1\n", "1: warning: max_msg_per_secnd is not known in what stands outside of all blocks (did you mean max_msg_per_second?)"},
		{"key of another block", storeText("category=a", "type=network", "remote_host=h", "remote_port=1", "max_size=1"),
			"6: warning: max_size is not known in a block with type=network (it belongs into a block with type=file, or a block with type=thriftfile, or a block with type=multifile, or a block with type=thriftmultifile)"},
		{"key of nothing", "colour=blue\n", "1: warning: colour is not known in what stands outside of all blocks (remove it, or see docs/configuration.md for what there is)"},
		{"key of a fork", "unix_socket=/tmp/s\n", "1: warning: unix_socket is not known in what stands outside of all blocks (write listen=unix:/path, and another listen=HOST:PORT for the port)"},
		{"TLS of a fork", storeText("category=a", "type=network", "remote_host=h", "remote_port=1", "use_ssl=yes"),
			"6: warning: use_ssl is not known in a block with type=network (nothing is encrypted: write tls=yes in a network store, listen=tls://HOST:PORT at the top)"},
		{"no key", "=1\n", "1: warning: there is nothing before the = (write KEY=VALUE)"},
		{"queue option inside", storeText("category=a", "type=multi", "<store>", "type=null", "must_succeed=no", "</store>"),
			"6: warning: must_succeed is not known in a block with type=null (it belongs into a block at the top of the file)"},
		{"inherited by nobody", "fiel::max_size=1\n", "1: warning: fiel::max_size is inherited by nothing (there is no type fiel: did you mean file?)"},
		{"unknown inherited key", "file::maxsize=1\n", "1: warning: file::maxsize is inherited by nothing (did you mean file::max_size?)"},
		{"inherited type", "file::category=x\n", "1: warning: file::category is inherited by nothing (it belongs into a block at the top of the file, or a <tail> block, or a <pipe> block, or a <journal> block, or a <syslog> block)"},
		{"block of a typo", storeText("category=a", "type=buffer", "<primray>", "type=null", "</primray>"), "4: warning: <primray> is not used in a block with type=buffer (did you mean <primary>?)"},
		{"block in a file", storeText("category=a", "type=file", "<store>", "</store>"), "4: warning: <store> is not used in a block with type=file (a block with type=file has no blocks in it: look for an end tag that is missing above)"},
		{"gap in a multi", storeText("category=a", "type=multi", "<store1>", "type=null", "</store1>", "<store3>", "type=null", "</store3>"),
			"7: warning: <store3> is not used, because there is none with the number before it (number the blocks without a gap, or call each of them <store>)"},
		{"unit", storeText("category=a", "type=file", "max_size=10MB"), "4: warning: max_size=10MB is read as 10 (write digits only; a unit is not understood)"},
		{"letters", "max_msg_per_second=lots\n", "1: warning: max_msg_per_second=lots is read as 0 (write digits only; a unit is not understood)"},
		{"two places", "state=/s\nstate_dir=/d\n", "2: warning: state_dir has no effect beside state (remove one of them)"},
		{"no words where there is a limit", "max_queue_size=none\n", "1: warning: max_queue_size=none is 0: every call is refused while its categories have anything queued (write bytes in decimal digits, as in 5000000)"},
		{"yes is a number in the old style", storeText("category=a", "type=file", "add_newlines=yes"), "4: warning: add_newlines=yes is read as 0: off (write add_newlines=1 or add_newlines=0: yes and no are not understood here)"},
		{"newlines twice", storeText("category=a", "type=file", "add_newlines=1"),
			"4: warning: add_newlines=1 puts a newline also behind messages that end with one, as those of scribe_pipe and of an inkwell forward or pipe do: an empty line behind each (write add_newlines=if-missing, or always if that is meant)"},
		{"newlines that are meant", storeText("category=a", "type=file", "add_newlines=always"), ""},
		{"markers of nothing", storeText("category=a", "type=file", "publish=yes", "done_markers=yes"),
			"5: error: done_markers=yes has no effect with rotate_period=never: no file is complete then (write rotate_period=daily, hourly or another period)"},
		{"kept how long", storeText("category=a", "type=file", "keep_total=1GB"), "4: warning: keep_total has no effect without compress (add compress=gzip or compress=zstd, or remove it)"},
		{"no address", storeText("category=a", "type=file", "publish=srv/depot"),
			"4: error: publish=srv/depot is no address: the files stay here (write s3://BUCKET/PREFIX, hdfs://NAMENODE:PORT/PATH or the path of a directory from the root)"},
		{"a bad address", storeText("category=a", "type=file", "publish=s3://b/p?endpiont=x"),
			`4: error: publish=s3://b/p?endpiont=x: address "s3://b/p?endpiont=x": unknown option "endpiont" (there are endpoint, region, path_style, sse, kms_key, storage_class): the files stay here (correct the address)`},
		{"a writer without an address", storeText("category=a", "type=file", "publish=yes", "who=web1"),
			"5: warning: who has no effect without an address in publish (write publish=s3://BUCKET/PREFIX, or remove it)"},
		{"a bad writer", storeText("category=a", "type=file", "publish=/d", "who=a_b"),
			`5: error: who="a_b": want up to 64 letters, digits, dots and hyphens: the name of the host is used (write a name as web1)`},
		{"levels of nothing", storeText("category=a", "type=file", "publish=yes", "level=1"), "5: warning: level has no effect without compress (add compress=gzip or compress=zstd, or remove it)"},
		{"octal", "check_interval=010\n", "1: warning: check_interval=010 is octal and read as 8 (write the number without the leading 0)"},
		{"hexadecimal", "check_interval=0x10\n", ""},
		{"base 10", "max_queue_size=0x100\n", "1: warning: max_queue_size=0x100 is read as 0 (write decimal digits only; a unit is not understood)"},
		{"base 10 refuses", "max_queue_size=0x100\n", "1: warning: max_queue_size=0x100 is 0: every call is refused while its categories have anything queued (write bytes in decimal digits, as in 5000000)"},
		{"newlines", storeText("category=a", "type=file", "add_newlines=yes"), "4: warning: add_newlines=yes is read as 0: off (write add_newlines=1 or add_newlines=0: yes and no are not understood here)"},
		{"boolean", storeText("category=a", "type=null", "must_succeed=No"), "4: warning: must_succeed=No is neither yes nor no: it is on (write must_succeed=yes or must_succeed=no)"},
		{"boolean that is off", buffer("replay_buffer=true"), "4: warning: replay_buffer=true is neither yes nor no: it is off (write replay_buffer=yes or replay_buffer=no)"},
		{"period", storeText("category=a", "type=file", "rotate_period=fortnightly"), "4: warning: rotate_period=fortnightly is not understood: never is used (write hourly, daily, never, or a number with w, d, h, m or s, as in 15m)"},
		{"hour", storeText("category=a", "type=file", "rotate_hour=24"), "4: warning: rotate_hour=24 never comes, the last one is 23: 1 is used (see docs/configuration.md)"},
		{"range 0", buffer("retry_interval_range=0"), "4: warning: retry_interval_range=0 is taken as 1 (the original ended with an error of arithmetic) (write 1 or more)"},
		{"range above", buffer("retry_interval=10\nretry_interval_range=11"), "5: warning: Bad config - retry_interval_range must not be more than retry_interval: 10 is used"},
		{"default range above", buffer("retry_interval=10"), ""},
		{"offset 0", buffer("max_random_offset=0"), "4: warning: max_random_offset=0 is taken as 1 (the original ended with an error of arithmetic) (write 1 or more)"},
		{"offset above", buffer("max_random_offset=101"), "4: warning: Bad config - max_random_offset must not be more than max_retry_interval: 100 is used"},
		{"least above most", buffer("min_retry_interval=101"), "4: warning: Bad config - min_retry_interval is more than max_retry_interval: 5 and 100 are used (swap them)"},
		{"ratio", buffer("buffer_bypass_max_ratio=2"), "4: warning: Bad config - buffer_bypass_max_ratio must be above 0 and at most 1: 0.75 is used"},
		{"member of a list", storeText("category=a", "type=network", "service_list=h:1 i:70000"), "4: error: i:70000 in service_list is not used: 70000 is no port (write HOST:PORT, or add list_default_port=1463)"},
		{"member without port", storeText("category=a", "type=network", "service_list=h:1 i"), "4: error: i in service_list is not used: the port is missing (write HOST:PORT, or add list_default_port=1463)"},
		{"bucket_type", storeText("category=a", "type=bucket", "num_buckets=1", "bucket_type=hash", "bucket_subdir=b", "<bucket>", someFile, "</bucket>"),
			"5: warning: bucket_type=hash is not known: context_log is used (write key_hash, key_modulo, key_range, random or context_log)"},
		{"delimiter", storeText("category=a", "type=bucket", "num_buckets=1", "bucket_type=key_hash", "delimiter=;", "bucket_subdir=b", "<bucket>", someFile, "</bucket>"),
			"6: warning: delimiter=; is not the code of a character: 58 is used (see docs/configuration.md)"},
		{"range of keys", storeText("category=a", "type=bucket", "num_buckets=1", "bucket_type=key_range", "bucket_subdir=b", "<bucket>", someFile, "</bucket>"),
			"1: warning: bucket_type=key_range with bucket_range=0 puts every message into bucket 0 (add bucket_range=N, one more than the largest key)"},
		{"no secondary", storeText("category=a", "type=buffer", "<primary>", "type=null", "</primary>"),
			"1: warning: Bad config - buffer store doesn't have secondary store: what the primary does not take waits in the journal (add a <secondary> block with type=file and a file_path of its own)"},
		{"secondary without type", storeText("category=a", "type=buffer", "<secondary>", "</secondary>", "<primary>", "type=null", "</primary>"),
			"4: warning: Bad config - buffer secondary store doesn't have a type: what the primary does not take waits in the journal (add a line type=file)"},
		{"no secondary in the new style", "inkwell 1\n" + storeText("category=a", "type=buffer", "<primary>", "type=null", "</primary>"),
			"2: error: Bad config - buffer store doesn't have secondary store: what the primary does not take waits in the journal (add a <secondary> block with type=file and a file_path of its own)"},
		{"bucket too much", storeText("category=a", "type=bucket", "num_buckets=1", "<bucket0>", "type=null", "</bucket0>", "<bucket1>", "type=null", "</bucket1>", "<bucket2>", "type=null", "</bucket2>"),
			"11: warning: <bucket2> is not used, because of num_buckets=1 (remove it, or write num_buckets=2)"},
		{"hidden prefix", storeText("category=pre*", "type=null") + storeText("category=p*", "type=null"),
			"1: warning: category pre* is hidden by p* of line 5: the shorter prefix takes its messages, as it always did (add prefix_match=longest at the top of the file, or remove it)"},
		{"hidden prefix in a list", storeText("categories=foo food* foo*", "type=null"),
			"1: warning: category food* is hidden by foo* of line 1: the shorter prefix takes its messages, as it always did (add prefix_match=longest at the top of the file, or remove it)"},
		{"longest prefix", "prefix_match=longest\n" + storeText("category=pre*", "type=null") + storeText("category=p*", "type=null"), ""},
		{"blank in a category", storeText("category=a b", "type=null"), "2: warning: category=a b is one category with blanks in its name (write categories= for several)"},
		{"twice", storeText("categories=a b a", "type=null"), "1: warning: category a stands twice in one block: it counts once (remove one of them)"},
		{"unsafe", storeText("category=../esc", "type=null"), "1: warning: category ../esc is not safe as the name of a file: its messages go to _unsafe (use a name without / and not made of dots)"},
		{"durability", "durability=maybe\n", "1: error: durability=maybe is not known: sync is used (write sync, write or memory)"},
		{"new size", "journal_max=lots\n", `1: error: journal_max: size "lots": want plain bytes (1000000), decimal units (kB, MB, GB, TB) or binary units (KiB, MiB, GiB, TiB), as in 1GB or 256MiB; 32GiB is used`},
		{"frame", "max_frame_size=1GiB\n", "1: error: max_frame_size=1GiB is not between 1KiB and 256MiB: 256MiB is used (see docs/configuration.md)"},
		{"level", storeText("category=a", "type=file", "compress=gzip", "level=11"), "5: error: level=11 is more than 9: 0 is used (see docs/configuration.md)"},
		{"keep", storeText("category=a", "type=file", "keep=30d"), "4: warning: keep has no effect without compress (add compress=gzip or compress=zstd, or remove it)"},
		{"codec", storeText("category=a", "type=file", "compress=lzo"), "4: error: compress=lzo is not known: none is used (write gzip, zstd or none)"},
		{"same files", storeText("category=a", "type=file", "file_path=/x/", "base_filename=b") + storeText("category=b", "type=file", "file_path=/x"),
			"7: warning: its files /x/b are also those of the store of line 1 (give each a file_path or base_filename of its own)"},
		{"two defaults with the same files", storeText("category=default", "type=file", "file_path=/x") + storeText("category=default", "type=file", "file_path=/x"),
			"6: warning: its files /x/* are also those of the store of line 1 (give each a file_path or base_filename of its own)"},
		{"other categories in the same directory", storeText("category=default", "type=file", "file_path=/x") + storeText("category=a*", "type=file", "file_path=/x"), ""},
		{"newlines in a secondary", storeText("category=a", "type=buffer", "<primary>", "type=null", "</primary>", "<secondary>", "type=file", "add_newlines=1", "</secondary>"),
			"9: warning: add_newlines has no effect in the secondary of a buffer, which keeps messages as they came (put it where they are written in the end)"},
		{"inherited by a secondary", "file::add_newlines=always\nfile::compress=gzip\n" + storeText("category=a", "type=buffer", "<primary>", "type=file", "file_path=/x", "</primary>", "<secondary>", "type=file", "</secondary>"), ""},
		{"tail", "<tail>\ncategory=a\n</tail>", "1: error: <tail> without path is not used (add path=/var/log/NAME*.log)"},
		{"pattern", "<tail>\ncategory=a\npath=/x/[\n</tail>", `3: error: pattern /x/[: [ is not closed: write \[ for the character (see docs/following.md for what a pattern can be)`},
		{"pipe", "<pipe>\n</pipe>", "1: error: <pipe> without category is not used (add category=NAME)"},
		{"two pipes", "<pipe>\ncategory=a\n</pipe>\n<pipe>\ncategory=a\n</pipe>\n", "4: error: there is one standard input: a second <pipe> is not used (remove it)"},
		{"key of a tail", "<tail>\ncategory=a\npath=/x\nfromend=yes\n</tail>", "4: warning: fromend is not known in a <tail> block (did you mean from_end?)"},
		{"new style", "inkwell 1\nprot=1\n", "2: error: prot is not known in what stands outside of all blocks (did you mean port?)"},
		{"new style, no number", "inkwell 1\nmax_conn=lots\n", "2: error: max_conn: lots is no number (write digits only, or a number with a unit if it is of bytes or of time)"},
		{"new style, no size", "inkwell 1\n" + storeText("category=a", "type=file", "max_size=-1"),
			`5: error: max_size: size "-1": want plain bytes (1000000), decimal units (kB, MB, GB, TB) or binary units (KiB, MiB, GiB, TiB), as in 1GB or 256MiB (write digits only, or a number with a unit if it is of bytes or of time)`},
		{"grammar", "port=1463\n</store>\n", "2: warning: </store> closes nothing and is ignored (remove it; the original did not read anything behind it)"},
	}
	for _, c := range cases {
		_, problems := load(c.text)
		found := c.want == "" && len(problems) == 0
		for _, p := range problems {
			found = found || p == c.want
		}
		if !found {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, strings.Join(problems, "\n"), c.want)
		}
	}
}

func TestDefaults(t *testing.T) {
	c, problems := load(storeText("category=default", "type=null"))
	if len(problems) != 0 || c.Status != "" {
		t.Errorf("%q %q", problems, c.Status)
	}
	c.File, c.Stores = nil, nil
	want := Config{MaxQueueSize: 5_000_000, MaxFrame: 256 << 20, MaxCategories: 4096, CheckInterval: 5 * time.Second, ThreadPerCategory: true, Durability: "sync", JournalMax: 32 << 30}
	if got := *c; got.Port != want.Port || got.Listen != nil || got.MaxMessagesPerSecond != 0 || got.MaxQueueSize != want.MaxQueueSize || got.MaxFrame != want.MaxFrame ||
		got.MaxConnections != 0 || got.MaxCategories != want.MaxCategories || got.CheckInterval != want.CheckInterval || !got.ThreadPerCategory || got.LongestPrefix ||
		got.Durability != "sync" || got.StateDir != "" || got.JournalMax != want.JournalMax {
		t.Errorf("%+v", got)
	}
}

// TestDefaultsOfTheNewStyle checks the defaults that differ: the journal is the queue.
func TestDefaultsOfTheNewStyle(t *testing.T) {
	for text, want := range map[string]int64{"": 5_000_000, "max_queue_size=7\n": 7, "inkwell 1\n": NoLimit, "inkwell 1\nmax_queue_size=none\n": NoLimit, "inkwell 1\nmax_queue_size=1MiB\n": 1 << 20} {
		c, problems := load(text + storeText("category=default", "type=null"))
		if len(problems) != 0 || c.MaxQueueSize != want {
			t.Errorf("%q: %d, %q; want %d", text, c.MaxQueueSize, problems, want)
		}
	}
	if Default("global", "max_queue_size") != "none" || Default("global", "max_conn") != "0" || Default("file", "add_newlines") != "never" {
		t.Error("Default does not tell those of the new style")
	}
}

// TestSpoolDir is only accepted in a configuration with an input.
func TestSpoolDir(t *testing.T) {
	buffer := storeText("category=default", "type=buffer", "spool_dir=/s #1", "<primary>", "type=network", "service_list=h:1", "</primary>")
	input := "<tail>\ncategory=a\npath=/x\n</tail>\n"
	c, problems := load(input + buffer)
	if b := c.Stores[0].Sink.(Buffer); len(problems) != 0 || b.SpoolDir != "/s" || b.Primary == nil || b.Secondary != (Null{}) {
		t.Errorf("%q %+v", problems, c.Stores[0].Sink)
	}
	_, problems = load(input + strings.Replace(buffer, "</store>", "<secondary>\ntype=file\n</secondary>\n</store>", 1))
	if len(problems) != 1 || problems[0] != "13: warning: <secondary> has no effect beside spool_dir (remove one of them)" {
		t.Errorf("%q", problems)
	}
	_, problems = load("<tail>\ncategory=a.{b}\npath=/{c}/x\n</tail>\n" + buffer)
	if len(problems) != 1 || !strings.Contains(problems[0], "{b} is not known here") {
		t.Errorf("an input with a mistake: %q", problems)
	}
	c, problems = load(buffer)
	if len(problems) != 1 || !strings.Contains(problems[0], "error: Bad config - spool_dir in a file without an input") || c.Stores[0].Sink != nil || c.Status == "" {
		t.Errorf("%q %+v", problems, c.Stores[0])
	}
}
