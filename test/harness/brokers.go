package harness

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Brokers is a real Kafka of several brokers, each of which is a controller too. Every client has a listener of its own
// at each broker, whose address is that of a proxy; so a client can be cut off from one broker, or from all, and a
// broker from the others:
//
//	client a ─► proxy ─┐
//	client b ─► proxy ─┼─► broker ◄─ proxy ◄─ other brokers
//	the test ──────────┘
type Brokers struct {
	All []*Broker
	dir string
}

// Broker is one of Brokers.
type Broker struct {
	*Process
	Peers    *Proxy            // between the other brokers and this one
	Clients  map[string]*Proxy // by client
	direct   string            // the address for the test
	settings string            // its configuration file
}

// brokerHeap bounds the memory of a broker.
const brokerHeap = "-Xmx288m"

// NewBrokers starts n brokers for clients with the given names, or reports that the test is not run. It takes about
// half a minute, and needs what NewKafka needs.
func NewBrokers(tb testing.TB, n int, clients ...string) (*Brokers, bool) {
	tb.Helper()
	if !kafkaRuns(tb) {
		return nil, false
	}
	k := &Brokers{dir: tb.TempDir()}
	var controllers []string
	for range n {
		controllers = append(controllers, FreeAddr(tb))
	}
	for i := range n {
		k.All = append(k.All, k.prepare(tb, i, controllers, clients))
	}
	for _, b := range k.All {
		b.Begin(tb)
	}
	Until(tb, "the brokers have found each other", func() bool {
		for _, b := range k.All {
			if b.Ended() {
				tb.Fatalf("%s has ended\n%s", b, b.Stderr())
			}
		}
		return k.Whole(tb)
	})
	return k, true
}

// Whole reports whether all brokers are members of the cluster.
func (k *Brokers) Whole(tb testing.TB) bool {
	tb.Helper()
	return k.ask(tb, func(ctx context.Context, adm *kadm.Client) error {
		m, err := adm.BrokerMetadata(ctx)
		if err == nil && len(m.Brokers) < len(k.All) {
			err = errors.New("some are missing")
		}
		return err
	}) == nil
}

// prepare configures broker i and formats its disk.
func (k *Brokers) prepare(tb testing.TB, i int, controllers, clients []string) *Broker {
	tb.Helper()
	var voters []string
	for i, addr := range controllers {
		voters = append(voters, fmt.Sprintf("%d@%s", i+1, addr))
	}
	b := &Broker{Clients: make(map[string]*Proxy), direct: FreeAddr(tb)}
	listeners := []string{"CONTROLLER://" + controllers[i], "DIRECT://" + b.direct}
	advertised := []string{"DIRECT://" + b.direct}
	protocols := []string{"CONTROLLER:PLAINTEXT", "DIRECT:PLAINTEXT"}
	listen := func(name string) *Proxy {
		addr := FreeAddr(tb)
		p := NewProxy(tb, addr)
		listeners = append(listeners, name+"://"+addr)
		advertised = append(advertised, name+"://"+p.Addr)
		protocols = append(protocols, name+":PLAINTEXT")
		return p
	}
	b.Peers = listen("PEERS")
	for _, client := range clients {
		b.Clients[client] = listen(strings.ToUpper(client))
	}
	b.settings = filepath.Join(k.dir, fmt.Sprintf("server%d.properties", i+1))
	WriteFile(tb, b.settings, strings.Join([]string{
		"process.roles=broker,controller", fmt.Sprintf("node.id=%d", i+1),
		"controller.quorum.voters=" + strings.Join(voters, ","),
		"listeners=" + strings.Join(listeners, ","), "advertised.listeners=" + strings.Join(advertised, ","),
		"listener.security.protocol.map=" + strings.Join(protocols, ","), "controller.listener.names=CONTROLLER",
		"inter.broker.listener.name=PEERS", "log.dirs=" + filepath.Join(k.dir, fmt.Sprintf("data%d", i+1)),
		"auto.create.topics.enable=false", "min.insync.replicas=2", "offsets.topic.num.partitions=4",
		"offsets.topic.replication.factor=3", "transaction.state.log.replication.factor=3",
		"share.coordinator.state.topic.replication.factor=3", "group.initial.rebalance.delay.ms=0",
		// A test of minutes notices within seconds what a cluster notices in half a minute.
		"broker.session.timeout.ms=4000", "broker.heartbeat.interval.ms=500", "replica.lag.time.max.ms=4000",
	}, "\n"))
	kafkaJava(tb, "-Xmx128m", "kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qg", "-c",
		b.settings).Expect(tb, 0)
	return b
}

// Begin starts the broker, also after Kill.
func (b *Broker) Begin(tb testing.TB) {
	tb.Helper()
	b.Process = kafkaJava(tb, brokerHeap, "kafka.Kafka", b.settings)
}

// Addr returns the addresses of all brokers for a client.
func (k *Brokers) Addr(client string) string {
	var all []string
	for _, b := range k.All {
		all = append(all, b.Clients[client].Addr)
	}
	return strings.Join(all, ",")
}

// Links returns the proxies of a client, or those between the brokers if none is given.
func (k *Brokers) Links(client string) (all []*Proxy) {
	for _, b := range k.All {
		if client == "" {
			all = append(all, b.Peers)
		} else {
			all = append(all, b.Clients[client])
		}
	}
	return all
}

// ask calls do with an administrator who is not behind a proxy.
func (k *Brokers) ask(tb testing.TB, do func(context.Context, *kadm.Client) error) error {
	tb.Helper()
	var seeds []string
	for _, b := range k.All {
		seeds = append(seeds, b.direct)
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(seeds...), kgo.DialTimeout(time.Second), kgo.RetryTimeout(5*time.Second))
	if err != nil {
		tb.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return do(ctx, kadm.NewClient(cl))
}

// Topic makes a topic with three replicas, and settings written as KEY=VALUE.
func (k *Brokers) Topic(tb testing.TB, name string, partitions int32, settings ...string) {
	tb.Helper()
	err := k.ask(tb, func(ctx context.Context, adm *kadm.Client) error {
		return makeTopic(ctx, adm, topicPlan{name, partitions, 3}, settings)
	})
	if err != nil {
		tb.Fatal(fmt.Errorf("make topic %s: %w", name, err))
	}
}

// Lag returns the number of records of a topic that a group has not committed; the error says that the brokers could
// not be asked.
func (k *Brokers) Lag(tb testing.TB, group, topic string) (records int64, err error) {
	tb.Helper()
	err = k.ask(tb, func(ctx context.Context, adm *kadm.Client) error {
		ends, err := adm.ListEndOffsets(ctx, topic)
		if err == nil {
			err = ends.Error()
		}
		if err != nil {
			return err
		}
		committed, err := adm.FetchOffsets(ctx, group)
		if err != nil {
			return err
		}
		ends.Each(func(o kadm.ListedOffset) {
			done, _ := committed.Lookup(topic, o.Partition)
			records += o.Offset - max(done.At, 0)
		})
		return nil
	})
	return records, err
}
