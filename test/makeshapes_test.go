//go:build makestate

package test

import (
	"maps"
	"strings"
	"time"
)

// to adds what every source of a server has in common.
func to(server string, sources map[string]*source) map[string]*source {
	for _, s := range sources {
		s.To = server
	}
	return sources
}

// inStream is a source with a stream, raw one without.
func inStream(category string, in ...string) *source {
	return &source{Category: category, In: in, Numbered: true}
}

func raw(category string, in ...string) *source { return &source{Category: category, In: in} }

// shuffled says of sources that nothing is to be said about their order: two files of one category were written at once, or names have
// the date of when they were made.
func shuffled(sources map[string]*source) map[string]*source {
	for _, s := range sources {
		s.Shuffled = true
	}
	return sources
}

// eachOwn are sources of a server with a directory for each category below out.
func eachOwn(server string) map[string]*source {
	return to(server, map[string]*source{
		"web":  inStream("web", "out/web/"),
		"old":  raw("web", "out/web/"),
		"mix1": inStream("mixa", "out/mixa/"),
		"mix2": inStream("mixb", "out/mixb/"),
		"mix3": inStream("mixc", "out/mixc/"),
		"raw1": raw("mixa", "out/mixa/"),
		"raw2": raw("rawb", "out/rawb/"),
		"bad":  inStream("../bad/name", "out/_unsafe/"),
	})
}

// killed are the phases of a shape whose victim is killed at a point, after a life that ended by kill -9.
func killed(point string) []phase {
	return []phase{{calls: 8}, {kill: point, calls: 400}}
}

// flagShapes are those of `inkwell collect --dir`.
func flagShapes() (all []making) {
	add := func(name, about string, phases []phase, flags ...string) *making {
		m := making{name: "flags-" + name, phases: phases}
		m.About = "collect --dir: " + about
		args := []string{"collect", "--dir", "{ROOT}/out", "--listen", "{ADDR.collect}", "--max-size", "300", "--stream-ttl", "36500d"}
		m.Processes = []shapeProcess{{Name: "collect", Args: append(args, flags...)}}
		m.Out, m.Audit, m.Sources = []string{"out"}, []string{"--verify", "{ROOT}/out"}, eachOwn("collect")
		all = append(all, m)
		return &all[len(all)-1]
	}
	flat := []string{"--rotate", "never"}
	with := func(flags ...string) []string { return append(flags, flat...) }
	for _, point := range []string{"files.chunk.taken:9", "rotate.block.written:15", "rotate.seal.written:3", "rotate.seal.synced:3", "rotate.sync.done:12",
		"files.checkpoint.gathered:3", "lines.written:5", "files.ledger.saved:4", "files.streams.saved:4", "replace.synced:7", "replace.renamed:8",
		"files.checkpoint.saved:4", "rotate.publish.renamed:3", "files.manifest.begun:4", "manifest.written:3", "files.checkpoint.published:4",
		"spool.ack.written:4", "spool.commit.written:60", "spool.segment.renamed:3", "rotate.file.created:10"} {
		add("gzip-"+label(point), "gzip, killed at "+point, killed(point), flat...)
	}
	for _, point := range []string{"rotate.block.written:15", "rotate.seal.synced:3", "files.streams.saved:4", "files.checkpoint.saved:4", "rotate.publish.renamed:3"} {
		add("zstd-"+label(point), "zstd, killed at "+point, killed(point), with("--compress", "zstd")...)
	}
	for _, point := range []string{"rotate.block.written:15", "files.ledger.saved:4", "files.checkpoint.saved:4", "rotate.publish.renamed:3"} {
		add("none-"+label(point), "plain files, killed at "+point, killed(point), with("--compress", "none", "--max-size", "700")...)
	}
	for _, codec := range []string{"gzip", "zstd", "none"} {
		flags := with("--compress", codec)
		add(codec+"-waiting", codec+": a checkpoint, and then a journal of which nothing is in the files",
			[]phase{{calls: 12, rest: 400 * time.Millisecond}, {calls: 12, env: []string{never}}}, flags...)
		add(codec+"-stopped", codec+": stopped in good order", []phase{{calls: 12}, {calls: 12, stop: true}}, flags...)
	}
	add("fresh", "killed before there was a checkpoint", []phase{{calls: 15, env: []string{never}}}, flat...)
	m := add("keepopen", "stopped in good order, with files left open", []phase{{calls: 12}, {calls: 12, stop: true}}, with("--keep-open")...)
	m.Audit = []string{"{ROOT}/out"}
	m = add("beside", "the state stands elsewhere, durability write", killed("files.checkpoint.saved:3"), with("--state", "{ROOT}/state", "--durability", "write")...)
	m.Audit = append(m.Audit, "--collector-state", "{ROOT}/out={ROOT}/state")
	// Categories beyond the bound: which ones they are is decided by who comes first.
	m = add("overflow", "more categories than there may be, killed between checkpoints",
		[]phase{{calls: 12, rest: 300 * time.Millisecond}, {calls: 12, env: []string{never}}}, with("--max-categories", "7")...)
	for _, name := range []string{"over1", "over2", "over3", "over4"} {
		m.Sources[name] = inStream(name, "out/")
		m.Sources[name].To = "collect"
	}
	for _, s := range m.Sources {
		s.In = []string{"out/"}
	}
	m = add("markers-killed", "done markers of periods of two seconds, killed",
		[]phase{{calls: 12, rest: 300 * time.Millisecond}, {calls: 12, rest: 4 * time.Second}},
		"--rotate", "2s", "--done-markers", "--lateness", "1s")
	shuffled(m.Sources)
	m = add("markers-stopped", "done markers of periods of two seconds, stopped in good order",
		[]phase{{calls: 12, rest: 300 * time.Millisecond}, {calls: 12, rest: 4 * time.Second, stop: true}},
		"--rotate", "2s", "--done-markers", "--lateness", "1s")
	shuffled(m.Sources)
	m = add("daily", "names with a date, killed between checkpoints", []phase{{calls: 12, rest: 300 * time.Millisecond}, {calls: 12, env: []string{never}}})
	shuffled(m.Sources)
	return all
}

