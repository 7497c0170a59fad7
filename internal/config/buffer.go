package config

import (
	"fmt"
	"time"

	"inkwell/internal/conf"
)

var bufferOptions = []option{
	{key: "retry_interval", kind: seconds, value: "300",
		meaning: "How long to wait after a failure before the primary is tried again, on average."},
	{key: "retry_interval_range", kind: seconds, value: "60",
		meaning: "The wait is up to half of this shorter or longer, by chance, so that not all senders come back at " +
			"once. 0 is taken as 1, and never more than `retry_interval` is used."},
	{key: "replay_buffer", kind: exactly, value: "yes",
		meaning: "What went to the secondary is sent to the primary, in order, when that works again. Anything but " +
			"`yes` is no: the secondary then keeps what it got."},
	{key: "flush_streaming", kind: exactly, value: "no",
		meaning: "`yes`: new messages go to the primary while older ones are still being replayed; the order is lost."},
	{key: "adaptive_backoff", kind: exactly, value: "no",
		meaning: "`yes`: the wait grows with every failure and shrinks with every success; the next three say how. " +
			"`retry_interval` and its range are not used then."},
	{key: "min_retry_interval", kind: seconds, value: "5", meaning: "The shortest wait, and the first."},
	{key: "max_retry_interval", kind: seconds, value: "100", meaning: "The longest wait."},
	{key: "max_random_offset", kind: seconds, value: "20",
		meaning: "Up to this is added to each longer wait, by chance. 0 is taken as 1, and never more than " +
			"`max_retry_interval` is used."},
	{key: "buffer_send_rate", kind: count, value: "1",
		meaning: "Has no effect: what waits is replayed as fast as the primary takes it."},
	{key: "buffer_bypass_max_ratio", kind: ratio, value: "0.75",
		meaning: "Has no effect: the replay does not hold up new messages."},
	{key: "spool_max", kind: size, value: "0", ours: true,
		meaning: "Bytes that may wait on disk for the primary, 0 = no bound. What is above waits in the journal."},
	{key: "spool_dir", kind: text, ours: true,
		meaning: "For `inkwell forward` and `inkwell pipe`, in place of a `<secondary>`: the directory itself in " +
			"which waits what cannot be sent."},
}

const bufferIntro = "Gives everything to its `<primary>`, of any type but `multi`, and while that fails to its " +
	"`<secondary>`, of type `file` or `null`, from where it is replayed. " +
	"The files that a `scribed` left in the directory of the secondary are replayed too, and each is removed when it " +
	"has been delivered. " +
	"Without a `<secondary>` what the primary does not take waits in the journal."

// buffer reads a block of the type buffer.
func (l *loader) buffer(b *conf.Block, p position) (Sink, error) {
	o := l.block(b, "buffer")
	s := Buffer{
		RetryInterval: o.seconds("retry_interval"), RetryRange: o.seconds("retry_interval_range"),
		Replay: o.yes("replay_buffer"), FlushStreaming: o.yes("flush_streaming"),
		Adaptive: o.yes("adaptive_backoff"), MinRetry: o.seconds("min_retry_interval"),
		MaxRetry: o.seconds("max_retry_interval"), MaxOffset: o.seconds("max_random_offset"),
		SpoolMax: o.bytes("spool_max"), SpoolDir: o.text("spool_dir"),
	}
	o.count("buffer_send_rate") // this and the next have no effect, but mistakes in them are reported
	o.checkRatio("buffer_bypass_max_ratio")
	l.waits(o, &s)
	secondary, primary := b.Sub("secondary"), b.Sub("primary")
	inside := p
	inside.readable = s.Replay
	var err error
	if s.SpoolDir != "" {
		if secondary != nil {
			l.warn(secondary.Line, "<secondary> has no effect beside spool_dir", "remove one of them")
		}
		s.Secondary = Null{}
		if s.Primary, err = l.primary(b, primary, p); err != nil {
			return nil, err
		}
		return s, nil
	}
	if l.noSecondary(b, secondary) {
		return l.primary(b, primary, p)
	}
	if kind, _ := secondary.Literal("type"); s.Replay && isType(kind.Text) && kind.Text != "file" &&
		kind.Text != "thriftfile" && kind.Text != "null" {
		return nil, &refusal{status: "Bad config - buffer secondary store cannot be read back", line: kind.Line,
			cure: "write type=file, or replay_buffer=no for a store that keeps what it gets"}
	}
	if s.Secondary, err = l.sub(secondary, "", inside); err != nil {
		return nil, err
	}
	if s.Primary, err = l.primary(b, primary, p); err != nil {
		return nil, err
	}
	return s, nil
}

