package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"inkwell/internal/config"
)

// write puts text into a file and returns its name.
func write(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "scribe.conf")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestCheck(t *testing.T) {
	good := "port=1463\n<store>\ncategory=default\ntype=file\n</store>\n"
	cases := []struct {
		name, text, stdout, stderr string // with FILE for the name
		code                       int
	}{
		{"good", good, "FILE: 1 of 1 store usable, 0 errors, 0 warnings\n", "", exitOK},
		{"warnings are fine", good + "colour=blue\n</store>\n",
			"FILE:6: warning: colour is not known in what stands outside of all blocks (remove it, or see docs/configuration.md for what there is)\n" +
				"FILE:7: warning: </store> closes nothing and is ignored (remove it; the original did not read anything behind it)\n" +
				"FILE: 1 of 1 store usable, 0 errors, 2 warnings\n", "", exitOK},
		{"a bad store", good + "<store>\ncategory=a\n</store>\n",
			"FILE:6: error: Bad config - no type for store with category: a (add a line type=file, network, buffer …)\nFILE: 1 of 2 stores usable, 1 error, 0 warnings\n",
			"inkwell check: FILE has errors\n", exitFailed},
		{"nothing", "", "FILE: 0 of 0 stores usable, 0 errors, 0 warnings\nFILE: nothing of it is used: No stores configured successfully: no <store> block\n", "inkwell check: FILE has errors\n", exitFailed},
		{"new style", "inkwell 1\n" + good + "colour=blue\n",
			"FILE:7: error: colour is not known in what stands outside of all blocks (remove it, or see docs/configuration.md for what there is)\n" +
				"FILE: 1 of 1 store usable, 1 error, 0 warnings\n" +
				"FILE: nothing of it is used: No stores configured successfully: FILE:7: colour is not known in what stands outside of all blocks\n", "inkwell check: FILE has errors\n", exitFailed},
	}
	for _, c := range cases {
		name := write(t, c.text)
		fill := func(s string) string { return strings.ReplaceAll(s, "FILE", name) }
		r := inkwell(t, nil, "check", name)
		if r.code != c.code || r.stdout != fill(c.stdout) || r.stderr != fill(c.stderr) {
			t.Errorf("%s: code %d\n%s%s", c.name, r.code, r.stdout, r.stderr)
		}
	}
	if r := inkwell(t, nil, "check", "/does/not/exist"); r.code != exitFailed || r.stdout != "" || !strings.Contains(r.stderr, "/does/not/exist: no such file") {
		t.Errorf("a file that is missing: %+v", r)
	}
}

func TestCheckUsage(t *testing.T) {
	for args, want := range map[string]string{
		"check":                                         "FILE is missing",
		"check a b":                                     `"b" is one argument too many`,
		"check --prnt a":                                "--prnt",
		"check --print --":                              "COMMAND is missing",
		"check --print -- cat x":                        `"cat" has no configuration`,
		"check --print -- collect":                      "--dir DIR is missing",
		"check --print -- collect --dir":                "--dir",
		"check --print -- collect --dir x y":            `"y" is one argument too many`,
		"check --print -- forward --to h:1 a=/x":        "--state DIR is missing",
		"check --print -- forward --state s a=/x":       "--to HOST:PORT is missing",
		"check --print -- forward --to h:x:y --state s": "want HOST:PORT",
		"check --print -- pipe --to h:1":                "pipe needs one CATEGORY",
	} {
		r := inkwell(t, nil, strings.Fields(args)...)
		if r.code != exitUsage || !strings.Contains(r.stderr, want) || r.stdout != "" {
			t.Errorf("%s: code %d, %q %q; want code 2 and %q", args, r.code, r.stdout, r.stderr, want)
		}
	}
}

