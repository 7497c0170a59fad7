package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// kafkaJars is the directory of the jars for the tests; .ci/deps downloads them.
const kafkaJars = "kafka-4.4.0"

// Kafka is a real broker, which is its own controller.
type Kafka struct {
	Addr   string
	Client []kgo.Opt // that a client needs, such as its login
	dir    string
	broker *Process
}

// kafkaRuns reports whether tests with a real Kafka are run.
func kafkaRuns(tb testing.TB) bool {
	tb.Helper()
	_, err := exec.LookPath("java")
	switch {
	case os.Getenv("INKWELL_TEST_KAFKA") != "1":
		NotRun(tb, "Kafka takes long: make kafka and make chaos-cluster run this")
		return false
	case err != nil || Fetched(kafkaJars) == "":
		NotRun(tb, "Java, or Kafka's jars, are not there (make deps fetches those, which needs Maven)")
		return false
	}
	return true
}

// NewKafka starts a broker, or reports that the test is not run. It takes about twenty seconds and needs
// INKWELL_TEST_KAFKA=1 (make kafka).
func NewKafka(tb testing.TB) (*Kafka, bool) {
	tb.Helper()
	if !kafkaRuns(tb) {
		return nil, false
	}
	k := &Kafka{dir: tb.TempDir(), Addr: free(tb)}
	controller := free(tb)
	settings := strings.Join([]string{
		"process.roles=broker,controller", "node.id=1", "controller.quorum.voters=1@" + controller,
		"listeners=PLAINTEXT://" + k.Addr + ",CONTROLLER://" + controller, "controller.listener.names=CONTROLLER",
		"listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
		"log.dirs=" + filepath.Join(k.dir, "data"), "auto.create.topics.enable=false",
		"offsets.topic.replication.factor=1", "offsets.topic.num.partitions=4",
		"transaction.state.log.replication.factor=1", "transaction.state.log.min.isr=1",
		"share.coordinator.state.topic.replication.factor=1", "group.initial.rebalance.delay.ms=0",
	}, "\n")
	WriteFile(tb, k.settings(), settings)
	kafkaJava(tb, "-Xmx128m", "kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qg", "-c",
		k.settings()).Expect(tb, 0)
	k.Begin(tb)
	return k, true
}

// NewFakeKafka starts a fake broker in the test's process. It speaks the protocol, with groups, sessions and offsets;
// its disk, its replicas and its death are not those of a broker.
func NewFakeKafka(tb testing.TB, opts ...kfake.Opt) *Kafka {
	tb.Helper()
	cluster, err := kfake.NewCluster(append(opts, kfake.NumBrokers(1), kfake.GroupMinSessionTimeout(time.Second))...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(cluster.Close)
	return &Kafka{Addr: cluster.ListenAddrs()[0]}
}

func (k *Kafka) settings() string { return filepath.Join(k.dir, "server.properties") }

// kafkaJava starts a class of Kafka.
func kafkaJava(tb testing.TB, memory string, args ...string) *Process {
	tb.Helper()
	return Inkwell{}.Start(tb, Command{Program: "java",
		Args: append([]string{memory, "-cp", Fetched(kafkaJars) + "/*"}, args...)})
}

// Begin starts the broker, also after Kill, and waits until it answers.
func (k *Kafka) Begin(tb testing.TB) {
	tb.Helper()
	k.broker = kafkaJava(tb, "-Xmx400m", "kafka.Kafka", k.settings())
	deadline := time.Now().Add(3 * time.Minute)
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		err := k.ask(tb, func(adm *kadm.Client) error {
			_, err := adm.BrokerMetadata(ctx)
			return err
		})
		cancel()
		if err == nil {
			return
		}
		if k.broker.Ended() || time.Now().After(deadline) {
			tb.Fatalf("the broker does not answer: %v\n%s", err, k.broker.Stderr())
		}
	}
}

// Real reports whether it is not the fake.
func (k *Kafka) Real() bool { return k.broker != nil }

// Kill ends the broker with SIGKILL.
func (k *Kafka) Kill() { kill(k.broker) }

// ask calls do with an administrator.
func (k *Kafka) ask(tb testing.TB, do func(*kadm.Client) error) error {
	tb.Helper()
	cl, err := kgo.NewClient(append(k.Client, kgo.SeedBrokers(k.Addr), kgo.RequestRetries(0),
		kgo.DialTimeout(time.Second))...)
	if err != nil {
		tb.Fatal(err)
	}
	defer cl.Close()
	return do(kadm.NewClient(cl))
}

// Size is how many bytes the broker has of all topics.
func (k *Kafka) Size(tb testing.TB) (bytes int64) {
	tb.Helper()
	err := k.ask(tb, func(adm *kadm.Client) error {
		dirs, err := adm.DescribeAllLogDirs(context.Background(), nil)
		dirs.Each(func(d kadm.DescribedLogDir) {
			err = errors.Join(err, d.Err)
			bytes += d.Size()
		})
		return err
	})
	if err != nil {
		tb.Fatal(fmt.Errorf("ask the broker how much it has: %w", err))
	}
	return bytes
}

// Topic makes a topic with settings, written as KEY=VALUE.
func (k *Kafka) Topic(tb testing.TB, name string, partitions int32, settings ...string) {
	tb.Helper()
	err := k.ask(tb, func(adm *kadm.Client) error {
		return makeTopic(context.Background(), adm, topicPlan{name, partitions, 1}, settings)
	})
	if err != nil {
		tb.Fatal(fmt.Errorf("make topic %s: %w", name, err))
	}
}

// topicPlan says what a topic is to be like.
type topicPlan struct {
	name       string
	partitions int32
	replicas   int16
}

// makeTopic makes a topic with settings, written as KEY=VALUE.
func makeTopic(ctx context.Context, adm *kadm.Client, t topicPlan, settings []string) error {
	configs := make(map[string]*string)
	for _, s := range settings {
		key, value, _ := strings.Cut(s, "=")
		configs[key] = &value
	}
	r, err := adm.CreateTopic(ctx, t.partitions, t.replicas, configs, t.name)
	return errors.Join(err, r.Err)
}
