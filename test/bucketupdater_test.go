package test

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"inkwell/test/harness"
)

// mapping is a BucketStoreMapping service, written by hand on the wire: every question is answered with the servers of all buckets.
type mapping struct {
	mu    sync.Mutex
	ports map[int]string
}

func (m *mapping) set(ports map[int]string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ports = ports
}

// serve answers until the test ends and returns its port.
func (m *mapping) serve(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for m.answer(c) == nil {
				}
			}()
		}
	}()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	return port
}

// answer answers one call: old style, map<i32, HostPort {2: host, 3: port}>.
func (m *mapping) answer(c net.Conn) error {
	var head [4]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return err
	}
	call := make([]byte, binary.BigEndian.Uint32(head[:])&0xffff)
	if _, err := io.ReadFull(c, call); err != nil {
		return err
	}
	n := 4 + len("getMapping")
	if len(call) < n+5 || string(call[4:n]) != "getMapping" {
		return fmt.Errorf("call % x", call)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	reply := append(append([]byte{}, call[:n]...), 2)
	reply = append(reply, call[n+1:n+5]...)
	reply = append(harness.AppendField(reply, 13, 0), 8, 12)
	reply = binary.BigEndian.AppendUint32(reply, uint32(len(m.ports)))
	for bucket, port := range m.ports {
		p, _ := strconv.Atoi(port)
		reply = binary.BigEndian.AppendUint32(reply, uint32(bucket))
		reply = harness.AppendString(harness.AppendField(reply, 11, 2), "127.0.0.1")
		reply = binary.BigEndian.AppendUint32(harness.AppendField(reply, 8, 3), uint32(p))
		reply = append(reply, 0)
	}
	_, err := c.Write(harness.Frame(append(reply, 0)))
	return err
}

// TestBucketsFollowTheirMapping is the original's test of that name: buckets whose servers a service names, and then names others.
func TestBucketsFollowTheirMapping(t *testing.T) {
	t.Parallel()
	server := func() *harness.Scribed {
		return ink.Scribed(t, "port={PORT}\ncheck_interval=1\n<store>\ncategory=*\ntype=file\nfile_path={DIR}/out\n</store>\n")
	}
	one, two := server(), server()
	m := new(mapping)
	m.set(map[int]string{0: one.Port, 1: one.Port, 2: two.Port})
	bucket := func(n int) string {
		return fmt.Sprintf("<bucket%d>\ntype=buffer\nretry_interval=1\nretry_interval_range=1\n<primary>\ntype=network\ndynamic_config_type=thrift_bucket\nbucket_updater_host=127.0.0.1\nbucket_updater_port={UPDATER}\nbucket_updater_ttl=1\nuse_conn_pool=yes\n</primary>\n<secondary>\ntype=file\nfile_path={DIR}/buf%d\n</secondary>\n</bucket%d>\n", n, n, n)
	}
	central := ink.Scribed(t, "port={PORT}\ncheck_interval=1\n<store>\ncategory=bucketme\ntype=bucket\nnum_buckets=2\nbucket_type=key_modulo\ndelimiter=59\n"+bucket(0)+bucket(1)+bucket(2)+"</store>\n",
		"{UPDATER}", m.serve(t))
	send := func(messages ...string) {
		c := dialScribe(t, central.Addr)
		for _, message := range messages {
			mustLog(t, c, harness.Entry{Category: "bucketme", Message: message})
		}
	}
	holds := func(s *harness.Scribed, want string) {
		t.Helper()
		path := filepath.Join(s.Dir, "out", "bucketme", "bucketme_00000")
		harness.Until(t, fmt.Sprintf("%s holds %q", path, want), func() bool {
			data, _ := os.ReadFile(path)
			return string(data) == want
		})
	}
	send("0;a\n", "1;b\n", "2;c\n")
	holds(one, "0;a\n2;c\n")
	holds(two, "1;b\n")
	m.set(map[int]string{0: one.Port, 1: two.Port, 2: one.Port})
	central.Reaches(t, "bucketupdater.bucket_updated", 5) // three servers at first, two others now
	send("0;d\n", "1;e\n")
	holds(two, "1;b\n0;d\n")
	holds(one, "0;a\n2;c\n1;e\n")
}
