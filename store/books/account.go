package books

import (
	"cmp"
	"path/filepath"
	"slices"

	"inkwell/store"
)

// account is what one outlet added to files that no manifest lists yet, or not with their whole content.
type account struct {
	key     string
	through uint64     // number of the Mark up to which everything is settled
	settled []*content // what a saved checkpoint covers, one for each file, in the order in which the files were begun
	posts   []post     // what was added after that
}

// content is what the books know of the content of a file.
type content struct {
	store.Added
	spans store.Spans // used in place of Added.Spans
	raw   int64       // bytes of these spans
}

// manySpans is the number of spans of a file above which they are joined, so that they lose their order.
const manySpans = 1 << 14

// add appends p to the posts. Posts that end after p begins are dropped: p replaces them.
func (a *account) add(p post) {
	a.rewind(p.from)
	a.posts = append(a.posts, p)
}

// rewind forgets what was added after a Mark.
func (a *account) rewind(through uint64) {
	for k := len(a.posts); k > 0 && a.posts[k-1].through > through; k-- {
		a.posts = a.posts[:k-1]
	}
}

// settle moves the posts up to a Mark, which a saved checkpoint covers, to settled. Later posts stay: if the outlet
// returns to the checkpoint, it adds the same entries again, and those posts are replaced.
func (a *account) settle(through uint64, m *markers) {
	for len(a.posts) > 0 && a.posts[0].through <= through {
		p := a.posts[0]
		a.posts = a.posts[1:]
		a.through = max(a.through, p.through)
		for i := range p.added {
			add := &p.added[i]
			if add.Dir != "" {
				add.Dir = filepath.Clean(add.Dir)
			}
			m.wrote(add)
			k := slices.IndexFunc(a.settled, func(c *content) bool { return c.File == add.File && c.Dir == add.Dir })
			if k < 0 {
				k = len(a.settled)
				a.settled = append(a.settled, &content{Added: store.Added{Dir: add.Dir, File: add.File,
					Start: add.Start,
					First: add.First}})
			}
			a.settled[k].join(add)
		}
	}
}

// join appends what was added to c.
func (c *content) join(add *store.Added) {
	for _, s := range add.Spans {
		c.spans.Add(s)
		c.raw += s.Bytes
	}
	c.Open, c.Unordered = add.Open, c.Unordered || add.Unordered
	c.First = cmp.Or(c.First, add.First)
	c.Last = max(c.Last, add.Last)
	if c.spans.Len() > manySpans && !c.Unordered || c.spans.Len() > 2*manySpans {
		c.spans.Join()
		c.Unordered = true
	}
}

// asAdded returns c in the form in which an outlet adds it. The result is valid until c changes.
func (c *content) asAdded() *store.Added {
	add := c.Added
	add.Spans = c.spans.List()
	return &add
}

// listed forgets what the manifest has from now on. The file is still open.
func (c *content) listed() {
	c.Start, c.raw, c.Unordered = c.Start+c.raw, 0, false
	c.spans = store.Spans{}
}

// finish records that nothing more is added, because the outlet does not exist any more.
func (a *account) finish() {
	for _, c := range a.settled {
		c.Open = false
	}
}

// spans returns the number of spans that are kept in memory.
func (a *account) spans() (n int) {
	for _, c := range a.settled {
		n += c.spans.Len()
	}
	for i := range a.posts {
		for k := range a.posts[i].added {
			n += len(a.posts[i].added[k].Spans)
		}
	}
	return n
}

// appendPosts appends everything that is known of a, as posts.
func (a *account) appendPosts(dst []post) []post {
	if len(a.settled) > 0 {
		p := post{outlet: a.key, through: a.through}
		for _, c := range a.settled {
			p.added = append(p.added, *c.asAdded())
		}
		dst = append(dst, p)
	}
	return append(dst, a.posts...)
}
