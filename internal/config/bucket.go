package config

import (
	"fmt"

	"inkwell/internal/conf"
)

var bucketOptions = []option{
	{key: "num_buckets", kind: count,
		meaning: "How many buckets there are beside the one for messages without a key. Must be given."},
	{key: "bucket_type", kind: text, value: "context_log",
		meaning: "How a message finds its bucket: `key_hash`, `key_modulo`, `key_range`, `random` or `context_log`, " +
			"as described above."},
	{key: "delimiter", kind: count, value: "58",
		meaning: "The code of the character behind the key, 1 to 255. 58 is `:`, which is always used with `random`."},
	{key: "remove_key", kind: exactly, value: "no",
		meaning: "`yes`: key and delimiter are not stored. Not with `context_log`."},
	{key: "bucket_range", kind: count, value: "0", meaning: "With `key_range`: the keys go from 0 to below this."},
	{key: "bucket_subdir", kind: text,
		meaning: "With one `<bucket>` block: what the names of the directories begin with, a number of three digits " +
			"follows. Must be given then."},
	{key: "bucket_offset", kind: count, value: "0",
		meaning: "With one `<bucket>` block: added to the numbers in the names of the directories."},
	{key: "failure_bucket", kind: text,
		meaning: "With one `<bucket>` block: the directory of the messages without a key, in place of " +
			"`bucket_subdir` and 000."},
}

const bucketIntro = `Spreads messages over buckets by the key they begin with: what stands before the delimiter, or, with ` + "`context_log`" + `, the number behind the third byte 1.

| bucket_type | bucket |
| --- | --- |
| key_hash | the key's hash h (5381, then h·33 + the byte, as a signed one, in 32 bits) modulo the number of buckets, plus 1 |
| key_modulo | the key as a number, modulo the number of buckets, plus 1; what is no number is 0 |
| key_range | the key as a number, modulo ` + "`bucket_range`" + `: equal ranges of that one after the other, from bucket 1 |
| random | any of them |
| context_log | the number, modulo the number of buckets, plus 1; 0 without a number |

Messages without a key go to bucket 0. The buckets are either blocks ` + "`<bucket0>`, `<bucket1>`" + ` … up to their number, of any type, or one block ` + "`<bucket>`" + ` of type file or thriftfile,
from which they are made: its files are in directories DIR/SUBDIR000, DIR/SUBDIR001 … then.`

// maxBuckets bounds the number of buckets, against typing errors.
const maxBuckets = 10_000

