package pipelog

import (
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// TestStrftimeIsThatOfC compares with date(1), which formats with the C library's rules.
func TestStrftimeIsThatOfC(t *testing.T) {
	const conversions = "aAbBcCdDeFgGhHIjklmMpPrRsStTuUVwWxXyYzZ%n"
	var formats []string
	for _, c := range conversions {
		for _, flag := range []string{"", "-", "_", "0", "^", "E", "O"} {
			switch {
			case flag == "E" && !strings.ContainsRune("cCxXyY", c), flag == "O" && !strings.ContainsRune("deHImMSuUVwWy", c),
				flag != "" && strings.ContainsRune("%ntzZ", c), strings.ContainsRune("cDFrRTxX", c) && strings.Contains("-_0", flag) && flag != "", c == '%':
				continue // no conversion of POSIX or GNU, or a separate matter
			}
			formats = append(formats, "%"+flag+string(c))
		}
	}
	template := strings.Join(formats, "|")
	berlin := zone(t, "Europe/Berlin")
	for _, at := range []int64{0, 946684800, 1767225599, 1767225600, 1798761599, 1609459200, 1609632000, 1772323199, 1795426052, 1774746000, 1761440400} {
		cmd := exec.Command("date", "-d", "@"+itoa(at), "+"+template)
		cmd.Env = []string{"TZ=Europe/Berlin", "LC_ALL=C", "PATH=/usr/bin:/bin"}
		want, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		real := time.Unix(at, 0).In(berlin)
		_, offset := real.Zone()
		got := strings.Split(strftime(template, moment{wall: time.Unix(at+int64(offset), 0).UTC(), real: real}), "|")
		for i, w := range strings.Split(strings.TrimSuffix(string(want), "\n"), "|") {
			if got[i] != w {
				t.Errorf("%d: %s = %q, want %q", at, formats[i], got[i], w)
			}
		}
	}
}

func TestStrftimeLeavesWhatItDoesNotKnow(t *testing.T) {
	m := moment{wall: time.Unix(0, 0).UTC(), real: time.Unix(0, 0).UTC()}
	for _, s := range []string{"", "plain", "%", "a%", "%E", "%Q", "%-", "%5d", "100%/x"} {
		if got := strftime(s, m); got != s {
			t.Errorf("%q became %q", s, got)
		}
	}
	if got := strftime("a%%b%Yc", m); got != "a%b1970c" {
		t.Errorf("%q", got)
	}
}
