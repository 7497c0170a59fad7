package harness

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// Keys for access to a Gateway.
const (
	GatewayKey    = "inkwell"
	GatewaySecret = "inkwellsecret"
)

// versitygw is the S3 server of the tests; .ci/deps builds it.
const versitygw = "versitygw-v1.8.0"

// Gateway is a real S3 server whose buckets are directories.
type Gateway struct {
	Dir     string // of the buckets
	Addr    string
	process *Process
}

// NewGateway starts an S3 server with one bucket, or reports that the test is not run.
func NewGateway(tb testing.TB, bucket string) (*Gateway, bool) {
	tb.Helper()
	if Fetched(versitygw) == "" {
		NotRun(tb, "the S3 server %s is not there (make deps builds it, which needs the module proxy)", versitygw)
		return nil, false
	}
	g := &Gateway{Dir: tb.TempDir(), Addr: FreeAddr(tb)}
	if err := os.Mkdir(filepath.Join(g.Dir, bucket), 0o755); err != nil {
		tb.Fatal(err)
	}
	g.Begin(tb)
	return g, true
}

// Begin starts the server, also after Kill, and waits until it answers.
func (g *Gateway) Begin(tb testing.TB) {
	tb.Helper()
	g.process = Inkwell{}.Start(tb, Command{Program: Fetched(versitygw),
		Args: []string{"--port", g.Addr, "--region", "us-east-1", "--quiet", "posix", g.Dir},
		Env:  []string{"ROOT_ACCESS_KEY=" + GatewayKey, "ROOT_SECRET_KEY=" + GatewaySecret}})
	ctx, cancel := context.WithTimeout(tb.Context(), time.Minute)
	defer cancel()
	for ctx.Err() == nil {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+g.Addr+"/", nil)
		if err != nil {
			tb.Fatal(err)
		}
		if answer, err := http.DefaultClient.Do(req); err == nil {
			if err := answer.Body.Close(); err != nil {
				tb.Fatal(err)
			}
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	tb.Fatalf("the S3 server does not answer: %s", g.process.Stderr())
}

// Kill ends the server.
func (g *Gateway) Kill() {
	g.process.killed = true
	g.process.Signal(syscall.SIGKILL)
	<-g.process.done
}
