package depot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/encrypt"
)

// bucket is a depot in a bucket of S3 or of a compatible service.
type bucket struct {
	core   minio.Core
	creds  *credentials.Credentials
	name   string
	prefix string // ends in a slash, or is ""

	sse     encrypt.ServerSide // nil: the default of the bucket
	class   string             // storage class, "" = the default of the bucket
	single  int64              // largest object in bytes that is uploaded in one request
	partLen int64
}

const (
	singlePut = 1 << 30  // larger than the default max_size, because such an upload leaves nothing behind when it fails
	partBytes = 64 << 20 // of at most 10,000 parts
)

func openS3(a Address) (*bucket, error) {
	b := &bucket{name: a.Host, class: a.Query.Get("storage_class"), single: singlePut, partLen: partBytes}
	if a.Path != "" {
		b.prefix = a.Path + "/"
	}
	endpoint, secure, err := endpointOf(cmp.Or(a.Query.Get("endpoint"), os.Getenv("AWS_ENDPOINT_URL_S3"),
		os.Getenv("AWS_ENDPOINT_URL"),
		"https://s3.amazonaws.com"))
	if err != nil {
		return nil, err
	}
	if b.sse, err = encryption(a.Query); err != nil {
		return nil, err
	}
	b.creds = credentials.NewChainCredentials([]credentials.Provider{&credentials.EnvAWS{},
		&credentials.FileAWSCredentials{},
		&credentials.IAM{Client: &http.Client{Timeout: 10 * time.Second}}})
	lookup := minio.BucketLookupAuto
	if a.Query.Get("path_style") == "yes" {
		lookup = minio.BucketLookupPath
	}
	client, err := minio.New(endpoint, &minio.Options{Creds: b.creds, Secure: secure, BucketLookup: lookup,
		MaxRetries: 1,
		Region:     cmp.Or(a.Query.Get("region"), os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION"))})
	if err != nil {
		return nil, err
	}
	client.SetAppInfo("inkwell", "1")
	b.core = minio.Core{Client: client}
	return b, nil
}

// endpointOf parses the URL of an endpoint.
func endpointOf(text string) (host string, secure bool, err error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", false, fmt.Errorf("endpoint %q: want https://HOST or http://HOST:PORT", text)
	}
	return u.Host, u.Scheme == "https", nil
}

// encryption returns how the server is to encrypt objects.
func encryption(q url.Values) (encrypt.ServerSide, error) {
	switch kind := q.Get("sse"); kind {
	case "":
		return nil, nil
	case "AES256":
		return encrypt.NewSSE(), nil
	case "aws:kms":
		return encrypt.NewSSEKMS(q.Get("kms_key"), nil)
	default:
		return nil, fmt.Errorf("sse=%s: want AES256 or aws:kms", kind)
	}
}

// lookFirst is the size in bytes from which on Put checks whether a name is taken before it sends the content.
const lookFirst = 8 << 20

// Put implements Depot. After an error it checks what is stored under the name: the answer may have been lost, or the
// server may have refused a large object and closed the connection before its answer could be read.
func (b *bucket) Put(ctx context.Context, name string, data *io.SectionReader) error {
	if data.Size() > lookFirst {
		if done, err := b.hasSame(ctx, name, data); done || err != nil {
			return err
		}
	}
	put := b.whole
	if data.Size() > b.single {
		put = b.inParts
	}
	err := put(ctx, b.prefix+name, data)
	if err == nil {
		return nil
	}
	switch done, look := b.hasSame(ctx, name, data); {
	case done:
		return nil
	case errors.Is(look, ErrTaken):
		return look
	}
	return b.explain("put", name, err)
}

// hasSame reports whether name exists with this content; other content is an error.
func (b *bucket) hasSame(ctx context.Context, name string, data *io.SectionReader) (bool, error) {
	info, err := b.core.Client.StatObject(ctx, b.name, b.prefix+name, minio.StatObjectOptions{})
	switch {
	case isStatus(err, http.StatusNotFound) && minio.ToErrorResponse(err).Code != "NoSuchBucket":
		return false, nil
	case err != nil:
		return false, b.explain("look for", name, err)
	case info.Size != data.Size():
		return false, taken("s3://"+path.Join(b.name, b.prefix), name)
	}
	return same(ctx, b, name, data)
}

// Open implements Depot.
func (b *bucket) Open(ctx context.Context, name string, r Range) (io.ReadCloser, error) {
	var o minio.GetObjectOptions
	switch {
	case r.Length == 0:
		return http.NoBody, nil
	case r.Length > 0:
		if err := o.SetRange(r.From, r.From+r.Length-1); err != nil {
			return nil, err
		}
	case r.From > 0:
		if err := o.SetRange(r.From, 0); err != nil {
			return nil, err
		}
	}
	body, _, _, err := b.core.GetObject(ctx, b.name, b.prefix+name, o)
	switch {
	case isStatus(err, http.StatusRequestedRangeNotSatisfiable):
		return http.NoBody, nil // the object ends before that offset
	case err != nil:
		return nil, b.explain("read", name, err)
	}
	return body, nil
}

// List implements Depot.
func (b *bucket) List(ctx context.Context, dir string, each func(Object) error) error {
	prefix := b.prefix
	if dir != "" {
		prefix += strings.TrimSuffix(dir, "/") + "/"
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for o := range b.core.Client.ListObjects(ctx, b.name, minio.ListObjectsOptions{Prefix: prefix, Recursive: true}) {
		if o.Err != nil {
			return b.explain("list", dir, o.Err)
		}
		if strings.HasSuffix(o.Key, "/") {
			continue // an object that some tools create to represent a directory
		}
		if err := each(Object{Name: strings.TrimPrefix(o.Key, b.prefix), Size: o.Size,
			Modified: o.LastModified}); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// Remove implements Remover.
func (b *bucket) Remove(ctx context.Context, name string) error {
	err := b.core.Client.RemoveObject(ctx, b.name, b.prefix+name, minio.RemoveObjectOptions{})
	if isStatus(err, http.StatusNotFound) {
		return nil
	}
	return b.explain("remove", name, err)
}

// Close implements Depot.
func (b *bucket) Close() error { return nil }

// isStatus reports whether an error is an answer with that HTTP status.
func isStatus(err error, status int) bool {
	var answer minio.ErrorResponse
	return errors.As(err, &answer) && answer.StatusCode == status
}

// cures are the remedies for error codes of a server.
var cures = map[string]string{
	"ExpiredToken": "the credentials have expired: renew them; the file of credentials is read again, the " +
		"environment is not",
	"ExpiredTokenException": "the credentials have expired: renew them; the file of credentials is read again, the " +
		"environment is not",
	"InvalidAccessKeyId":    "the key is not known there: is AWS_ACCESS_KEY_ID, or the profile, of that account?",
	"SignatureDoesNotMatch": "the secret is not that of the key, or the clock of this machine is wrong",
	"RequestTimeTooSkewed":  "the clock of this machine is wrong",
	"AccessDenied": "the credentials need s3:PutObject, s3:GetObject and s3:ListBucket, and a KMS key its " +
		"own permission",
	"NoSuchBucket": "make the bucket: it is not made by itself",
	"SlowDown":     "the service throttles: it is tried again, more slowly",
}

// explain adds to an error what was being done and how to remedy it. Credentials that were refused are read again
// before the next attempt, because a file or a service may have new ones.
func (b *bucket) explain(doing, name string, err error) error {
	if err == nil {
		return nil
	}
	answer := minio.ToErrorResponse(err)
	switch answer.Code {
	case "ExpiredToken", "ExpiredTokenException", "InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied":
		b.creds.Expire()
	case "NoSuchKey":
		return &fs.PathError{Op: doing, Path: "s3://" + path.Join(b.name, b.prefix, name), Err: fs.ErrNotExist}
	}
	cure := cures[answer.Code]
	if answer.StatusCode == http.StatusServiceUnavailable || answer.StatusCode == http.StatusTooManyRequests {
		cure = cures["SlowDown"]
	}
	what := err.Error()
	if answer.StatusCode != 0 {
		what = fmt.Sprintf("HTTP %d %s: %s", answer.StatusCode, answer.Code, answer.Message)
	}
	if cure != "" {
		what += " (" + cure + ")"
	}
	return &refusal{fmt.Sprintf("%s s3://%s: %s", doing, path.Join(b.name, b.prefix, name), what), err}
}

// refusal is an error of the library with a more helpful text.
type refusal struct {
	text string
	err  error
}

func (r *refusal) Error() string { return r.text }
func (r *refusal) Unwrap() error { return r.err }
