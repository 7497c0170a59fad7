package test

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"inkwell/test/harness"
)

// pair is a client and its central, not started yet.
func pair(t *testing.T) (client, central *harness.Scribed) {
	t.Helper()
	central = ink.NewScribed(t, centralConf)
	return ink.NewScribed(t, relayConf, "{CENTRAL}", central.Port), central
}

// delivered waits until the client keeps nothing back.
func delivered(t *testing.T, client *harness.Scribed) {
	t.Helper()
	harness.Until(t, "the client has delivered everything", func() bool {
		for name, n := range client.Counters(t) {
			if n > 0 && (strings.HasSuffix(name, ":journal entries") || strings.HasSuffix(name, ":spool entries")) {
				return false
			}
		}
		return true
	})
}

// TestOriginalCentralStopsUnderLoad stops and starts the central while lines come in: none is missing, or there twice, and the order is kept.
func TestOriginalCentralStopsUnderLoad(t *testing.T) {
	t.Parallel()
	client, central := pair(t)
	central.Restart(t)
	client.Restart(t)
	var stopped atomic.Bool
	var work sync.WaitGroup
	sent := make([]int, 2)
	for i := range sent {
		work.Go(func() {
			for ; !stopped.Load(); sent[i] += 50 {
				if err := stress(client.Addr, fmt.Sprint("cat", i), "src", sent[i], sent[i]+50); err != nil {
					t.Error(err)
					return
				}
				time.Sleep(5 * time.Millisecond)
			}
		})
	}
	for i := range 3 {
		before := central.Counter(t, "scribe_overall:received good")
		central.Reaches(t, "scribe_overall:received good", before+200)
		if i%2 == 0 {
			central.Stop(t)
		} else {
			central.Shutdown(t)
		}
		client.Becomes(t, harness.Warning, "Failed to connect")
		central.Restart(t)
		client.Becomes(t, harness.Alive, "")
	}
	stopped.Store(true)
	work.Wait()
	delivered(t, client)
	if n, want := client.Counter(t, "scribe_overall:sent"), int64(sent[0]+sent[1]); n != want {
		t.Errorf("sent is %d, want %d", n, want)
	}
	if n := client.Counter(t, "scribe_overall:retries"); n < 3 {
		t.Errorf("retries is %d", n)
	}
	client.Shutdown(t)
	central.Shutdown(t)
	for i, n := range sent {
		harness.Audit(t, filepath.Join(central.Dir, "out"), fmt.Sprint("cat", i)).Exactly(t, map[string]int{"src": n})
	}
}

// TestOriginalStartOrders: whoever starts first, and whatever happened to the client before, everything arrives.
func TestOriginalStartOrders(t *testing.T) {
	t.Parallel()
	steps := map[string]func(t *testing.T, client, central *harness.Scribed){
		"central first": func(t *testing.T, client, central *harness.Scribed) {
			central.Restart(t)
			client.Restart(t)
			mustStress(t, client.Addr, "cat", "src", 1000)
		},
		"client first": func(t *testing.T, client, central *harness.Scribed) {
			client.Restart(t)
			mustStress(t, client.Addr, "cat", "src", 1000)
			client.Becomes(t, harness.Warning, "Failed to connect")
			central.Restart(t)
		},
		"client stopped, central started, client started": func(t *testing.T, client, central *harness.Scribed) {
			client.Restart(t)
			mustStress(t, client.Addr, "cat", "src", 1000)
			client.Becomes(t, harness.Warning, "Failed to connect")
			client.Stop(t)
			central.Restart(t)
			client.Restart(t) // no message comes for the category now
		},
		"client shut down by its peer": func(t *testing.T, client, central *harness.Scribed) {
			client.Restart(t)
			mustStress(t, client.Addr, "cat", "src", 1000)
			client.Shutdown(t)
			client.Restart(t)
			central.Restart(t)
		},
	}
	for name, step := range steps {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, central := pair(t)
			step(t, client, central)
			holds(t, filepath.Join(central.Dir, "out"), "cat", 1000)
			client.Becomes(t, harness.Alive, "")
			client.Shutdown(t)
			central.Shutdown(t)
			harness.Audit(t, filepath.Join(central.Dir, "out"), "cat").Exactly(t, map[string]int{"src": 1000})
		})
	}
}

