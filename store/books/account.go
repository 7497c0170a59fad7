package books

import (
	"path/filepath"
	"slices"

	"inkwell/store"
)

// account is what one outlet added to files that are in no manifest yet, or not with all that they hold.
type account struct {
	key     string
	through uint64     // the Mark of what is settled
	settled []*content // what a saved checkpoint covers, file by file in the order in which they were begun
	posts   []post     // what came behind it
}

// content is what stands in a file.
type content struct {
	store.Added
	spans store.Spans // instead of Added's
	raw   int64       // bytes of them
}

// manySpans is how many a file has at most in their order.
const manySpans = 1 << 14

// add puts p behind the other posts, in the place of those that end behind its beginning.
func (a *account) add(p post) {
	a.rewind(p.from)
	a.posts = append(a.posts, p)
}

// rewind forgets what was added behind a Mark.
func (a *account) rewind(through uint64) {
	for k := len(a.posts); k > 0 && a.posts[k-1].through > through; k-- {
		a.posts = a.posts[:k-1]
	}
}

// settle takes for certain what was added up to a Mark. What lies behind it is of an outlet that went back to the
// checkpoint: it will come again, and take the place of that.
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
				a.settled = append(a.settled, &content{Added: store.Added{Dir: add.Dir, File: add.File, Start: add.Start,
					First: add.First}})
			}
			a.settled[k].join(add)
		}
	}
}

// join puts what was added behind what c says of its file.
func (c *content) join(add *store.Added) {
	for _, s := range add.Spans {
		c.spans.Add(s)
		c.raw += s.Bytes
	}
	c.Open, c.Unordered = add.Open, c.Unordered || add.Unordered
	if c.First == 0 {
		c.First = add.First
	}
	c.Last = max(c.Last, add.Last)
	if c.spans.Len() > manySpans && !c.Unordered || c.spans.Len() > 2*manySpans {
		c.spans.Join()
		c.Unordered = true
	}
}

// said is c as it was added, valid until c changes.
func (c *content) said() *store.Added {
	add := c.Added
	add.Spans = c.spans.List()
	return &add
}

// listed forgets what the manifest knows now; the file is still open.
func (c *content) listed() {
	c.Start, c.raw, c.Unordered = c.Start+c.raw, 0, false
	c.spans = store.Spans{}
}

// finish says that nothing more comes: the outlet is gone.
func (a *account) finish() {
	for _, c := range a.settled {
		c.Open = false
	}
}

// spans is how many stretches of numbers are remembered.
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

// appendPosts appends all that is known of a as posts.
func (a *account) appendPosts(dst []post) []post {
	if len(a.settled) > 0 {
		p := post{outlet: a.key, through: a.through}
		for _, c := range a.settled {
			p.added = append(p.added, *c.said())
		}
		dst = append(dst, p)
	}
	return append(dst, a.posts...)
}
