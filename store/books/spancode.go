package books

import (
	"encoding/json"
	"errors"
	"fmt"

	"inkwell/store"
	"inkwell/store/stream"
)

// spanLines is the JSON form of spans, which names each category and each stream once.
type spanLines struct {
	Categories []string `json:"categories,omitempty"` // older versions wrote none: it is that of the directory
	Streams    []string `json:"streams,omitempty"`
	// Sources says where the streams come from, in the same order; null = that is not known. It is left out if nothing
	// is.
	Sources []*stream.Source `json:"sources,omitempty"`
	// Spans has a row for each: hour, index of the stream or -1, first, count, bytes, and the index of the category
	// unless that is 0.
	Spans [][]int64 `json:"spans,omitempty"`
}

func encodeSpans(spans []store.Span) (l spanLines) {
	streams, categories := make(map[[16]byte]int64), make(map[string]int64)
	for i := range spans {
		s := &spans[i]
		index := int64(-1)
		if s.Numbered() {
			var known bool
			if index, known = streams[s.Stream]; !known {
				index = int64(len(l.Streams))
				streams[s.Stream] = index
				l.Streams = append(l.Streams, stream.ID(s.Stream).String())
			}
		}
		category, known := categories[s.Category]
		if !known {
			category = int64(len(l.Categories))
			categories[s.Category] = category
			l.Categories = append(l.Categories, s.Category)
		}
		row := []int64{s.Hour, index, s.First, s.Count, s.Bytes}
		if category > 0 {
			row = append(row, category)
		}
		l.Spans = append(l.Spans, row)
	}
	if len(l.Categories) == 1 && l.Categories[0] == "" {
		l.Categories = nil
	}
	return l
}

// name adds the sources of the streams, as far as they are known.
func (l *spanLines) name(sources Sources) {
	if len(sources) == 0 {
		return
	}
	list := make([]*stream.Source, len(l.Streams))
	some := false
	for i, text := range l.Streams {
		id, err := stream.ParseID(text)
		if s, known := sources[id]; err == nil && known {
			list[i], some = &s, true
		}
	}
	if some {
		l.Sources = list
	}
}

// sources returns the sources that the line names.
func (l *spanLines) sources() Sources {
	if len(l.Sources) == 0 {
		return nil
	}
	known := make(Sources)
	for i, s := range l.Sources {
		if s == nil || i >= len(l.Streams) {
			continue
		}
		if id, err := stream.ParseID(l.Streams[i]); err == nil {
			known[id] = s.Clean()
		}
	}
	return known
}

func (l *spanLines) decode() ([]store.Span, error) {
	ids := make([]stream.ID, len(l.Streams))
	for i, s := range l.Streams {
		var err error
		if ids[i], err = stream.ParseID(s); err != nil {
			return nil, err
		}
	}
	categories := l.Categories
	if len(categories) == 0 {
		categories = []string{""}
	}
	spans := make([]store.Span, len(l.Spans))
	for i, r := range l.Spans {
		if len(r) < 5 {
			return nil, fmt.Errorf("span %d has %d numbers", i, len(r))
		}
		category := int64(0)
		if len(r) > 5 {
			category = r[5]
		}
		if r[1] < -1 || r[1] >= int64(len(ids)) || r[2] < 0 || r[3] < 0 || r[4] < 0 || r[2]+r[3] < 0 || category < 0 ||
			category >= int64(len(categories)) {
			return nil, fmt.Errorf("span %d is out of range", i)
		}
		spans[i] = store.Span{Category: categories[category], Hour: r[0], First: r[2], Count: r[3], Bytes: r[4]}
		if r[1] >= 0 {
			spans[i].Stream = ids[r[1]]
		}
	}
	return spans, nil
}

func appendJSON(dst []byte, v any) ([]byte, error) {
	data, err := json.Marshal(v)
	return append(dst, data...), err
}

// post is a line of the books: what an outlet added to its files between two Marks.
type post struct {
	outlet        string
	from, through uint64
	added         []store.Added
}

type postLine struct {
	Outlet  string      `json:"outlet"`
	From    uint64      `json:"from"`
	Through uint64      `json:"through"`
	Files   []addedLine `json:"files"`
}

type addedLine struct {
	Dir       string `json:"dir"`
	File      string `json:"file"`
	Start     int64  `json:"start,omitempty"`
	First     int64  `json:"first"`
	Last      int64  `json:"last"`
	Open      bool   `json:"open,omitempty"`
	Unordered bool   `json:"unordered,omitempty"`
	spanLines
}

// append appends the body of the line of p.
func (p *post) append(dst []byte) ([]byte, error) {
	line := postLine{Outlet: p.outlet, From: p.from, Through: p.through, Files: make([]addedLine, len(p.added))}
	for i, a := range p.added {
		line.Files[i] = addedLine{Dir: a.Dir, File: a.File, Start: a.Start, First: a.First, Last: a.Last, Open: a.Open,
			Unordered: a.Unordered, spanLines: encodeSpans(a.Spans)}
	}
	return appendJSON(dst, line)
}

// move replaces the outlet and the directories of p by their present names.
func (p *post) move(moved func(outlet, path string) (string, string)) {
	if moved == nil {
		return
	}
	for i := range p.added {
		_, p.added[i].Dir = moved(p.outlet, p.added[i].Dir)
	}
	p.outlet, _ = moved(p.outlet, "")
}

// parsePost reads what append wrote.
func parsePost(body []byte) (p post, err error) {
	var line postLine
	if err := json.Unmarshal(body, &line); err != nil {
		return p, err
	}
	if line.Outlet == "" || line.From > line.Through {
		return p, errors.New("no line of a ledger")
	}
	p = post{outlet: line.Outlet, from: line.From, through: line.Through, added: make([]store.Added, len(line.Files))}
	for i, f := range line.Files {
		p.added[i] = store.Added{Dir: f.Dir, File: f.File, Start: f.Start, First: f.First, Last: f.Last, Open: f.Open,
			Unordered: f.Unordered}
		if p.added[i].Spans, err = f.decode(); err != nil {
			return p, err
		}
	}
	return p, nil
}
