package conf

import (
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

func TestParseSize(t *testing.T) {
	good := map[string]int64{
		"0": 0, "1000000": 1000000, "1GB": 1e9, "1gb": 1e9, "256MiB": 256 << 20, "8GiB": 8 << 30, "1.5GiB": 3 << 29, " 64 MiB ": 64 << 20,
		"9223372036854775807": 1<<63 - 1, "2TB": 2e12,
	}
	for text, want := range good {
		if got, err := ParseSize(text); err != nil || got != want {
			t.Errorf("ParseSize(%q) = %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "-1", "1,5GB", "GB", "1 parsec", "9223372036854775808", "99999999999GB", "1e9", "0x10"} {
		got, err := ParseSize(text)
		if err == nil {
			t.Errorf("ParseSize(%q) = %d, want an error", text, got)
		} else if !strings.Contains(err.Error(), "256MiB") || !strings.Contains(err.Error(), text) {
			t.Errorf("ParseSize(%q): the error %q does not name the value and the forms that are allowed", text, err)
		}
	}
}

func TestParseDuration(t *testing.T) {
	good := map[string]time.Duration{
		"0": 0, "10s": 10 * time.Second, "1h30m": 90 * time.Minute, "30d": 30 * 24 * time.Hour, "1d12h": 36 * time.Hour, "0d": 0,
	}
	for text, want := range good {
		if got, err := ParseDuration(text); err != nil || got != want {
			t.Errorf("ParseDuration(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "10", "-5s", "-1d", "1d-5s", "1.5d", "d", "200000d", "99999999999d", "1dd", "soon"} {
		got, err := ParseDuration(text)
		if err == nil {
			t.Errorf("ParseDuration(%q) = %v, want an error", text, got)
		} else if !strings.Contains(err.Error(), "30d") {
			t.Errorf("ParseDuration(%q): the error %q does not say what is allowed", text, err)
		}
	}
}

func TestFromEnvironment(t *testing.T) {
	env := map[string]string{
		"INKWELL_MAX_SIZE": "2GB", "INKWELL_KEEP": "7d", "INKWELL_TO": "a:1,b:2", "INKWELL_ONCE": "true", "INKWELL_STATE": "", "INKWELL_HELP": "nonsense",
	}
	lookup := func(name string) (string, bool) { v, ok := env[name]; return v, ok }
	var size int64
	var keep time.Duration
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	flags.Var(Value(&size, "1GB", "size", ParseSize), "max-size", "")
	flags.Var(Value(&keep, "0", "duration", ParseDuration), "keep", "")
	flags.Bool("help", false, "")
	to := flags.StringSlice("to", nil, "")
	once := flags.Bool("once", false, "")
	state := flags.String("state", "default", "")
	if size != 1e9 {
		t.Fatalf("default size %d", size)
	}
	if err := flags.Parse([]string{"--keep", "1d"}); err != nil {
		t.Fatal(err)
	}
	if err := FromEnvironment(flags, lookup); err != nil {
		t.Fatal(err)
	}
	if size != 2e9 || keep != 24*time.Hour || strings.Join(*to, " ") != "a:1 b:2" || !*once || *state != "default" {
		t.Errorf("size %d keep %v to %v once %v state %q: environment beats the default and a flag beats both", size, keep, *to, *once, *state)
	}
	if !flags.Changed("max-size") {
		t.Error("a flag from the environment does not count as given")
	}
}

func TestFromEnvironmentNamesEveryBadVariable(t *testing.T) {
	var size int64
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	flags.Var(Value(&size, "1GB", "size", ParseSize), "max-size", "")
	flags.Bool("once", false, "")
	err := FromEnvironment(flags, func(string) (string, bool) { return "lots", true })
	if err == nil || !strings.Contains(err.Error(), "INKWELL_MAX_SIZE") || !strings.Contains(err.Error(), "INKWELL_ONCE") || !strings.Contains(err.Error(), "256MiB") {
		t.Errorf("error %v", err)
	}
	if size != 1e9 {
		t.Errorf("a refused value changed the size to %d", size)
	}
}

func TestValuePanicsOnBadDefault(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	var size int64
	Value(&size, "lots", "size", ParseSize)
}
