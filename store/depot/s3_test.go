package depot

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"inkwell/test/harness"
)

// atGateway opens a depot on a real S3 server behind a proxy.
func atGateway(t *testing.T) (*bucket, *harness.Gateway, *front) {
	t.Helper()
	g, ok := harness.NewGateway(t, "logs")
	if !ok {
		return nil, nil, nil
	}
	f := newFront(t, g.Addr)
	return openBucket(t, f.URL), g, f
}

func openBucket(t *testing.T, endpoint string) *bucket {
	t.Helper()
	t.Setenv("AWS_ACCESS_KEY_ID", harness.GatewayKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", harness.GatewaySecret)
	d, err := Open("s3://logs/pre/fix?path_style=yes&region=us-east-1&endpoint="+endpoint, Options{})
	must(t, err)
	t.Cleanup(func() { must(t, d.Close()) })
	return d.(*bucket)
}

// front is a proxy in front of the server that treats requests as a test wants.
type front struct {
	*httptest.Server
	meddle atomic.Pointer[meddler] // nil: nothing
}

// meddler handles a request itself or calls pass, and returns whether the answer is to be lost.
type meddler func(w http.ResponseWriter, r *http.Request, pass http.Handler)

func newFront(t *testing.T, addr string) *front {
	to := &url.URL{Scheme: "http", Host: addr}
	proxy := &httputil.ReverseProxy{
		Rewrite:      func(r *httputil.ProxyRequest) { r.SetURL(to); r.Out.Host = r.In.Host }, // which is signed
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	f := new(front)
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if m := f.meddle.Load(); m != nil {
			(*m)(w, r, proxy)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(f.Close)
	return f
}

func (f *front) with(m meddler) { f.meddle.Store(&m) }
func (f *front) without()       { f.meddle.Store(nil) }

// refuses answers with an error of S3.
func refuses(status int, code string) meddler {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(status)
		fmt.Fprintf(w, "<Error><Code>%s</Code><Message>no</Message></Error>", code)
	}
}

func TestS3(t *testing.T) {
	b, _, _ := atGateway(t)
	if b == nil {
		return
	}
	t.Run("in one request", func(t *testing.T) { contract(t, b) })
	race(t, b)
}

// TestS3LargeObjects uploads everything in parts: the condition must be on the request that completes the upload.
func TestS3LargeObjects(t *testing.T) {
	b, g, f := atGateway(t)
	if b == nil {
		return
	}
	b.single, b.partLen = 5<<20, 5<<20
	large := noise(12<<20 + 5)
	must(t, b.Put(t.Context(), "large", section(large)))
	if got := read(t, b, "large", Whole); got != large {
		t.Errorf("%d bytes came back", len(got))
	}
	must(t, b.Put(t.Context(), "large", section(large)))
	if err := b.Put(t.Context(), "large", section("x"+large[1:])); !errors.Is(err, ErrTaken) {
		t.Errorf("a large object was replaced: %v", err)
	}
	if got := read(t, b, "large", Whole); got != large {
		t.Error("it is another one now")
	}
	// Its last answer is lost; and an upload that a killed process left is removed.
	id, err := b.core.NewMultipartUpload(t.Context(), "logs", b.prefix+"second", b.options())
	must(t, err)
	f.with(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if r.Method == http.MethodPost && r.URL.Query().Has("uploadId") {
			pass.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		}
		pass.ServeHTTP(w, r)
	})
	must(t, b.Put(t.Context(), "second", section(large))) // it looks what is there
	f.without()
	must(t, b.Put(t.Context(), "second", section(large)))
	left, err := b.core.ListMultipartUploads(t.Context(), "logs", b.prefix, "", "", "", 10)
	must(t, err)
	if len(left.Uploads) > 0 {
		t.Errorf("uploads are left, one of them is %s: %+v (%s)", id, left.Uploads, g.Dir)
	}
}

// TestS3Faults makes each request fail in a way that users of other sinks reported, and checks that the same Put then
// works.
func TestS3Faults(t *testing.T) {
	b, g, f := atGateway(t)
	if b == nil {
		return
	}
	lost := func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		pass.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	}
	for i, fault := range []struct {
		name string
		do   meddler
		says string
	}{
		{"throttled", refuses(503, "SlowDown"), "throttles"},
		{"throttled with 429", refuses(429, "TooManyRequests"), "throttles"},
		{"internal error", refuses(500, "InternalError"), "InternalError"},
		{"expired credentials", refuses(400, "ExpiredToken"), "renew them"},
		{"access denied", refuses(403, "AccessDenied"), "s3:PutObject"},
		{"no bucket", refuses(404, "NoSuchBucket"), "make the bucket"},
		{"conflict of two requests", refuses(409, "ConditionalRequestConflict"), "ConditionalRequestConflict"},
		{"full", refuses(507, "XMinioStorageFull"), "XMinioStorageFull"},
		{"answer lost", lost, ""},
		{"cut in the middle", func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
			_, _ = io.CopyN(io.Discard, r.Body, 1000)
			panic(http.ErrAbortHandler)
		}, ""},
		{"a page of a proxy", func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.WriteHeader(502)
			_, _ = io.WriteString(w, "<html>Bad Gateway</html>")
		}, "502"},
	} {
		t.Run(fault.name, func(t *testing.T) {
			name, data := fmt.Sprintf("a/%02d", i), noise(1<<20+i)
			f.with(fault.do)
			err := b.Put(t.Context(), name, section(data))
			if err == nil || errors.Is(err, ErrTaken) || !strings.Contains(err.Error(), fault.says) {
				t.Errorf("it was told as: %v", err)
			}
			f.without()
			must(t, b.Put(t.Context(), name, section(data)))
			if got := read(t, b, name, Whole); got != data {
				t.Errorf("%d bytes are there", len(got))
			}
		})
	}
	g.Kill()
	if err := b.Put(t.Context(), "a/away", section("x")); err == nil {
		t.Error("a server that is away took an object")
	}
	g.Begin(t)
	must(t, b.Put(t.Context(), "a/away", section("x")))
}