// label is a point as a part of a name.
func label(point string) string {
	name, _, _ := strings.Cut(point, ":")
	return strings.ReplaceAll(name, ".", "-")
}

func perCategorySources() map[string]*source {
	all := eachOwn("collect")
	maps.Copy(all, to("collect", map[string]*source{
		"packed1": inStream("packed.a", "out/packed.a/"),
		"packed2": inStream("packed.b", "out/packed.b/"),
		"zipped":  raw("zipped", "out/zipped/"),
		"both":    inStream("both", "out/first/", "out/second/"),
		"keyed1":  inStream("keyed", "out/buckets/"),
		"keyed2":  inStream("keyed", "out/buckets/"),
		"keyed3":  inStream("keyed", "out/buckets/"),
	}))
	return all
}

func perBlockSources() map[string]*source {
	return to("collect", map[string]*source{
		"web":  inStream("web", "out/web/"),
		"old":  raw("web", "out/web/"),
		"mix1": inStream("mixa", "out/shared/"),
		"mix2": inStream("mixb", "out/shared/"),
		"mix3": inStream("mixc", "out/shared/"),
		"raw1": raw("mixa", "out/shared/"),
		"raw2": raw("rawb", "out/pair/"),
		"raw3": raw("rawc", "out/pair/"),
		"bad":  inStream("../bad/name", "out/_unsafe/"),
	})
}

