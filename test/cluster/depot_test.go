package cluster

import (
	"os"
	"path/filepath"
	"testing"

	"inkwell/test/harness"
)

// depot is where the collectors publish their files.
type depot struct {
	address string // for --publish, through link
	direct  string // not through link
	env     []string
	link    *harness.Proxy // between the collectors and the depot
	servers []*member
	fetch   func(t *testing.T) string // returns a local directory with all that is in the depot
}

// newDepot starts the depot that the environment names, or reports that this machine cannot.
func newDepot(t *testing.T) (*depot, bool) {
	t.Helper()
	switch kind := os.Getenv(depotVar); kind {
	case "", "s3":
		return newBucket(t)
	case "hdfs":
		return newHadoop(t)
	default:
		t.Fatalf("%s=%s: want s3 or hdfs", depotVar, kind)
		return nil, false
	}
}

// newBucket starts an S3 server. Its objects are files in a directory.
func newBucket(t *testing.T) (*depot, bool) {
	g, ok := harness.NewGateway(t, "logs")
	if !ok {
		return nil, false
	}
	link := harness.NewProxy(t, g.Addr)
	const options = "s3://logs/prod?path_style=yes&region=us-east-1&endpoint=http://"
	return &depot{address: options + link.Addr, direct: options + g.Addr, link: link,
		env:     []string{"AWS_ACCESS_KEY_ID=" + harness.GatewayKey, "AWS_SECRET_ACCESS_KEY=" + harness.GatewaySecret},
		servers: []*member{{name: "the S3 server", kill: g.Kill, begin: func() { g.Begin(t) }}},
		fetch:   func(*testing.T) string { return filepath.Join(g.Dir, "logs", "prod") }}, true
}

// newHadoop starts an HDFS with two DataNodes.
func newHadoop(t *testing.T) (*depot, bool) {
	h, ok := harness.NewHDFS(t, 2)
	if !ok {
		return nil, false
	}
	link := harness.NewProxy(t, h.Addr)
	d := &depot{address: "hdfs://" + link.Addr + "/logs", direct: "hdfs://" + h.Addr + "/logs", link: link,
		fetch: func(t *testing.T) string {
			to := t.TempDir()
			h.Fetch(t, "/logs", to)
			return to
		}}
	for i, name := range []string{"DataNode 1", "DataNode 2"} {
		d.servers = append(d.servers, &member{name: name, kill: func() { h.KillData(i) }, begin: func() { h.BeginData(t, i) }})
	}
	d.servers = append(d.servers, &member{name: "the NameNode", kill: h.KillName, begin: func() { h.BeginName(t) }})
	return d, true
}
