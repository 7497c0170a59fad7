package scale

// Event is something that happens to the collectors.
type Event struct {
	From, To  float64 // seconds
	Collector bool    // one collector is dead from From to the end
	Depot     bool    // the depot is away from From to To
}

// Outcome is what a simulation has found.
type Outcome struct {
	In, Out float64 // GB that were taken, and that are in the depot
	Backlog float64 // GB that are in the topic at the end
	Again   float64 // GB that were read again by a successor
	MaxLag  float64 // seconds that the oldest byte that is not in the depot has waited, at most
	Caught  float64 // seconds from the end of the event until the lag is that of before; -1 = not within the time
}

// partition is one partition of the topic.
type partition struct {
	rate      float64 // GB/s that come in
	owner     int     // -1 = nobody
	free      float64 // when its next owner begins, if it has none
	in        float64 // GB that came in
	read      float64 // GB that its owner has read
	begun     float64 // GB before the present epoch
	committed float64 // GB that are in the depot
}

// Scene is what is simulated.
type Scene struct {
	Costs
	Machines
	Shape
	Event
	Rate    float64 // GB/s of all collectors
	Seconds float64
}

// step is how many seconds pass in a step of the simulation.
const step = 5.0

// Simulate runs a scene in steps of some seconds.
func Simulate(scene Scene) Outcome {
	s, e, rate, seconds := scene.Shape, scene.Event, scene.Rate, scene.Seconds
	w := &world{c: scene.Costs, m: scene.Machines, s: s, e: e, rate: rate, alive: s.Collectors,
		parts: make([]partition, s.Partitions())}
	shares, _ := s.shares()
	for i, share := range shares {
		w.parts[i] = partition{rate: rate * share, owner: i % s.Collectors}
	}
	var o Outcome
	usual := 0.0
	o.Caught = -1
	for t := 0.0; t < seconds; t += step {
		w.pass(t, &o)
		lag := w.lag()
		switch {
		case t < e.From:
			usual = max(usual, lag)
		case t >= e.To && lag <= usual+step:
			if o.Caught < 0 {
				o.Caught = t - e.To
			}
		case t >= e.To:
			o.Caught = -1 // it was the lag at one moment of a period
		}
		o.MaxLag = max(o.MaxLag, lag)
	}
	for i := range w.parts {
		o.In, o.Out = o.In+w.parts[i].in, o.Out+w.parts[i].committed
	}
	o.Backlog = o.In - o.Out
	return o
}

// world is the state of a simulation.
type world struct {
	c     Costs
	m     Machines
	s     Shape
	e     Event
	rate  float64
	alive int
	parts []partition
}

// pass lets a step pass: entries come in, owners read with the CPU that taking calls leaves, and epochs end.
func (w *world) pass(t float64, o *Outcome) {
	if w.e.Collector && t == w.e.From && w.alive > 1 {
		w.alive--
		for i := range w.parts {
			if p := &w.parts[i]; p.owner == w.alive { // the last one dies
				p.owner, p.free = -1, t+w.c.Silence
			}
		}
	}
	left := make([]float64, w.alive) // GB that each can drain in this step
	for i := range left {
		left[i] = max(0, w.m.Cores-w.rate/float64(w.alive)*w.c.TakeCPU) / w.c.DrainCPU * step
	}
	away := w.e.Depot && t >= w.e.From && t < w.e.To
	for i := range w.parts {
		p := &w.parts[i]
		p.in += p.rate * step
		if p.owner < 0 {
			if t < p.free {
				continue
			}
			o.Again += p.read - p.committed
			p.owner, p.read, p.begun = i%w.alive, p.committed, p.committed
		}
		w.drain(p, t, &left[p.owner], away)
	}
}

// drain has the owner of a partition read for a step, and ends the epoch by its size or the clock.
func (w *world) drain(p *partition, t float64, left *float64, away bool) {
	n := min(p.in-p.read, w.m.drain(w.c)*step, *left)
	if away {
		n = max(0, min(n, p.committed+w.s.Epoch-p.read))
	}
	p.read += n
	*left -= n
	if away {
		return
	}
	for p.read >= p.begun+w.s.Epoch {
		p.begun += w.s.Epoch
	}
	if int(t)%int(w.s.Period) == 0 {
		p.begun = p.read
	}
	p.committed = p.begun
}

// lag is how old the oldest byte is that is not in the depot.
func (w *world) lag() (lag float64) {
	for i := range w.parts {
		if p := &w.parts[i]; p.rate > 0 {
			lag = max(lag, (p.in-p.committed)/p.rate)
		}
	}
	return lag
}