// configuredShapes are those of `inkwell collect -c` and `inkwell scribed` that write files.
func configuredShapes() (all []making) {
	add := func(name, about string, phases []phase) *making {
		m := making{name: "conf-" + name, phases: phases}
		command, style, _ := strings.Cut(name, "-")
		style, _, _ = strings.Cut(style, "-")
		sources := perCategorySources()
		if style == "block" {
			sources = perBlockSources()
		}
		p := shapeProcess{Name: "collect", Env: []string{"INKWELL_STATE={ROOT}/state"}, Conf: command + "-" + style + ".conf"}
		if p.Args = []string{"collect", "-c", "{ROOT}/conf/" + p.Conf}; command == "scribed" {
			p.Args = []string{"scribed", "--listen", "127.0.0.1", "-c", "{ROOT}/conf/" + p.Conf}
		}
		m.About = strings.Join(p.Args[:1], " ") + " -c: " + about
		m.Processes, m.Out, m.Sources = []shapeProcess{p}, []string{"out"}, sources
		all = append(all, m)
		return &all[len(all)-1]
	}
	for i, point := range []string{"queue.taken:20", "queue.marked:8", "queue.checkpoint.gathered:3", "queue.streams.saved:3", "queue.checkpoint.saved:3",
		"queue.checkpoint.acked:3", "plain.written:20", "plain.begun:4", "plain.rotated.synced:3", "plain.synced:8", "plain.shown:4", "plain.linked:4",
		"replace.synced:5", "spool.ack.written:4", "spool.commit.written:60"} {
		for k, name := range []string{"collect-category-", "scribed-category-", "collect-block-"} {
			if k == i%3 || k == 0 && strings.HasPrefix(point, "queue.") || k == 2 && strings.HasPrefix(point, "queue.checkpoint") {
				add(name+label(point), "killed at "+point, killed(point))
			}
		}
	}
	for _, point := range []string{"rotate.block.written:8", "rotate.seal.synced:3", "rotate.publish.renamed:3"} {
		add("collect-category-"+label(point), "killed at "+point, killed(point))
		add("collect-block-"+label(point), "killed at "+point, killed(point))
	}
	for _, name := range []string{"collect-category-", "collect-block-", "scribed-category-"} {
		add(name+"waiting", "a checkpoint, and then more for which there is none", []phase{{calls: 12, rest: 500 * time.Millisecond}, {calls: 12, env: []string{never}, rest: 1500 * time.Millisecond}})
		add(name+"stopped", "stopped in good order", []phase{{calls: 12}, {calls: 12, stop: true}})
	}
	add("collect-category-fresh", "killed before there was a checkpoint", []phase{{calls: 15, env: []string{never}}})
	return all
}

// central is the collector that relays, forwarders and pipes send to.
func central() shapeProcess {
	return shapeProcess{Name: "central", Args: []string{"collect", "--dir", "{ROOT}/out", "--listen", "{ADDR.central}", "--max-size", "1000", "--rotate", "never", "--stream-ttl", "36500d"}}
}

// What a sender that was killed in the middle may send again: a relay whatever came since its last checkpoint, a forwarder or pipe what
// was on its way.
const (
	unknownToRelay = 5000
	unknown        = 300
)

// relayShapes are those of a scribed that sends to a collector.
func relayShapes() (all []making) {
	add := func(name, about, conf string, phases []phase) *making {
		m := making{name: "relay-" + name, phases: phases}
		m.About = "a relay and its central: " + about
		m.Processes = []shapeProcess{central(), {Name: "relay", Relay: true, Args: []string{"scribed", "--listen", "127.0.0.1", "-c", "{ROOT}/conf/" + conf},
			Env: []string{"INKWELL_STATE={ROOT}/state"}, Conf: conf}}
		m.Out, m.Sources = []string{"out"}, eachOwn("relay")
		m.Audit, m.Again = []string{"--verify", "{ROOT}/out"}, unknownToRelay
		for i := range m.phases {
			m.phases[i].victim = "relay"
		}
		all = append(all, m)
		return &all[len(all)-1]
	}
	away := []string{"central"}
	for name, conf := range map[string]string{"": "relay.conf", "block-": "relay-block.conf"} {
		add(name+"rest", "all is delivered, killed", conf, []phase{{calls: 12}, {calls: 12, rest: 3 * time.Second}}).Again = 0
		add(name+"stopped", "all is delivered, stopped in good order", conf, []phase{{calls: 12}, {calls: 12, rest: 3 * time.Second, stop: true}}).Again = 0
		add(name+"spool", "the central was away: its spool and its journal are full, killed", conf,
			[]phase{{calls: 12, rest: 2 * time.Second}, {calls: 12, without: away, rest: 2 * time.Second}})
		add(name+"spool-stopped", "the central was away: its spool is full, stopped in good order", conf,
			[]phase{{calls: 12, rest: 2 * time.Second}, {calls: 12, without: away, rest: 2 * time.Second, stop: true}})
	}
	for _, point := range []string{"buffer.direct:3", "rpc.call.sent:8", "queue.checkpoint.gathered:2", "queue.taken:8", "queue.checkpoint.saved:2", "queue.streams.saved:2"} {
		add(label(point), "killed at "+point, "relay.conf", killed(point))
	}
	for _, point := range []string{"replay.delivered:2", "replay.acked:1"} {
		add(label(point), "the central was away, killed as it delivers what is in its spool, at "+point, "relay.conf",
			[]phase{{calls: 15, rest: time.Second}, {calls: 12, without: away, rest: 2 * time.Second}, {calls: 12, kill: point}})
	}
	return all
}

