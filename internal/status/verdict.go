package status

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/dustin/go-humanize"
)

// Level is the severity of a verdict.
type Level string

// The levels, from good to critical.
const (
	Good     Level = "good"
	Warning  Level = "warning"  // nothing is lost or refused yet
	Critical Level = "critical" // entries are refused or lost, or soon will be
)

// Verdict says whether all is well, as a level and as a sentence.
type Verdict struct {
	Level   Level    `json:"level"`
	Text    string   `json:"text"`    // one line
	Reasons []Reason `json:"reasons"` // the worst first; none if all is well
}

// Reason is one thing that is wrong.
type Reason struct {
	Level   Level  `json:"level"`
	Code    string `json:"code"`              // one of the constants below: for programs
	Subject string `json:"subject,omitempty"` // the category, address, path or file concerned
	Text    string `json:"text"`              // what is wrong
	Cure    string `json:"cure"`              // what to do
}

// The codes of reasons.
const (
	NotReady     = "not_ready"
	StoreFull    = "store_full" // a journal or a spool
	StoreTrouble = "store_trouble"
	BacklogOld   = "backlog_old"
	DiskFull     = "disk_full"
	HopDown      = "hop_down"
	Refusing     = "refusing"
	Certificates = "certificate"
	Unreadable   = "unreadable"
	Trouble      = "trouble" // what fb303 getStatusDetails says, and no other code
)

// Limit holds the values at which something becomes a warning, and critical.
type Limit struct{ Warning, Critical float64 }

// Thresholds are the limits by which a document is judged.
type Thresholds struct {
	Backlog     Limit // seconds that the oldest entry may wait for its store or its hop
	Store       Limit // how full a journal or spool may be, 0 to 1
	Disk        Limit // how much of a disk must be free, 0 to 1
	Certificate Limit // seconds that a certificate must be valid
}

// DefaultThresholds are those of /healthz, the page and the alert rules.
func DefaultThresholds() Thresholds {
	const day = 24 * 60 * 60
	return Thresholds{
		Backlog:     Limit{Warning: 5 * 60, Critical: 60 * 60},
		Store:       Limit{Warning: 0.8, Critical: 0.95},
		Disk:        Limit{Warning: 0.1, Critical: 0.03},
		Certificate: Limit{Warning: 14 * day, Critical: 2 * day},
	}
}

// above returns the level of a value that should be small, for example the age of a backlog.
func (l Limit) above(v float64) Level {
	switch {
	case v >= l.Critical:
		return Critical
	case v >= l.Warning:
		return Warning
	}
	return Good
}

// below returns the level of a value that should be large, for example the free share of a disk.
func (l Limit) below(v float64) Level {
	switch {
	case v < l.Critical:
		return Critical
	case v < l.Warning:
		return Warning
	}
	return Good
}

// rank orders levels, the worst first.
func (l Level) rank() int { return slices.Index([]Level{Critical, Warning, Good}, l) }

// Worse reports whether l is more severe than m.
func (l Level) Worse(m Level) bool { return l.rank() < m.rank() }

// Judge returns the verdict on a document by the thresholds t. It does not change the document, so that every reader
// can judge it by thresholds of its own.
func (s *Status) Judge(t Thresholds) Verdict {
	j := judge{s: s, t: t}
	j.daemon()
	j.stores()
	j.categories()
	j.hops()
	j.inputs()
	j.disks()
	j.refusals()
	j.certificates()
	j.trouble()
	slices.SortStableFunc(j.reasons, func(a, b Reason) int { return cmp.Compare(a.Level.rank(), b.Level.rank()) })
	v := Verdict{Level: Good, Text: "all is well", Reasons: j.reasons}
	if len(j.reasons) > 0 {
		v.Level, v.Text = j.reasons[0].Level, j.reasons[0].Text
	}
	if n := len(j.reasons) - 1; n > 0 {
		v.Text += fmt.Sprintf(" (and %d more)", n)
	}
	if v.Reasons == nil {
		v.Reasons = []Reason{}
	}
	return v
}

type judge struct {
	s       *Status
	t       Thresholds
	reasons []Reason
}

// add appends a reason, unless its level is Good.
func (j *judge) add(r Reason) {
	if r.Level != Good {
		j.reasons = append(j.reasons, r)
	}
}

func (j *judge) daemon() {
	d := &j.s.Daemon
	if !d.Ready {
		j.add(Reason{Level: Critical, Code: NotReady,
			Text: cmp.Or(d.Trouble, "it starts, or stops, and takes no entries"),
			Cure: "wait a moment; if it stays so, see the log"})
	}
}

// trouble adds the status text of fb303 as a reason, but only if no other reason covers it.
func (j *judge) trouble() {
	if text := j.s.Daemon.Trouble; len(j.reasons) == 0 {
		j.add(Reason{Level: troubled(text != ""), Code: Trouble, Text: text, Cure: "see the log, which has the cause"})
	}
}

// troubled returns Warning if something is wrong, else Good.
func troubled(bad bool) Level {
	if bad {
		return Warning
	}
	return Good
}