// noSecondary reports whether a buffer has no secondary, and adds a problem if so. The original wrote to /tmp then;
// here the primary is enough, because the journal precedes it.
func (l *loader) noSecondary(b, secondary *conf.Block) bool {
	const then = ": what the primary does not take waits in the journal"
	if secondary == nil {
		l.strict(b.Line, "Bad config - buffer store doesn't have secondary store"+then,
			"add a <secondary> block with type=file and a file_path of its own")
		return true
	}
	if kind, _ := secondary.Literal("type"); kind.Text == "" {
		l.strict(secondary.Line, "Bad config - buffer secondary store doesn't have a type"+then, "add a line type=file")
		return true
	}
	return false
}

// primary reads the primary of the buffer b.
func (l *loader) primary(b, primary *conf.Block, p position) (Sink, error) {
	if primary == nil {
		return nil, refuse(b, "Bad config - buffer store doesn't have primary store",
			"add a <primary> block, usually with type=network")
	}
	if kind, _ := primary.Literal("type"); kind.Text == "multi" {
		return nil, &refusal{status: "Bad config - buffer primary store cannot be multistore", line: kind.Line,
			cure: "make it a multi store of buffer stores"}
	}
	p.readable = false
	return l.sub(primary, "Bad config - buffer primary store doesn't have a type", p)
}

// waits corrects retry times that do not fit together, for example a shortest interval above the longest one.
func (l *loader) waits(o block, s *Buffer) {
	second := func(d *time.Duration, key string) {
		if v, ok := o.Get(key); ok && *d == 0 {
			l.warn(v.Line, fmt.Sprintf("%s=%s is taken as 1 (the original ended with an error of arithmetic)", key,
				conf.Quote(v.Text)), "write 1 or more")
			*d = time.Second
		}
	}
	atMost := func(d *time.Duration, most time.Duration, keys [2]string) {
		if *d <= most {
			return
		}
		if v, ok := o.Get(keys[0]); ok { // a default simply fits in
			l.warn(v.Line, fmt.Sprintf("Bad config - %s must not be more than %s: %d is used", keys[0], keys[1],
				most/time.Second), "")
		}
		*d = most
	}
	second(&s.RetryRange, "retry_interval_range")
	second(&s.MaxOffset, "max_random_offset")
	second(&s.RetryInterval, "retry_interval")
	second(&s.MinRetry, "min_retry_interval")
	second(&s.MaxRetry, "max_retry_interval")
	atMost(&s.RetryRange, s.RetryInterval, [2]string{"retry_interval_range", "retry_interval"})
	if s.MinRetry > s.MaxRetry {
		v, ok := o.Get("min_retry_interval")
		if !ok {
			v, _ = o.Get("max_retry_interval")
		}
		minimum, maximum := o.section.option("min_retry_interval").value, o.section.option("max_retry_interval").value
		l.warn(v.Line,
			fmt.Sprintf("Bad config - min_retry_interval is more than max_retry_interval: %s and %s are used", minimum,
				maximum), "swap them")
		least, _ := conf.Unsigned(minimum)
		most, _ := conf.Unsigned(maximum)
		s.MinRetry, s.MaxRetry = time.Duration(least)*time.Second, time.Duration(most)*time.Second
	}
	atMost(&s.MaxOffset, s.MaxRetry, [2]string{"max_random_offset", "max_retry_interval"})
}

// checkRatio warns of a fraction that is not above 0 and at most 1.
func (b block) checkRatio(key string) {
	o, v := b.value(key)
	f, clean := conf.Float(v.Text)
	if !clean || f <= 0 || f > 1 {
		b.l.warn(v.Line, fmt.Sprintf("Bad config - %s must be above 0 and at most 1: %s is used", key, o.value), "")
	}
}
