package main

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestRotatelogsOptions(t *testing.T) {
	for args, want := range map[string]string{
		"a 5":                  "a every 5s",
		"a 5K":                 "a size 5120",
		"a 7B":                 "a size 7",
		"a 4G":                 "a size 4294967296",
		"a 5G":                 "a size 5368709120",
		"a 100000G":            "a size 107374182400000",
		"a 60 1M":              "a every 1m0s size 1048576",
		"a 60 1M -90":          "a every 1m0s size 1048576 offset -5400",
		"a 5M 10":              "a size 5242880 offset 600",
		"a 10 20":              "a every 10s offset 1200",
		"-l a 60":              "a every 1m0s local",
		"-lfc a 60":            "a every 1m0s local now empty",
		"-L l -pprog -n3 a 60": "a every 1m0s link l program prog count 3",
		"-tDeT -v -- -a 60":    "-a every 1m0s dirs truncate later echo verbose",
		"a":                    "! Incorrect number of arguments",
		"a 1 2K 3 4":           "! Incorrect number of arguments",
		"a 0":                  "! Invalid rotation time parameter",
		"a -5":                 "! Invalid rotation time parameter",
		"a soon":               "! Invalid rotation time parameter",
		"a 99999999999":        "! Invalid rotation time parameter",
		"a 10 20 5M":           "! Rotation time parameter allowed only once",
		"a 5M 5M":              "! Rotation size parameter allowed only once",
		"a 0M":                 "! Invalid rotation size parameter",
		"a 5K5":                "! Invalid rotation size parameter",
		"a 5MB":                "! Invalid rotation size parameter",
		"a 1.5M":               "! Invalid rotation size parameter",
		"a K":                  "! Invalid rotation size parameter",
		"a 99999999999999G":    "! Invalid rotation size parameter",
		"-l a 10 60":           "! UTC offset parameter is not valid with -l",
		"a 10 x":               `! offset "x": want minutes from UTC`,
		"-z a 10":              "! rotatelogs: illegal option -- z",
		"-L":                   "! rotatelogs: option requires an argument -- L",
		"-n 0 a 10":            "! Invalid -n argument",
		"-n x a 10":            "! Invalid -n argument",
		"-n 3 a%Y 10":          "! Cannot use -n with % in filename",
	} {
		o, verbose, err := rotatelogsOptions(strings.Fields(args))
		got := o.Name
		add := func(cond bool, format string, args ...any) {
			if cond {
				got += " " + fmt.Sprintf(format, args...)
			}
		}
		add(o.Every > 0, "every %v", o.Every)
		add(o.MaxSize > 0, "size %d", o.MaxSize)
		if o.Zone != nil && o.Zone != time.Local {
			_, offset := time.Unix(0, 0).In(o.Zone).Zone()
			add(true, "offset %d", offset)
		}
		add(o.Zone == time.Local, "local")
		add(o.OpenNow, "now")
		add(o.Empty, "empty")
		add(o.MakeDirs, "dirs")
		add(o.Truncate, "truncate")
		add(o.TruncateLater, "later")
		add(o.Echo != nil, "echo")
		add(o.Link != "", "link %s", o.Link)
		add(o.Program != "", "program %s", o.Program)
		add(o.Count > 0, "count %d", o.Count)
		add(verbose, "verbose")
		if err != nil {
			got = "! " + err.Error()
		}
		if got != want {
			t.Errorf("rotatelogs %s: %q, want %q", args, got, want)
		}
	}
}

func TestRotatelogsExitCodes(t *testing.T) {
	dir := t.TempDir()
	usage := "Usage: rotatelogs [-vlfDtTec] [-L linkname] [-p prog] [-n number] <logfile> {<rotation time in seconds>|<rotation size>(B|K|M|G)} [offset minutes from UTC]\n"
	if r := tool(t, 0, "", "rotatelogs", dir+"/a"); r.code != 1 || r.stdout != "" || !strings.HasPrefix(r.stderr, "Incorrect number of arguments\n"+usage) {
		t.Errorf("%+v", r)
	}
	if r := tool(t, 0, "", "rotatelogs", "-n", "0", dir+"/a", "5"); r != (result{code: 1, stderr: "Invalid -n argument\n"}) {
		t.Errorf("%+v", r)
	}
	if r := tool(t, 0, "line\n", "rotatelogs", dir+"/missing/a", "5"); r.code != 2 || !strings.Contains(r.stderr, "missing/a.") {
		t.Errorf("%+v", r)
	}
	if r := tool(t, 0, "one\ntwo", "rotatelogs", "-e", "-t", dir+"/a", "5M"); r != (result{stdout: "one\ntwo"}) {
		t.Errorf("%+v", r)
	}
	if r := tool(t, 0, "one\ntwo", "inkwell", "rotatelogs", "-v", "-t", dir+"/a", "5M"); r.code != 0 || !strings.Contains(r.stderr, "Rotation size interval:           5242880\n") || !strings.Contains(r.stderr, "opening file") {
		t.Errorf("%+v", r)
	}
	if data, err := os.ReadFile(dir + "/a"); err != nil || string(data) != "one\ntwo" {
		t.Errorf("%q, %v", data, err)
	}
}

// TestRotatelogsNamesAreThoseOfApache gives the same arguments and lines to Debian's rotatelogs.
func TestRotatelogsNamesAreThoseOfApache(t *testing.T) {
	for _, args := range []string{
		"log 100000000", "log 100000000 60", "-l log 100000000", "log 100000000 -300 ", "-l log.%Y-%m-%d 86400", "log.%Y-%m-%d 86400 720", "-l log.%a%A%b%B%d%e%G%g%h%j%m%u%U%V%w%W%y%Y%p 31536000",
		"-D %Y/%m/log.%d 86400 1G", "-t log 86400", "-t log.%Y 5M", "-n 3 log 5B", "-T log.%Y 86400", "-c log.%j 86400", "log.%%%Y-%H 10000000",
		"-L link log.%G 86400", "-f log.%C 5M",
	} {
		for range 3 { // the second may be another one for the two
			before := time.Now().Unix()
			dirs := [2]string{t.TempDir(), t.TempDir()}
			for i, program := range []string{"/usr/bin/rotatelogs", "inkwell"} {
				t.Chdir(dirs[i])
				if program == "inkwell" {
					if r := tool(t, 0, "one\n", "rotatelogs", strings.Fields(args)...); r.code != 0 {
						t.Errorf("%s: %+v", args, r)
					}
					continue
				}
				cmd := exec.Command(program, strings.Fields(args)...)
				cmd.Stdin = strings.NewReader("one\n")
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Errorf("%s: %v\n%s", args, err, out)
				}
			}
			want, got := tree(t, dirs[0]), tree(t, dirs[1])
			if slices.Equal(want, got) {
				break
			}
			if time.Now().Unix() == before {
				t.Errorf("%s: %q, want %q", args, got, want)
			}
		}
	}
}

// tree lists the files below a directory, with their contents.
func tree(t *testing.T, dir string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		files = append(files, strings.TrimPrefix(path, dir)+" "+string(data))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
