package conf

import (
	"fmt"
	"strings"
	"testing"
	"testing/quick"
	"unicode"
)

// dump shows a tree in one line: key=value and name{…} in the order of the tree.
func dump(b *Block) string {
	var parts []string
	for _, p := range b.Own() {
		parts = append(parts, p.Key+"="+p.Text)
	}
	for _, s := range b.Blocks {
		parts = append(parts, s.Name+"{"+dump(s)+"}")
	}
	return strings.Join(parts, " ")
}

func TestParse(t *testing.T) {
	cases := []struct {
		name, text, want string
		problems         []string // without the name of the file, in order
	}{
		{"nothing", "", "", nil},
		{"comments and blanks", "# c\n\n \t\n  port = 1463 # the port\n", "port=1463", nil},
		{"a comment cuts anywhere", "a=b#c\nurl=http://x/#y", "a=b url=http://x/", nil},
		{"first = splits", "a=b=c", "a=b=c", nil},
		{"only spaces and tabs are trimmed", "a= \tb \v\t", "a=b \v", nil},
		{"an empty value", "a=\n", "a=", nil},
		{"DOS", "\uFEFFport=1\r\n<store>\r\ntype=file\r\n</store>\r\n", "port=1 store0{type=file}", nil},
		{"stores are numbered at every level", "<store>\n<store>\na=1\n</store>\n<store>\n</store>\n</store>\n<store>\n</store>",
			"store0{store0{a=1} store1{}} store1{}", nil},
		{"byte order", strings.Repeat("<store>\n</store>\n", 12) + "<a>\n</a>\n<Z>\n</Z>",
			"Z{} a{} store0{} store1{} store10{} store11{} store2{} store3{} store4{} store5{} store6{} store7{} store8{} store9{}", nil},
		{"duplicate key", "a=1\na=2", "a=1 a=2", []string{"2: warning: Bad config - duplicate key a: 2 is used, not 1 of line 1 (remove one of them)"}},
		{"repeated key", "listen=1\nlisten=2", "listen=1 listen=2", nil},
		{"repeated block", "<tail>\n</tail>\n<tail>\n</tail>", "tail0{} tail1{}", nil},
		{"duplicate block", "<x>\na=1\n</x>\n<x>\na=2\n</x>", "x{a=2}",
			[]string{"4: warning: Bad config - duplicate block name x: this one is used, that of line 1 is not (give it another name)"}},
		{"no =", "foo\na=1", "a=1", []string{"1: warning: Bad config - line foo is missing an = (write KEY=VALUE, or # before a comment)"}},
		{"no >", "<store\na=1\n", "a=1", []string{"1: warning: Bad config - line <store has a < but not a > (write <NAME>; until then what follows belongs to the block around it)"}},
		{"text behind >", "<x> a=1\n</x> foo", "x{}", []string{"1: warning:  a=1 behind <x> is ignored (put it on a line of its own)"}},
		{"a stray end tag ends nothing", "</store>\na=1", "a=1",
			[]string{"1: warning: </store> closes nothing and is ignored (remove it; the original did not read anything behind it)"}},
		{"wrong end tag", "<store>\n<primary>\n</store>\na=1", "store0{a=1 primary{}}", []string{
			"3: warning: </store> closes <primary> of line 2 (write </primary>, or look for an end tag that is missing above)",
			"4: warning: the file ends in <store> of line 1 (close it with </store>)",
		}},
		{"end tag without >", "<x>\n</x\na=1", "a=1 x{}", []string{"2: warning: </x has no > (write </x>)"}},
		{"the end closes", "<x>\n<y>\na=1", "x{y{a=1}}", []string{"3: warning: the file ends in <y> of line 2 (close it with </y>)", "3: warning: the file ends in <x> of line 1 (close it with </x>)"}},
		{"new style", "# mine\ninkwell 1\na=1\n</x>\nfoo", "a=1", []string{
			"4: error: </x> closes nothing and is ignored (remove it; the original did not read anything behind it)",
			"5: error: Bad config - line foo is missing an = (write KEY=VALUE, or # before a comment)",
		}},
		{"double quotes", "inkwell 1\na = \" x #y \\\"z\\\\\" # a comment\nb=\"\\xff\\n\"\nc=x\"y\"", "a= x #y \"z\\ b=\xff\n c=x\"y\"", nil},
		{"# before the quotes", "inkwell 1\n#a=\"x\"\na#b=\"x\"", "", []string{"3: error: Bad config - line a is missing an = (write KEY=VALUE, or # before a comment)"}},
		{"not between double quotes", "inkwell 1\na=\"x\nb=\"x\" y\nc=\"\\q\"", "", []string{
			`2: error: "x is no text between double quotes (write "TEXT", with \" for a double quote and \\ for a backslash in it)`,
			`3: error: "x" y is no text between double quotes (write "TEXT", with \" for a double quote and \\ for a backslash in it)`,
			`4: error: "\q" is no text between double quotes (write "TEXT", with \" for a double quote and \\ for a backslash in it)`,
		}},
		{"no quotes in the old style", "a=\"x#y\"", "a=\"x", nil},
		{"too new", "inkwell 2\na=1", "a=1", []string{"1: error: version 2 of the grammar is not known (write inkwell 1, or use the Inkwell that the file was written for)"}},
		{"the mark stands first", "a=1\ninkwell 1", "a=1", []string{"2: warning: Bad config - line inkwell 1 is missing an = (write KEY=VALUE, or # before a comment)"}},
		{"not printable", "\x1b[2J\x00", "", []string{`1: warning: Bad config - line \x1b[2J\x00 is missing an = (write KEY=VALUE, or # before a comment)`}},
	}
	for _, c := range cases {
		f, problems := Parse("f", []byte(c.text), "listen", "tail")
		if got := dump(f.Root); got != c.want {
			t.Errorf("%s: %s\nwant %s", c.name, got, c.want)
		}
		if len(problems) != len(c.problems) {
			t.Errorf("%s: %d problems: %v", c.name, len(problems), problems)
			continue
		}
		for i, p := range problems {
			if p.String() != "f:"+c.problems[i] {
				t.Errorf("%s: problem %q\nwant %q", c.name, p, "f:"+c.problems[i])
			}
		}
	}
}

