package bench

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/flate"
	"github.com/twmb/franz-go/pkg/kgo"

	"inkwell/test/harness"
)

// topicValue is how many bytes of a file a record of the bare client has, as many as one of the collector.
const topicValue = 900 << 10

// bareTopic writes a file into a topic and reads it from there, as it is written, with the settings of the collector's
// client, and compresses it as one stream. It makes no mistake and no promise: nothing else is done with the bytes.
func bareTopic(addr, topic, path string) error {
	ctx := context.Background()
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.DefaultProduceTopic(topic), kgo.ProducerLinger(0),
		kgo.ProducerBatchMaxBytes(2_000_000), kgo.ProducerBatchCompression(kgo.Lz4Compression(), kgo.NoCompression()),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}),
		kgo.FetchMaxBytes(8<<20), kgo.FetchMaxPartitionBytes(8<<20), kgo.DisableFetchSessions())
	if err != nil {
		return err
	}
	defer cl.Close()
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	read := make(chan error, 1)
	go func() { read <- bareConsume(ctx, cl, info.Size()) }()
	if err := bareProduce(ctx, cl, path); err != nil {
		return err
	}
	return <-read
}

func bareProduce(ctx context.Context, cl *kgo.Client, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	failed := make(chan error, 1)
	free := make(chan struct{}, 8) // records on their way
	for {
		value := make([]byte, topicValue)
		n, err := io.ReadFull(f, value)
		if n > 0 {
			free <- struct{}{}
			cl.Produce(ctx, &kgo.Record{Key: []byte("access"), Value: value[:n], Partition: 0}, func(_ *kgo.Record, err error) {
				<-free
				if err != nil {
					select {
					case failed <- err:
					default:
					}
				}
			})
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		} else if err != nil {
			return err
		}
	}
	if err := cl.Flush(ctx); err != nil {
		return err
	}
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

func bareConsume(ctx context.Context, cl *kgo.Client, size int64) error {
	out, sum := new(counter), crc32.NewIEEE()
	z, err := flate.NewWriter(out, gzipLevel)
	if err != nil {
		return err
	}
	for size > 0 {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return err
		}
		for it := fetches.RecordIter(); !it.Done(); {
			value := it.Next().Value
			size -= int64(len(value))
			_, _ = sum.Write(value) // never fails
			if _, err := z.Write(value); err != nil {
				return err
			}
		}
	}
	return z.Close()
}

// newTopic makes a topic of one partition.
func newTopic(b *testing.B, k *harness.Kafka, name string) string {
	b.Helper()
	k.Topic(b, name, 1, "max.message.bytes=2000000", "unclean.leader.election.enable=false")
	return name
}

// collectFor ships the access log to a collector, ends it when it has brought everything to where it goes, and returns
// what the collector took.
func collectFor(b *testing.B, done func(*server) bool, options ...string) cost {
	b.Helper()
	c := flags.collect(b, b.TempDir(), []string{"AWS_ACCESS_KEY_ID=" + harness.GatewayKey,
		"AWS_SECRET_ACCESS_KEY=" + harness.GatewaySecret}, options...)
	memory := watch(c.Process)
	began := time.Now()
	f := ink.Start(b, harness.Command{Args: []string{"forward", "--once", "--to", c.Addr, "--state", b.TempDir(), "access=" + accessLog}})
	f.Expect(b, 0)
	delivered := time.Since(began)
	harness.Until(b, "everything is where it goes", func() bool { return done(c) })
	c.Stop(b)
	spent := cost{wall: time.Since(began), note: fmt.Sprintf("(acknowledged after %.2f s)", delivered.Seconds())}
	spent.use(c.Process, memory)
	return spent
}