// TestOriginalManyConnections has 200 clients connected at once, through a relay.
func TestOriginalManyConnections(t *testing.T) {
	t.Parallel()
	const clients, each = 200, 60
	client, central := pair(t)
	central.Restart(t)
	client.Restart(t)
	var conns []*harness.Scribe
	for range clients {
		conns = append(conns, dialScribe(t, client.Addr))
	}
	var work sync.WaitGroup
	for i, c := range conns {
		work.Go(func() {
			for seq := 0; seq < each; seq += 20 {
				if code, err := c.Log(harness.Entries(fmt.Sprint("cat", i%20), fmt.Sprint("src", i), seq, seq+20)...); code != harness.OK || err != nil {
					t.Errorf("client %d: %d, %v", i, code, err)
				}
			}
		})
	}
	work.Wait()
	delivered(t, client)
	client.Shutdown(t)
	central.Shutdown(t)
	for i := range 20 {
		want := map[string]int{}
		for k := i; k < clients; k += 20 {
			want[fmt.Sprint("src", k)] = each
		}
		harness.Audit(t, filepath.Join(central.Dir, "out"), fmt.Sprint("cat", i)).Exactly(t, want)
	}
}

// TestOriginalMaxConn closes what is beyond max_conn, and serves it when there is room again.
func TestOriginalMaxConn(t *testing.T) {
	t.Parallel()
	s := ink.Scribed(t, globals+"max_conn=3\n"+fileStore("category=default", "out"))
	var served []*harness.Scribe
	refused := false
	harness.Until(t, "somebody is refused", func() bool {
		c := dialScribe(t, s.Addr)
		if _, err := c.Log(); err == nil {
			served = append(served, c)
		} else {
			refused = true
		}
		return refused || len(served) > 10
	})
	if len(served) < 2 || len(served) > 4 { // the original lets in one more
		t.Errorf("%d connections were served", len(served))
	}
	for _, c := range served {
		c.Close()
	}
	harness.Until(t, "there is room", func() bool {
		_, err := dialScribe(t, s.Addr).Log()
		return err == nil
	})
	s.Stop(t)
}

// TestOriginal600Buckets sends through 600 buckets, each a buffer before one of two centrals, of which one is away for a while.
func TestOriginal600Buckets(t *testing.T) {
	t.Parallel()
	const buckets, lines = 600, 6000
	sink := "port={PORT}\ncheck_interval=1\nmax_queue_size=100000000\n" + fileStore("category=default", "out")
	even, odd := ink.NewScribed(t, sink), ink.NewScribed(t, sink)
	var conf strings.Builder
	fmt.Fprintf(&conf, "port={PORT}\ncheck_interval=1\nnew_thread_per_category=no\nmax_queue_size=75000000\n<store>\ncategory=ad_imps_2\ntype=bucket\nbucket_type=key_modulo\n"+
		"num_buckets=%d\ndelimiter=1\nremove_key=yes\nmax_write_interval=1\ntarget_write_size=60000000\n", buckets)
	for i := range buckets + 1 {
		fmt.Fprintf(&conf, "<bucket%d>\ntype=buffer\nretry_interval=2\nretry_interval_range=1\nbuffer_send_rate=1\nflush_streaming=yes\n<primary>\ntype=network\nremote_host=127.0.0.1\nremote_port=%s\nuse_conn_pool=yes\ntimeout=5000\n</primary>\n"+
			"<secondary>\ntype=file\nfile_path={DIR}/bid%d\nbase_filename=ad_imps_2\nmax_size=5000000\n</secondary>\n</bucket%d>\n", i, []string{even.Port, odd.Port}[i%2], i, i)
	}
	conf.WriteString("</store>\n")
	even.Restart(t)
	client := ink.Scribed(t, conf.String())
	c := dialScribe(t, client.Addr)
	want := []int{0, 0}
	for seq := 0; seq < lines; seq += 500 {
		var entries []harness.Entry
		for i := seq; i < seq+500; i++ {
			bucket := i%buckets + 1
			want[bucket%2]++
			entries = append(entries, harness.Entry{Category: "ad_imps_2", Message: fmt.Sprintf("%d\x01%s", i, harness.AppendLine(nil, fmt.Sprint("b", bucket), i/buckets))})
		}
		mustLog(t, c, entries...)
	}
	even.Reaches(t, "ad_imps_2:received good", int64(want[0]))
	client.Becomes(t, harness.Warning, "Failed to connect")
	odd.Restart(t)
	odd.Reaches(t, "ad_imps_2:received good", int64(want[1]))
	client.Becomes(t, harness.Alive, "")
	client.Shutdown(t)
	even.Shutdown(t)
	odd.Shutdown(t)
	for parity, s := range []*harness.Scribed{even, odd} {
		all := map[string]int{}
		for bucket := 1; bucket <= buckets; bucket++ {
			if bucket%2 == parity {
				all[fmt.Sprint("b", bucket)] = lines / buckets
			}
		}
		harness.Audit(t, filepath.Join(s.Dir, "out"), "ad_imps_2").Exactly(t, all)
	}
}