func TestCheckPrint(t *testing.T) {
	name := write(t, `port=1463
max_msg_per_second=2000000
<store>
category=default
type=buffer
retry_interval=30
retry_interval_range=10
<primary>
type=network
service_list=a:1 b:2
use_conn_pool=yes
</primary>
<secondary>
type=file
file_path=/buf
max_size=3000000
</secondary>
</store>
<store>
categories=web* mail
type=multi
<store>
type=file
file_path=/x
sub_directory=s
rotate_period=daily
add_newlines=always
write_stats=yes
</store>
<store>
type=multifile
file_path=/y
max_size=0
</store>
</store>
<store>
category=bk
must_succeed=no
type=bucket
num_buckets=20
bucket_type=key_hash
bucket_subdir=b
<bucket>
type=thriftfile
file_path=/b
</bucket>
</store>
<store>
category=bad
type=fiel
</store>
<store>
category=null
type=null
</store>
`)
	want := `FILE:50: error: Bad config - can't create a store of type: fiel (did you mean type=file?)
FILE
├─ listens on port 1463, calls up to 256 MiB, 2000000 messages a second
├─ durability sync, state in the directory of the system, journal up to 32 GiB
├─ queues: one for each category, of up to 5000000 bytes, 4096 at most; checked every 5s; the shortest prefix wins
├─ default → buffer, primary tried again after 25s to 34s, replayed in order
│  ├─ primary: network a:1 b:2, any of them, timeout 5s, calls up to 4.0 MiB, shared connection
│  ├─ secondary: file /buf/CATEGORY/CATEGORY_NNNNN, rotated at 3000000 bytes, no link
│  └─ given to it when 16384 bytes wait, or after 1s
├─ web*, mail → multi, done when all of these have it
│  ├─ file /x/CATEGORY/s/CATEGORY-YYYY-MM-DD_NNNNN, rotated daily at 01:15 or at 1000000000 bytes, add_newlines, write_stats
│  ├─ category, for each category a store of its own
│  │  └─ file /y/CATEGORY/CATEGORY/CATEGORY_NNNNN, never rotated
│  └─ given to it when 16384 bytes wait, or after 1s
├─ bk → bucket, 20 by key_hash, delimiter ':'
│  ├─ 0: thriftfile /b/b000/bk_NNNNN, rotated at 1000000000 bytes
│  ├─ 1: thriftfile /b/b001/bk_NNNNN, rotated at 1000000000 bytes
│  ├─ 2: thriftfile /b/b002/bk_NNNNN, rotated at 1000000000 bytes
│  ├─ 3: thriftfile /b/b003/bk_NNNNN, rotated at 1000000000 bytes
│  ├─ 4: thriftfile /b/b004/bk_NNNNN, rotated at 1000000000 bytes
│  ├─ 5: thriftfile /b/b005/bk_NNNNN, rotated at 1000000000 bytes
│  ├─ …
│  ├─ 20: thriftfile /b/b020/bk_NNNNN, rotated at 1000000000 bytes
│  └─ given to it when 16384 bytes wait, or after 1s; what it cannot take is lost
├─ bad ✗ line 48: Bad config - can't create a store of type: fiel
└─ null → null
   └─ given to it when 16384 bytes wait, or after 1s
FILE: 4 of 5 stores usable, 1 error, 0 warnings
`
	r := inkwell(t, nil, "check", "--print", name)
	if got := strings.ReplaceAll(r.stdout, name, "FILE"); got != want || r.code != exitFailed {
		t.Errorf("code %d\n%s", r.code, got)
	}
}