// BenchmarkTopic measures the collector alone while the access log goes through a topic of a real broker into gzip files
// in a depot, and compares that with a bare client that produces, consumes and compresses the same bytes, and with a
// local journal.
func BenchmarkTopic(b *testing.B) {
	k, ok := harness.NewKafka(b)
	if !ok {
		return
	}
	size, lines := load(b)
	for b.Loop() {
		round := 0
		costs := best(b, 2*size,
			func() cost {
				round++
				p := act(b, "topic", k.Addr, newTopic(b, k, fmt.Sprintf("bare%d", round)), accessLog)
				memory := watch(p)
				p.Expect(b, 0)
				c := cost{wall: time.Since(p.Started)}
				c.use(p, memory)
				return c
			},
			func() cost {
				depot := b.TempDir()
				topic := newTopic(b, k, fmt.Sprintf("logs%d", round))
				c := collectFor(b, func(c *server) bool { return c.Counter(b, "kafka entries") == int64(lines) },
					"--max-message", "1MiB", "--publish", depot,
					"--journal", fmt.Sprintf("kafka://%s/%s?replicas=1&every=5s&session=6s&member=a", k.Addr, topic))
				same(b, openAll(b, published(b, depot)))
				return c
			},
			func() cost {
				return collectFor(b, func(*server) bool { return true }, "--publish", b.TempDir())
			})
		costs[0].tell(b, "bare client and deflate", size, lines)
		costs[1].tell(b, "collect, a topic as journal", size, lines)
		costs[2].tell(b, "collect, a local journal", size, lines)
		tellRow(row{what: "collect with a topic: CPU ÷ a bare client that produces, consumes and compresses", reach: 1.3,
			value: float64(costs[1].cpu) / float64(costs[0].cpu), note: fmt.Sprintf("%.2f CPU s per GB; with a local journal %.2f",
				costs[1].cpu.Seconds()/(float64(size)/1e9), costs[2].cpu.Seconds()/(float64(size)/1e9))})
	}
}

// BenchmarkTopicParts has one collector take the access log and another one drain it, and measures each.
func BenchmarkTopicParts(b *testing.B) {
	k, ok := harness.NewKafka(b)
	if !ok {
		return
	}
	size, lines := load(b)
	for b.Loop() {
		depot := b.TempDir()
		journal := fmt.Sprintf("kafka://%s/%s?replicas=1&every=5s&session=6s&member=", k.Addr, newTopic(b, k, "logs"))
		collect := func(name string) *server {
			return flags.collect(b, b.TempDir(), nil, "--max-message", "1MiB", "--publish", depot, "--journal", journal+name)
		}
		drains := collect("drains")
		harness.Until(b, "it has the partition", func() bool { return drains.Counter(b, "kafka partitions") == 1 })
		takes := collect("takes")
		began := time.Now()
		f := ink.Start(b, harness.Command{Args: []string{"forward", "--once", "--to", takes.Addr, "--state", b.TempDir(),
			"access=" + accessLog}})
		f.Expect(b, 0)
		delivered := time.Since(began)
		harness.Until(b, "everything is in the depot", func() bool { return drains.Counter(b, "kafka entries") == int64(lines) })
		wall := time.Since(began)
		takes.Stop(b)
		drains.Stop(b)
		same(b, openAll(b, published(b, depot)))
		var files int64
		for _, path := range published(b, depot) {
			info, err := os.Stat(path)
			if err != nil {
				b.Fatal(err)
			}
			files += info.Size()
		}
		for _, part := range []struct {
			name string
			of   *server
			wall time.Duration
		}{{"collect, takes and produces", takes, delivered}, {"collect, drains", drains, wall}} {
			cpu, _ := part.of.Usage()
			cost{cpu: cpu, wall: part.wall}.tell(b, part.name, size, lines)
		}
		b.Logf("the files have %.3f of the bytes, the topic %.3f", float64(files)/float64(size), float64(k.Size(b))/float64(size))
	}
}

// published lists the files of the category in a depot, in the order of their offsets.
func published(b *testing.B, depot string) (paths []string) {
	b.Helper()
	paths, err := filepath.Glob(filepath.Join(depot, "access", "dt=*", "access-*.gz"))
	if err != nil {
		b.Fatal(err)
	}
	slices.SortFunc(paths, func(x, y string) int { return strings.Compare(filepath.Base(x), filepath.Base(y)) })
	return paths
}

// BenchmarkDepot compares what a collector takes that brings its files into a bucket with one that keeps them.
func BenchmarkDepot(b *testing.B) {
	g, ok := harness.NewGateway(b, "logs")
	if !ok {
		return
	}
	size, lines := load(b)
	for b.Loop() {
		round := 0
		kept := func(*server) bool { return true }
		costs := best(b, 2*size,
			func() cost { return collectFor(b, kept, "--max-size", "8MB") },
			func() cost {
				round++
				address := fmt.Sprintf("s3://logs/%d?path_style=yes&region=us-east-1&endpoint=http://%s", round, g.Addr)
				c := collectFor(b, kept, "--max-size", "8MB", "--publish", address)
				same(b, openAll(b, published(b, filepath.Join(g.Dir, "logs", fmt.Sprint(round)))))
				return c
			})
		costs[0].tell(b, "collect", size, lines)
		costs[1].tell(b, "collect, files to S3", size, lines)
		tellRow(row{what: "collect with a depot in S3: CPU ÷ without", reach: 1.1, value: float64(costs[1].cpu) / float64(costs[0].cpu)})
	}
}
