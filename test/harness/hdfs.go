package harness

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/colinmarc/hdfs/v2"
)

// hadoop is the directory of the jars for the tests; .ci/deps downloads them.
const hadoop = "hdfs-3.5.0"

// HDFS is a real NameNode with DataNodes.
type HDFS struct {
	Addr  string // of the NameNode
	dir   string
	http  string
	name  *Process
	nodes []*Process
}

// NewHDFS starts an HDFS, or reports that the test is not run. It takes about twenty seconds and needs
// INKWELL_TEST_HDFS=1 (make depots).
func NewHDFS(tb testing.TB, dataNodes int) (*HDFS, bool) {
	tb.Helper()
	_, err := exec.LookPath("java")
	switch {
	case os.Getenv("INKWELL_TEST_HDFS") != "1":
		NotRun(tb, "HDFS takes long: make depots and make chaos-cluster run this")
		return nil, false
	case err != nil || Fetched(hadoop) == "":
		NotRun(tb, "Java, or Hadoop's jars, are not there (make deps fetches those, which needs Maven)")
		return nil, false
	}
	h := &HDFS{dir: tb.TempDir(), Addr: free(tb), http: free(tb)}
	h.configure(tb, "name")
	h.java(tb, "name", "namenode.NameNode", "-format", "-nonInteractive").Expect(tb, 0)
	h.BeginName(tb)
	h.nodes = make([]*Process, dataNodes)
	for i := range dataNodes {
		h.configure(tb, fmt.Sprint("data", i))
		h.BeginData(tb, i)
	}
	h.until(tb, fmt.Sprintf(`"NumLiveDataNodes" : %d`, dataNodes), `"FSState" : "Operational"`)
	return h, true
}

// free returns an address on which nobody listens.
func free(tb testing.TB) string {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	if err := ln.Close(); err != nil {
		tb.Fatal(err)
	}
	return ln.Addr().String()
}

// configure writes the configuration of one server. It also makes the folders of the web applications, which are
// missing in the jars from Maven and without which the servers do not start.
func (h *HDFS) configure(tb testing.TB, server string) {
	tb.Helper()
	conf := filepath.Join(h.dir, server, "conf")
	for _, dir := range []string{"webapps/hdfs", "webapps/datanode"} {
		if err := os.MkdirAll(filepath.Join(conf, dir), 0o755); err != nil {
			tb.Fatal(err)
		}
	}
	free := "127.0.0.1:0"
	for file, values := range map[string]map[string]string{
		"core-site.xml": {"fs.defaultFS": "hdfs://" + h.Addr},
		"hdfs-site.xml": {"dfs.namenode.name.dir": filepath.Join(h.dir, server, "image"),
			"dfs.datanode.data.dir":     filepath.Join(h.dir, server, "blocks"),
			"dfs.namenode.http-address": h.http, "dfs.datanode.address": free, "dfs.datanode.ipc.address": free,
			"dfs.datanode.http.address": free,
			"dfs.replication":           "2", "dfs.heartbeat.interval": "1",
			"dfs.namenode.heartbeat.recheck-interval": "1000",
			"dfs.namenode.avoid.write.stale.datanode": "true", "dfs.namenode.stale.datanode.interval": "4000",
			"dfs.permissions.enabled":               "false",
			"dfs.namenode.fs-limits.min-block-size": "1048576", "dfs.blocksize": "8388608",
			"dfs.namenode.safemode.extension": "0"},
	} {
		var b strings.Builder
		b.WriteString("<configuration>\n")
		for key, value := range values {
			fmt.Fprintf(&b, "<property><name>%s</name><value>%s</value></property>\n", key, value)
		}
		b.WriteString("</configuration>\n")
		if err := os.WriteFile(filepath.Join(conf, file), []byte(b.String()), 0o644); err != nil {
			tb.Fatal(err)
		}
	}
}

// java starts a class of HDFS.
func (h *HDFS) java(tb testing.TB, server, class string, args ...string) *Process {
	tb.Helper()
	path := filepath.Join(h.dir, server, "conf") + ":" + Fetched(hadoop) + "/*"
	return Inkwell{}.Start(tb, Command{Program: "java",
		Args: append([]string{"-Xmx160m", "-cp", path, "org.apache.hadoop.hdfs.server." + class}, args...)})
}

// BeginName starts the NameNode, also after KillName.
func (h *HDFS) BeginName(tb testing.TB) {
	tb.Helper()
	h.name = h.java(tb, "name", "namenode.NameNode")
	h.until(tb, `"FSState"`)
}

// BeginData starts a DataNode, also after KillData. It does not wait until the NameNode knows it.
func (h *HDFS) BeginData(tb testing.TB, i int) {
	tb.Helper()
	h.nodes[i] = h.java(tb, fmt.Sprint("data", i), "datanode.DataNode")
}

// Fetch copies all files below a directory to a local one.
func (h *HDFS) Fetch(tb testing.TB, from, to string) {
	tb.Helper()
	cl, err := hdfs.New(h.Addr)
	if err != nil {
		tb.Fatal(err)
	}
	defer cl.Close()
	err = cl.Walk(from, func(path string, info fs.FileInfo, err error) error {
		local := filepath.Join(to, strings.TrimPrefix(path, from))
		switch {
		case err != nil:
			return err
		case info.IsDir():
			return os.MkdirAll(local, 0o755)
		}
		return cl.CopyToLocal(path, local)
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		tb.Fatal(fmt.Errorf("copy %s from HDFS: %w", from, err))
	}
}

// KillName ends the NameNode.
func (h *HDFS) KillName() { kill(h.name) }

// KillData ends a DataNode.
func (h *HDFS) KillData(i int) { kill(h.nodes[i]) }

// Operational waits until the NameNode accepts writes.
func (h *HDFS) Operational(tb testing.TB) { h.until(tb, `"FSState" : "Operational"`) }

func kill(p *Process) {
	p.killed = true
	p.Signal(syscall.SIGKILL)
	<-p.done
}

// until waits until the NameNode's description of itself contains all of the given texts.
func (h *HDFS) until(tb testing.TB, texts ...string) {
	tb.Helper()
	said := ""
	for deadline := time.Now().Add(3 * time.Minute); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		answer, err := http.Get("http://" + h.http + "/jmx?qry=Hadoop:service=NameNode,name=FSNamesystemState")
		if err != nil {
			if h.name.Ended() {
				break
			}
			continue
		}
		body, err := io.ReadAll(answer.Body)
		if err := errors.Join(err, answer.Body.Close()); err != nil {
			tb.Fatal(err)
		}
		said = string(body)
		all := true
		for _, text := range texts {
			all = all && strings.Contains(said, text)
		}
		if all {
			return
		}
	}
	tb.Fatalf("the NameNode does not say %q: %s%s", texts, said, h.name.Stderr())
}