// TestLine reads what Line writes, whatever the text is.
func TestLine(t *testing.T) {
	for text, want := range map[string]string{
		"": "k=", "/srv/logs": "k=/srv/logs", "/a b/$c=d%": "k=/a b/$c=d%", "é": "k=é", `a"b`: `k=a"b`,
		" a": `k=" a"`, "a\t": `k="a\t"`, "/srv/a#b": `k="/srv/a#b"`, `"a`: `k="\"a"`, "a\nb": `k="a\nb"`, "\xff": `k="\xff"`, `#\`: `k="#\\"`,
	} {
		if got := Line("k", text); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
	back := func(text string) bool {
		f, problems := Parse("f", []byte("inkwell 1\n"+Line("k", text)+"\n"))
		v, ok := f.Root.Literal("k")
		return ok && len(problems) == 0 && v.Text == text
	}
	if err := quick.Check(back, &quick.Config{MaxCount: 2000}); err != nil {
		t.Error(err)
	}
	if err := quick.Check(func(b []byte) bool { return back(string(b)) }, nil); err != nil {
		t.Error(err)
	}
}

func TestParseLimits(t *testing.T) {
	deep := func(n int) string {
		return strings.Repeat("<a>\n", n) + "k=v\n" + strings.Repeat("</a>\n", n) + "after=1\n"
	}
	f, problems := Parse("f", []byte(deep(64)))
	if len(problems) != 0 || len(f.Root.Own()) != 1 {
		t.Errorf("64 blocks in blocks: %v", problems)
	}
	f, problems = Parse("f", []byte(deep(100)))
	if len(problems) != 1 || !problems[0].Error || problems[0].Line != 65 || len(f.Root.Own()) != 1 || f.Root.Own()[0].Key != "after" {
		t.Errorf("100 blocks in blocks: %v, %s", problems, dump(f.Root))
	}
	_, problems = Parse("f", make([]byte, maxFile+1))
	if len(problems) != 1 || !problems[0].Error {
		t.Errorf("a file that is too large: %v", problems)
	}
	f, problems = Parse("f", []byte("a="+strings.Repeat("x", maxLine)+"\nb=1\n"))
	if len(problems) != 1 || !problems[0].Error || dump(f.Root) != "b=1" {
		t.Errorf("a line that is too long: %v", problems)
	}
	_, problems = Parse("f", []byte(strings.Repeat("x\n", 5000)))
	if len(problems) != maxProblems+1 || !strings.Contains(problems[maxProblems].Text, "not shown") {
		t.Errorf("%d problems", len(problems))
	}
	f, problems = Parse("f", []byte(strings.Repeat("<store>\n</store>\n", maxBlocks+10)+"a=1\n"))
	if len(problems) != 1 || !problems[0].Error || len(f.Root.Blocks) != maxBlocks || len(f.Root.Own()) != 1 {
		t.Errorf("too many blocks: %v", problems)
	}
}

func TestGetInherits(t *testing.T) {
	f, _ := Parse("f", []byte(`
file::fs_type=std
file::max_size=1
file::category=no
max_size=9
buffer::retry_interval=7
<store>
type=buffer
file::max_size=2
max_size=8
<primary>
type=file
</primary>
<secondary>
type=file
max_size=3
file::chunk_size=4
</secondary>
<third>
type=multifile
</third>
<fourth>
</fourth>
</store>`))
	store := f.Root.Sub("store0")
	cases := []struct{ block, key, want string }{
		{"primary", "max_size", "2"}, {"primary", "fs_type", "std"}, {"primary", "chunk_size", "-"}, {"primary", "category", "-"},
		{"secondary", "max_size", "3"}, {"secondary", "chunk_size", "4"},
		{"third", "max_size", "-"}, {"fourth", "max_size", "-"}, {"", "max_size", "8"}, {"", "retry_interval", "7"},
	}
	for _, c := range cases {
		b := store
		if c.block != "" {
			b = store.Sub(c.block)
		}
		got := "-"
		if v, ok := b.Get(c.key); ok {
			got = v.Text
		}
		if got != c.want {
			t.Errorf("<%s> %s = %s, want %s", c.block, c.key, got, c.want)
		}
	}
	if v, _ := store.Sub("primary").Get("max_size"); v.Line != 9 {
		t.Errorf("line %d", v.Line)
	}
	if store.Sub("fifth") != nil {
		t.Error("a block that is not there")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("port=1463\n<store>\ncategory=default\ntype=file\n</store>\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, problems := Parse("f", data, "listen")
		lines := strings.Count(string(data), "\n") + 1
		for _, p := range problems {
			if p.Text == "" || p.Line < 0 || p.Line > lines || strings.ContainsFunc(p.String(), func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("problem %q", p)
			}
		}
		check(t, file.Root, 0)
	})
}

func check(t *testing.T, b *Block, depth int) {
	if depth > maxNesting {
		t.Fatal("too deep")
	}
	for i, s := range b.Blocks {
		if i > 0 && b.Blocks[i-1].Name >= s.Name || b.Sub(s.Name) != s || s.Parent != b {
			t.Errorf("block %q", s.Name)
		}
		check(t, s, depth+1)
	}
	for _, p := range b.Own() {
		if v, ok := b.Get(p.Key); !ok || v.Line < p.Line {
			t.Errorf("key %q", p.Key)
		}
		u, cleanU := Unsigned(p.Text)
		d, cleanD := Decimal(p.Text)
		octal := strings.HasPrefix(strings.TrimLeft(p.Text, space+"+-"), "0")
		if cleanU && cleanD && u != d && !octal {
			t.Errorf("%q is %d and %d", p.Text, u, d)
		}
		if f, clean := Float(p.Text); clean && f != f {
			t.Errorf("%q is no number", p.Text)
		}
	}
}

func ExampleProblem() {
	fmt.Println(Problem{File: "scribe.conf", Line: 12, Text: "port is missing", Cure: "add port=1463", Error: true})
	// Output: scribe.conf:12: error: port is missing (add port=1463)
}
