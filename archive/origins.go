package archive

import (
	"math"
	"sort"
)

// Origins knows the sources of the entries of a file.
type Origins struct {
	ends  []int64 // ends of ranges of the content, in order
	texts []string
}

// Origins reads the sources of the entries of a file, as far as the books know them.
func (q *Query) Origins(f File) (*Origins, error) {
	c, err := q.ContentsOf(f)
	if err != nil {
		return nil, err
	}
	facts := c.Of(f)
	o := &Origins{}
	if facts.Unordered {
		return o, nil
	}
	at := int64(0)
	for i := range facts.Spans {
		s := &facts.Spans[i]
		at += s.Bytes
		text := SourceText(s.Stream, facts.Sources.Of(*s))
		if k := len(o.texts) - 1; k >= 0 && o.texts[k] == text {
			o.ends[k] = at
			continue
		}
		o.ends, o.texts = append(o.ends, at), append(o.texts, text)
	}
	return o, nil
}

// At is the source of the entry at an offset of the content, "-" if it is unknown.
func (o *Origins) At(raw int64) string {
	k := sort.Search(len(o.ends), func(i int) bool { return raw < o.ends[i] })
	if raw < 0 || k == len(o.ends) {
		return "-"
	}
	return o.texts[k]
}

// around is the source of the entry at an offset of the content, nil if that is not known, and the stretch of the content
// that has it.
func (o *Origins) around(raw int64) (source []byte, since, until int64) {
	k := sort.Search(len(o.ends), func(i int) bool { return raw < o.ends[i] })
	if k > 0 {
		since = o.ends[k-1]
	}
	if k == len(o.ends) {
		return nil, since, math.MaxInt64
	}
	if o.texts[k] != "-" {
		source = []byte(o.texts[k])
	}
	return source, since, o.ends[k]
}