// TestOriginalSimulateBackoff has two senders with adaptive back-off hammer a receiver that mostly refuses.
func TestOriginalSimulateBackoff(t *testing.T) {
	t.Parallel()
	const each = 600
	central := ink.Scribed(t, strings.Replace(centralConf, "max_msg_per_second=2000000", "max_msg_per_second=800", 1))
	conf := strings.Replace(relayConf, "retry_interval=1\nretry_interval_range=1\n", "adaptive_backoff=yes\nmin_retry_interval=1\nmax_retry_interval=3\nmax_random_offset=1\n", 1)
	conf = strings.Replace(conf, "timeout=2000\n", "timeout=2000\nmax_batch_size=20000\n", 1)
	var clients []*harness.Scribed
	for i := range 2 {
		s := ink.Scribed(t, conf, "{CENTRAL}", central.Port)
		clients = append(clients, s)
		mustStress(t, s.Addr, "cat", fmt.Sprint("src", i), each)
	}
	for _, s := range clients {
		delivered(t, s)
		s.Shutdown(t)
	}
	if central.Counter(t, "denied for rate") == 0 {
		t.Log("nothing was refused")
	}
	central.Shutdown(t)
	harness.Audit(t, filepath.Join(central.Dir, "out"), "cat").Exactly(t, map[string]int{"src0": each, "src1": each})
}

// TestStatusWithoutTraffic: a store that sends says by itself, without a message, whether its peer is there.
func TestStatusWithoutTraffic(t *testing.T) {
	t.Parallel()
	for name, conf := range map[string]string{
		"network":  "type=network\nremote_host=127.0.0.1\nremote_port={CENTRAL}\n",
		"failover": "type=buffer\nreplay_buffer=no\nretry_interval=1\nretry_interval_range=1\n<primary>\ntype=network\nremote_host=127.0.0.1\nremote_port={CENTRAL}\n</primary>\n<secondary>\ntype=null\n</secondary>\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			central := ink.NewScribed(t, globals+fileStore("category=default", "out"))
			client := ink.Scribed(t, globals+"<store>\ncategory=cat\n"+conf+"</store>\n", "{CENTRAL}", central.Port)
			client.Becomes(t, harness.Warning, "Failed to connect")
			central.Restart(t)
			client.Becomes(t, harness.Alive, "")
			mustLog(t, dialScribe(t, client.Addr), harness.Entry{Category: "cat", Message: "m"})
			client.Shutdown(t)
			central.Shutdown(t)
			if got := read(t, central.Dir, "out/cat/cat_00000"); got != "m" {
				t.Errorf("%q", got)
			}
		})
	}
}