func (j *judge) stores() {
	for _, x := range []struct {
		store      *Store
		name, cure string
	}{
		{j.s.Journal, "journal", "see which category is behind; raise --journal-max, or give it more disk: at the " +
			"limit every call is told to try later"},
		{j.s.Spool, "spool",
			"bring the next hop back, or raise --spool-max: at the limit reading waits, and a pipe may drop lines"},
	} {
		s := x.store
		if s == nil || s == j.s.Spool && j.s.Daemon.Role == Collector { // its categories say what waits in which spool
			continue
		}
		if s.Trouble != "" {
			j.add(Reason{Level: Critical, Code: StoreTrouble, Subject: s.Dir,
				Text: "the " + x.name + " fails: " + s.Trouble,
				Cure: "make " + s.Dir + " writable and give it room; it goes on by itself"})
		}
		j.add(Reason{Level: j.t.Store.above(s.Fraction()), Code: StoreFull, Subject: s.Dir, Cure: x.cure,
			Text: fmt.Sprintf("the %s is %.0f%% full: %s of %s", x.name, 100*s.Fraction(), size(s.Bytes),
				size(s.Limit))})
		j.add(Reason{Level: j.t.Backlog.above(s.Oldest), Code: BacklogOld, Subject: s.Dir,
			Text: fmt.Sprintf("the oldest entry of the %s has waited for %s", x.name,
				age(s.Oldest)), Cure: "see what does not take its entries: the categories, the next hop, the log"})
	}
}

// maxCategoryReasons bounds the reasons about categories. One more reason sums up the rest.
const maxCategoryReasons = 20

func (j *judge) categories() {
	told, more := 0, 0
	for i := range j.s.Categories {
		c := &j.s.Categories[i]
		old := j.t.Backlog.above(c.Oldest)
		level := troubled(c.Trouble != "")
		if old.Worse(level) {
			level = old
		}
		if level == Good {
			continue
		}
		if told++; told > maxCategoryReasons {
			more++
			continue
		}
		r := Reason{Level: level, Code: StoreTrouble, Subject: c.Name,
			Cure: "see the log for its cause; the journal or the spool keeps the entries until they are taken"}
		if c.Trouble == "" {
			r.Code, r.Text = BacklogOld, fmt.Sprintf("category %q: %s wait, the oldest for %s", c.Name,
				size(c.Backlog), age(c.Oldest))
		} else {
			r.Text = fmt.Sprintf("category %q: %s; %s wait, the oldest for %s", c.Name, c.Trouble, size(c.Backlog),
				age(c.Oldest))
		}
		j.add(r)
	}
	if more > 0 {
		j.add(Reason{Level: Warning, Code: StoreTrouble, Text: fmt.Sprintf("%d more categories are behind", more),
			Cure: "see the list of categories"})
	}
}

// hops adds a warning for each next hop that is down. Even if all of them are down that is only a warning while there
// is a spool or a journal: its age and fill level say when it becomes critical.
func (j *judge) hops() {
	for _, h := range j.s.Hops {
		if h.Up || h.LastError == "" {
			continue
		}
		text := "the next hop " + h.Address + " is down"
		if h.Since != nil {
			text += " for " + age(j.s.Now.Sub(*h.Since).Seconds())
		}
		j.add(Reason{Level: Warning, Code: HopDown, Subject: h.Address, Text: text + ": " + h.LastError,
			Cure: "start it, or make it reachable; what it did not take waits"})
	}
}

func (j *judge) inputs() {
	in := j.s.Inputs
	if in == nil {
		return
	}
	j.add(Reason{Level: j.t.Backlog.above(in.Oldest), Code: BacklogOld,
		Text: fmt.Sprintf("%s of the files are not read, the oldest line has waited for %s", size(in.Lag),
			age(in.Oldest)),
		Cure: "see whether the next hop takes entries, and whether the spool is full"})
	for _, mount := range in.Hanging {
		j.add(Reason{Level: Warning, Code: Unreadable, Subject: mount,
			Text: "the file system " + mount +
				" does not answer", Cure: "bring it back; its files are read on from where they were"})
	}
}

func (j *judge) disks() {
	for i := range j.s.Disks {
		d := &j.s.Disks[i]
		if d.Error != "" {
			j.add(Reason{Level: Warning, Code: DiskFull, Subject: d.Path,
				Text: fmt.Sprintf("the disk of %s (%s) does not say how full it is: %s", d.Path, d.Use, d.Error),
				Cure: "see whether it is mounted, and answers"})
			continue
		}
		j.add(Reason{Level: j.t.Disk.below(d.Fraction()), Code: DiskFull, Subject: d.Path,
			Text: fmt.Sprintf("the disk of %s (%s) has %s free, %.1f%%", d.Path, d.Use, size(d.Free), 100*d.Fraction()),
			Cure: "make room: remove old files, set --keep or --keep-bytes, or enlarge it"})
	}
}

// strangers are refusals that anybody can cause who finds the port, such as a scanner. They are listed, but are no
// warning: an alarm that everybody can trigger is soon ignored.
var strangers = []string{"frames bad", "frames too large", "TLS handshakes failed", "refused control"}

// refusals adds a warning for refusals of the last ten minutes.
func (j *judge) refusals() {
	for _, r := range j.s.Refused {
		if slices.Contains(strangers, r.Reason) {
			continue
		}
		j.add(Reason{Level: troubled(r.Recent > 0), Code: Refusing, Subject: r.Reason,
			Text: fmt.Sprintf("%s: %d in the last ten minutes", r.Reason, r.Recent), Cure: "see the log, which names " +
				"the peer or the category, and the counter in docs/operating.md"})
	}
}

func (j *judge) certificates() {
	for _, c := range j.s.Certificates {
		left := c.Expires.Sub(j.s.Now)
		text := fmt.Sprintf("the certificate %s expires on %s", c.File, c.Expires.UTC().Format(time.DateOnly))
		if left < 0 {
			text = fmt.Sprintf("the certificate %s has expired on %s", c.File, c.Expires.UTC().Format(time.DateOnly))
		}
		j.add(Reason{Level: j.t.Certificate.below(left.Seconds()), Code: Certificates, Subject: c.File, Text: text,
			Cure: "put a new one in its place by a rename; the running process takes it"})
	}
}

// size formats a number of bytes for a person.
func size(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }

// age formats a duration for a person.
func age(seconds float64) string {
	return time.Duration(seconds * float64(time.Second)).Round(time.Second).String()
}
