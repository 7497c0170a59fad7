package conf

import (
	"math"
	"testing"
)

func TestNumbers(t *testing.T) {
	const most = math.MaxUint64
	cases := []struct {
		text     string
		unsigned uint64
		decimal  uint64
		clean    [2]bool
	}{
		{"0", 0, 0, [2]bool{true, true}},
		{"1463", 1463, 1463, [2]bool{true, true}},
		{"0x10", 16, 0, [2]bool{true, false}},
		{"0X1f", 31, 0, [2]bool{true, false}},
		{"010", 8, 10, [2]bool{true, true}},
		{"08", 0, 8, [2]bool{false, true}},
		{"0x", 0, 0, [2]bool{}},
		{"0xg", 0, 0, [2]bool{}},
		{"", 0, 0, [2]bool{}},
		{"lots", 0, 0, [2]bool{}},
		{"12abc", 12, 12, [2]bool{}},
		{"1 000", 1, 1, [2]bool{}},
		{" 7", 7, 7, [2]bool{true, true}},
		{"+7", 7, 7, [2]bool{true, true}},
		{"-", 0, 0, [2]bool{}},
		{"-1", most, most, [2]bool{}},
		{"-0", 0, 0, [2]bool{true, true}},
		{"18446744073709551615", most, most, [2]bool{true, true}},
		{"18446744073709551616", most, most, [2]bool{}},
		{"99999999999999999999999", most, most, [2]bool{}},
		{"-99999999999999999999999", most, most, [2]bool{}},
		{"-9223372036854775808", 1 << 63, 1 << 63, [2]bool{}},
	}
	for _, c := range cases {
		if n, clean := Unsigned(c.text); n != c.unsigned || clean != c.clean[0] {
			t.Errorf("Unsigned(%q) = %d, %v", c.text, n, clean)
		}
		if n, clean := Decimal(c.text); n != c.decimal || clean != c.clean[1] {
			t.Errorf("Decimal(%q) = %d, %v", c.text, n, clean)
		}
	}
	floats := []struct {
		text  string
		want  float64
		clean bool
	}{{"0.75", 0.75, true}, {" 1", 1, true}, {"1e-1", 0.1, true}, {"0.5x", 0.5, false}, {"", 0, false}, {"half", 0, false}, {"-1", -1, true}, {"NaN", 0, false}}
	for _, c := range floats {
		if f, clean := Float(c.text); f != c.want || clean != c.clean {
			t.Errorf("Float(%q) = %v, %v", c.text, f, clean)
		}
	}
}