// TestS3Damage changes a byte in transit: the server must notice by the checksum.
func TestS3Damage(t *testing.T) {
	b, g, f := atGateway(t)
	if b == nil {
		return
	}
	f.with(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if r.Method == http.MethodPut {
			body, _ := io.ReadAll(r.Body)
			if r.Header.Get("X-Amz-Checksum-Crc32c") == "" {
				t.Error("no checksum is sent")
			}
			body[len(body)/2] ^= 1
			r.Body = io.NopCloser(strings.NewReader(string(body)))
		}
		pass.ServeHTTP(w, r)
	})
	if err := b.Put(t.Context(), "a", section(noise(1<<20))); err == nil {
		t.Error("damaged bytes were taken")
	}
	f.without()
	if _, err := os.Stat(filepath.Join(g.Dir, "logs", "pre/fix/a")); err == nil {
		t.Error("they are there")
	}
}

// TestS3Headers checks the headers for KMS and storage classes, which the server of the tests does not support.
func TestS3Headers(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "k")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "s")
	var got http.Header
	var path string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		got, path = r.Header, r.URL.Path
		w.Header().Set("ETag", `"x"`)
	}))
	defer server.Close()
	d, err := Open("s3://bucket/p?path_style=yes&region=eu-1&sse=aws:kms&kms_key=arn:1&storage_class=STANDARD_IA&endpoint="+server.URL, Options{})
	must(t, err)
	must(t, d.Put(t.Context(), "a/b", section("x")))
	for key, want := range map[string]string{"If-None-Match": "*", "X-Amz-Server-Side-Encryption": "aws:kms",
		"X-Amz-Storage-Class":                         "STANDARD_IA",
		"X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id": "arn:1"} {
		if got.Get(key) != want {
			t.Errorf("%s: %q, want %q", key, got.Get(key), want)
		}
	}
	if path != "/bucket/p/a/b" || !strings.Contains(got.Get("Authorization"), "/eu-1/s3/") {
		t.Errorf("%s with %s", path, got.Get("Authorization"))
	}
}

// TestS3Credentials renews the file of credentials after a refusal, like a tool for that would.
func TestS3Credentials(t *testing.T) {
	file := filepath.Join(t.TempDir(), "credentials")
	write := func(key string) {
		must(t, os.WriteFile(file, []byte("[default]\naws_access_key_id="+key+"\naws_secret_access_key=s\n"), 0o600))
	}
	write("old")
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY", "AWS_SECRET_KEY",
		"AWS_PROFILE"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", file)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.Header.Get("Authorization"), "Credential=old/") {
			refuses(403, "ExpiredToken")(w, r, nil)
			return
		}
		w.Header().Set("ETag", `"x"`)
	}))
	defer server.Close()
	d, err := Open("s3://bucket?path_style=yes&region=eu-1&endpoint="+server.URL, Options{})
	must(t, err)
	if err := d.Put(t.Context(), "a", section("x")); err == nil || !strings.Contains(err.Error(), "expired") {
		t.Errorf("expired credentials: %v", err)
	}
	write("new")
	must(t, d.Put(t.Context(), "a", section("x")))
}

func TestS3Addresses(t *testing.T) {
	for _, address := range []string{"s3://bucket?endpoint=host", "s3://bucket?sse=rot13"} {
		if _, err := Open(address, Options{}); err == nil {
			t.Errorf("%s was taken", address)
		}
	}
}

// TestS3IsAsFastAsItsServer logs a figure and asserts nothing.
func TestS3IsAsFastAsItsServer(t *testing.T) {
	g, ok := harness.NewGateway(t, "logs")
	if !ok {
		return
	}
	direct := openBucket(t, "http://"+g.Addr)
	data, began := noise(32<<20), time.Now()
	must(t, direct.Put(t.Context(), "x", section(data)))
	took := time.Since(began)
	began = time.Now()
	for i := range 50 {
		must(t, direct.Put(t.Context(), fmt.Sprint("small/", i), section("x")))
	}
	t.Logf("32 MiB in %v, a small object in %v", took.Round(time.Millisecond),
		(time.Since(began) / 50).Round(10*time.Microsecond))
	if got := read(t, direct, "x", Whole); got != data {
		t.Error("it is not what was put")
	}
}