// bucket reads a block of the type bucket.
func (l *loader) bucket(b *conf.Block, p position) (Sink, error) {
	o := l.block(b, "bucket")
	s := Bucket{Kind: o.choice("bucket_type", "key_hash", "key_modulo", "key_range", "random", "context_log"),
		RemoveKey: o.yes("remove_key"), Range: o.count("bucket_range")}
	s.Delimiter = l.delimiter(o, s.Kind)
	if s.RemoveKey && s.Kind == "context_log" {
		v, _ := o.Get("remove_key")
		return nil, &refusal{status: "Bad config - bucketizer store of type context_log do not support remove_key",
			line: v.Line, cure: "remove it, or choose another bucket_type"}
	}
	if s.Kind == "key_range" && s.Range == 0 {
		l.warn(b.Line, "bucket_type=key_range with bucket_range=0 puts every message into bucket 0",
			"add bucket_range=N, one more than the largest key")
	}
	buckets := o.count("num_buckets")
	v, ok := o.Get("num_buckets")
	if !ok {
		v.Line = b.Line
	}
	if buckets == 0 || buckets > maxBuckets {
		return nil, &refusal{status: "Bad config - bucket store must have num_buckets", line: v.Line,
			cure: fmt.Sprintf("write num_buckets=N, with N from 1 to %d", maxBuckets)}
	}
	var err error
	if model := b.Sub("bucket"); model != nil {
		s.Children, err = l.bucketsOf(o, model, bucketPlace{p, int(buckets)})
	} else {
		s.Children, err = l.buckets(o, bucketPlace{p, int(buckets)})
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// bucketPlace is the place of the children of a bucket store, with the number of buckets besides bucket 0.
type bucketPlace struct {
	position
	n int
}

// delimiter reads the character that ends the key of a message.
func (l *loader) delimiter(o block, kind string) byte {
	n := o.count("delimiter")
	if kind == "random" {
		n, _ = conf.Unsigned(o.section.option("delimiter").value) // as it always was
	}
	if v, ok := o.Get("delimiter"); ok && (n < 1 || n > 255) && kind != "context_log" {
		n = uint64(o.fallback("delimiter", v, "is not the code of a character"))
	}
	if n > 255 {
		n = 0
	}
	return byte(n)
}

// buckets reads the blocks <bucket0> to <bucketN>.
func (l *loader) buckets(o block, p bucketPlace) ([]Sink, error) {
	for _, key := range []string{"bucket_subdir", "bucket_offset", "failure_bucket"} {
		if v, ok := o.Get(key); ok {
			return nil, &refusal{status: fmt.Sprintf("cannot have %s when defining multiple buckets", key),
				line: v.Line, cure: "remove it: every <bucketN> has its own file_path"}
		}
	}
	if sub := o.Sub(fmt.Sprintf("bucket%d", p.n+1)); sub != nil {
		l.strict(sub.Line, fmt.Sprintf("<%s> is not used, because of num_buckets=%d", sub.Name, p.n),
			fmt.Sprintf("remove it, or write num_buckets=%d", p.n+1))
	}
	children := make([]Sink, 0, min(p.n+1, len(o.Blocks)+1))
	for i := range p.n + 1 {
		name := fmt.Sprintf("bucket%d", i)
		sub := o.Sub(name)
		if sub == nil {
			return nil, refuse(o.Block, "could not find bucket definition for "+name,
				fmt.Sprintf("num_buckets=%d means bucket0 to bucket%d: add <%s>, or one <bucket> for all", p.n, p.n,
					name))
		}
		at := p.position
		at.bucket, at.inBucket = i, true
		child, err := l.sub(sub, "store contained in a bucket store must have a type", at)
		if err != nil {
			return nil, err
		}
		children = append(children, child)
	}
	return children, nil
}

// bucketsOf makes the buckets of one <bucket> block.
func (l *loader) bucketsOf(o block, model *conf.Block, p bucketPlace) ([]Sink, error) {
	for _, name := range []string{"bucket0", "bucket1"} {
		if sub := o.Sub(name); sub != nil {
			return nil, refuse(sub, "bucket store has too many buckets defined", "remove it, or the <bucket>")
		}
	}
	if kind, ok := model.Literal("type"); kind.Text != "file" && kind.Text != "thriftfile" {
		if !ok {
			kind.Line = model.Line
		}
		return nil, &refusal{status: "store contained in a bucket store must have a type of either file or " +
			"thriftfile if not defined explicitely", line: kind.Line,
			cure: "write type=file or thriftfile, or blocks <bucket0>, <bucket1> …"}
	}
	subdir := o.text("bucket_subdir")
	if subdir == "" {
		return nil, refuse(o.Block, "bucketizer containing file stores must have a bucket_subdir",
			"add bucket_subdir=NAME: the directories are called NAME000, NAME001 …")
	}
	if _, ok := model.Get("file_path"); !ok {
		return nil, refuse(model, "file store contained by bucketizer must have a file_path",
			"add file_path=DIRECTORY: those of the buckets are made in it")
	}
	sink, err := l.sub(model, "", p.position)
	if err != nil {
		return nil, err
	}
	offset := min(o.count("bucket_offset"), 1<<31-1)
	children := make([]Sink, p.n+1)
	for i := range children {
		dir := fmt.Sprintf("%s%03d", subdir, uint64(i)+offset)
		if failed := o.text("failure_bucket"); i == 0 && failed != "" {
			dir = failed
		}
		f := sink.(File)
		f.Dir += "/" + dir
		children[i] = f
	}
	return children, nil
}