func TestCheckPrintsFlags(t *testing.T) {
	cases := []struct{ args, want string }{
		{"collect --dir /srv/logs --max-size 256MiB --rotate-at 04:30 --keep 30d --keep-open --add-newlines if-missing", `inkwell 1
listen=127.0.0.1:1463
state=/srv/logs/.inkwell
max_frame_size=64MiB
max_trusted_frame_size=256MiB
max_conn=1024
max_in_flight=256MiB

<store>
category=default
type=file
file_path=/srv/logs
compress=gzip
rotate_period=daily
rotate_hour=4
rotate_minute=30
max_size=256MiB
add_newlines=if-missing
keep=30d
keep_open=yes
</store>
`},
		{"collect --dir /d --listen h:1,i:2 --state /s --compress none --rotate 1h30m --add-newlines always", `inkwell 1
listen=h:1
listen=i:2
state=/s
max_frame_size=64MiB
max_trusted_frame_size=256MiB
max_conn=1024
max_in_flight=256MiB

<store>
category=default
type=file
file_path=/d
publish=yes
rotate_period=1h30m
max_size=1GB
add_newlines=always
</store>
`},
		{"collect --dir /d --listen tls://h:1 --listen unix:/s/sock --tls-cert c.pem --tls-key k.pem --tls-ca ca.pem --allow *.example.com=web*,mail --allow unix:uid=33=* --compress none", `inkwell 1
listen=tls://h:1
listen=unix:/s/sock
tls_cert=c.pem
tls_key=k.pem
tls_ca=ca.pem
state=/d/.inkwell
max_frame_size=64MiB
max_trusted_frame_size=256MiB
max_conn=1024
max_in_flight=256MiB

<allow>
from=*.example.com
categories=web* mail
</allow>

<allow>
from=unix:uid=33
categories=*
</allow>

<store>
category=default
type=file
file_path=/d
publish=yes
rotate_period=daily
rotate_hour=0
rotate_minute=0
max_size=1GB
</store>
`},
		{"pipe --to tls://a:1,unix:/s/sock --tls-ca ca.pem --tls-server-name logs web", `inkwell 1

<pipe>
category=web
</pipe>

<store>
category=default
type=network
service_list=tls://a:1 unix:/s/sock
service_order=listed
timeout=30s
tls_ca=ca.pem
tls_server_name=logs
</store>
`},
		{"forward --to a:1,b:2 --state /s --from end web=/var/log/*.log app=/x", `inkwell 1
state=/s

<tail>
category=web
path=/var/log/*.log
from_end=yes
</tail>

<tail>
category=app
path=/x
from_end=yes
</tail>

<store>
category=default
type=buffer
spool_dir=/s/spool
spool_max=8GiB
<primary>
type=network
service_list=a:1 b:2
service_order=listed
timeout=30s
</primary>
</store>
`},
		{"pipe --to a:1 --when-full drop web", `inkwell 1

<pipe>
category=web
when_full=drop
</pipe>

<store>
category=default
type=network
service_list=a:1
service_order=listed
timeout=30s
</store>
`},
		{"pipe --to a:1 --spool /s web", `inkwell 1

<pipe>
category=web
</pipe>

<store>
category=default
type=buffer
spool_dir=/s
spool_max=1GiB
<primary>
type=network
service_list=a:1
service_order=listed
timeout=30s
</primary>
</store>
`},
	}
	for _, c := range cases {
		r := inkwell(t, nil, append([]string{"check", "--print", "--"}, strings.Fields(c.args)...)...)
		if r.code != exitOK || r.stdout != c.want {
			t.Errorf("%s: code %d, stderr %q\n%s", c.args, r.code, r.stderr, r.stdout)
		}
		if loaded := config.Load("f", []byte(r.stdout)); len(loaded.Problems) > 0 || loaded.Status != "" {
			t.Errorf("%s: %v %s", c.args, loaded.Problems, loaded.Status)
		}
	}
	r := inkwell(t, []string{"INKWELL_MAX_SIZE=7MiB"}, "check", "--print", "--", "collect", "--dir", "/d")
	if !strings.Contains(r.stdout, "\nmax_size=7MiB\n") {
		t.Errorf("a flag from the environment:\n%s", r.stdout)
	}
}

// TestGuardMistakes refuses rules and certificates that would not protect what the user believes they protect.
func TestGuardMistakes(t *testing.T) {
	for args, want := range map[string]string{
		"collect --dir /d --listen tls://h:1":               "need --tls-cert",
		"collect --dir /d --tls-cert c --tls-key k":         "there is none",
		"collect --dir /d --listen tls://h:1 --tls-cert c":  "need each other",
		"collect --dir /d --listen tls:/h:1":                "want HOST:PORT",
		"collect --dir /d --http localhost":                 "want HOST:PORT",
		"collect --dir /d --http tls://h:1":                 "need --tls-cert",
		"collect --dir /d --allow-status 10.0.0.0/99":       "neither an address nor a range",
		"forward --to h:1 --state /s --http x a=/b":         "is no address to listen on",
		"collect --dir /d --allow 10.0.0.0/99=x":            "neither an address nor a range",
		"collect --dir /d --allow everybody":                "want FROM=CATEGORY",
		"collect --dir /d --idle-timeout 1ms":               "must be 1s or more",
		"collect --dir /d --max-in-flight 1":                "1MiB or more",
		"collect --dir /d --max-connections-per-address -1": "want a number",
		"pipe --to a:1 --tls-ca ca.pem x":                   "no address is one",
		"pipe --to tls://a:1 --tls-cert c x":                "need each other",
		"forward --to tls://:1 --state /s a=/b":             "want HOST:PORT",
		"cat-to --tls-ca ca.pem localhost x":                "no address is one",
		"ctl status --tls-ca ca.pem localhost":              "no address is one",
	} {
		r := inkwell(t, nil, strings.Fields(args)...)
		if r.code != exitUsage || !strings.Contains(r.stderr, want) {
			t.Errorf("%s: code %d, %s", args, r.code, r.stderr)
		}
	}
}

// TestMistakesAreToldOnce does not print the status of a file, because it repeats the first mistake.
func TestMistakesAreToldOnce(t *testing.T) {
	err := mistakes(config.Load("FILE", []byte("<store>\ncategory=default\ntype=nett\n</store>\n")))
	if err == nil || strings.Count(err.Error(), "nett") != 1 || !strings.HasPrefix(err.Error(), "FILE:3: error: ") {
		t.Errorf("%v", err)
	}
	if err := mistakes(config.Load("FILE", nil)); err == nil || !strings.Contains(err.Error(), "no <store> block") {
		t.Errorf("of an empty file: %v", err)
	}
}