// senderShapes are those of forwarders and pipes.
func senderShapes() (all []making) {
	away := []string{"central"}
	add := func(name, about string, configured bool, phases []phase) *making {
		command, _, _ := strings.Cut(name, "-")
		m := making{name: name, phases: phases}
		p := shapeProcess{Name: command, Once: true, Args: []string{command, "--to", "{ADDR.central}"}}
		states := []string{"--state", "{ROOT}/spool"}
		switch {
		case command == "forward" && configured:
			p.Args = []string{command, "-c", "{ROOT}/conf/forward.conf"}
			p.Conf = "forward.conf"
			states = []string{"--state", "{ROOT}/state/forward"}
		case command == "forward":
			p.Args = append(p.Args, "--state", "{ROOT}/state", "app={ROOT}/in/app.log")
			states = []string{"--state", "{ROOT}/state"}
		case configured:
			p.Args = []string{command, "-c", "{ROOT}/conf/pipe.conf"}
			p.Conf = "pipe.conf"
			states = []string{"--state", "{ROOT}/spool/pipe.spool"}
		default:
			p.Args = append(p.Args, "--spool", "{ROOT}/spool", "pipe")
		}
		m.Sources = map[string]*source{"app": raw("app", "out/app/")}
		if command == "forward" {
			p.Args = append(p.Args, "--once")
		} else {
			m.Sources = map[string]*source{"pipe": raw("pipe", "out/pipe/")}
		}
		m.About = strings.Join(p.Args[:2], " ") + ": " + about
		m.Processes, m.Out = []shapeProcess{central(), p}, []string{"out"}
		m.Audit = append(states, "--verify", "{ROOT}/out")
		for i := range m.phases {
			m.phases[i].victim = command
		}
		all = append(all, m)
		return &all[len(all)-1]
	}
	for _, configured := range []bool{false, true} {
		style := map[bool]string{false: "flags", true: "conf"}[configured]
		add("forward-"+style+"-rest", "all is delivered, killed", configured, []phase{{calls: 12}, {calls: 12, rest: 2 * time.Second}})
		add("forward-"+style+"-stopped", "stopped in good order", configured, []phase{{calls: 12}, {calls: 12, rest: time.Second, stop: true}})
		add("forward-"+style+"-spool", "the collector was away: lines wait in the spool", configured,
			[]phase{{calls: 12, rest: time.Second}, {calls: 12, without: away, rest: 2 * time.Second}})
		add("forward-"+style+"-spool-stopped", "the collector was away: lines wait in the spool, stopped in good order", configured,
			[]phase{{calls: 12, rest: time.Second}, {calls: 12, without: away, rest: time.Second, stop: true}})
		for _, point := range []string{"forward.delivered:2", "forward.positions.written:2", "buffer.direct:2"} {
			add("forward-"+style+"-"+label(point), "killed at "+point, configured, []phase{{calls: 12}, {calls: 60, kill: point}}).Again = unknown
		}
		add("forward-"+style+"-replay-delivered", "killed when what was in the spool is delivered and not acknowledged", configured,
			[]phase{{calls: 12, rest: time.Second}, {calls: 12, without: away, rest: time.Second}, {calls: 12, kill: "replay.delivered:1"}}).Again = unknown
		add("pipe-"+style+"-spool", "the collector was away: lines wait in the spool", configured,
			[]phase{{calls: 12, ends: true}, {calls: 40, without: away, ends: true, env: []string{"INKWELL_DRAIN_TIMEOUT=100ms"}}})
		add("pipe-"+style+"-replay-delivered", "killed when what was in the spool is delivered and not acknowledged", configured,
			[]phase{{calls: 12, ends: true}, {calls: 40, without: away, ends: true, env: []string{"INKWELL_DRAIN_TIMEOUT=100ms"}}, {kill: "replay.delivered:1"}}).Again = unknown
	}
	return all
}
