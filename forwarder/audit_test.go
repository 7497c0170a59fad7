package forwarder

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReadPositions(t *testing.T) {
	const one, two = "01000000000000000000000000000000", "02000000000000000000000000000000"
	cases := map[string]struct {
		header string
		lines  []string
		want   string
		bad    int
		fails  bool
	}{
		"none":    {header: "inkwell positions 4\n"},
		"foreign": {header: "inkwell positions 9\n", lines: []string{"whatever"}, bad: 2, fails: true},
		"numbered": {
			header: "inkwell positions 4\n",
			lines: []string{
				`a fe01:1 3:ab 3:cd 100 0 0 10 ` + one + ` "web" "/var/log/a b\n\"x"`,
				`a fe01:1 3:ab 3:cd 200 0 0 20 ` + one + ` "web" "/var/log/a b\n\"x"`,
				`f fe01:2 3:ab 3:cd 100 0 0 7 ` + two + ` "web" "/var/log/b"`,
				`r fe01:2 0:0 0:0 0 0 0 0 ` + strings.Repeat("0", 32) + ` "web" "/var/log/b"`,
				`a fe01:6 0:0 0:0 0 0 0 0 ` + strings.Repeat("0", 32) + ` "web" "/var/log/c"`,
				`i fe01:3 3:ab 3:cd 100 0 0 99 ` + two + ` "web" "/var/log/b"`,
				`a fe01:4 3:ab 3:cd 100 0 0 3 ` + two + ` "db" "/var/log/b"`,
				`a fe01:5 3:ab 3:cd 100 0 0 -3 ` + two + ` "bad" "/var/log/b"`,
				`a fe01:5 3:ab 3:cd 100 0 0 3 beef "bad" "/var/log/b"`,
			},
			want: `02 "db" "/var/log/b" 3; 01 "web" "/var/log/a b\n\"x" 20; 02 "web" "/var/log/b" 7`, bad: 2,
		},
		"of version 2": {
			header: "inkwell positions 2\n",
			lines:  []string{`a fe01:1 3:ab 3:cd 100 10 ` + one + ` "web" "/var/log/a"`, `f fe01:2 3:ab 3:cd 100 11 ` + two + ` "web" "/var/log/b"`},
			want:   `01 "web" "/var/log/a" 10; 02 "web" "/var/log/b" 11`,
		},
	}
	for name, c := range cases {
		dir := t.TempDir()
		text := c.header
		for _, l := range c.lines {
			text += fmt.Sprintf("%08x %s\n", crc32.Checksum([]byte(l), castagnoli), l)
		}
		if err := os.WriteFile(filepath.Join(dir, positionsName), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		list, bad, err := ReadPositions(dir)
		var got []string
		for _, p := range list {
			got = append(got, fmt.Sprintf("%02x %q %q %d", p.Stream[0], p.Category, p.Path, p.Number))
		}
		if s := strings.Join(got, "; "); s != c.want || bad != c.bad || err != nil != c.fails {
			t.Errorf("%s: %s, %d bad, %v; want %s, %d", name, s, bad, err, c.want, c.bad)
		}
	}
	missing := filepath.Join(t.TempDir(), "missing")
	if _, _, err := ReadPositions(missing); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no positions: %v", err)
	}
	if _, err := os.Stat(missing); err == nil {
		t.Error("looking made the directory")
	}
}
