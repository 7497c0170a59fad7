package depot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"net"
	"os"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/colinmarc/hdfs/v2"
	"github.com/jcmturner/gokrb5/v8/client"
	"github.com/jcmturner/gokrb5/v8/config"
	"github.com/jcmturner/gokrb5/v8/keytab"
)

// cluster is a depot in HDFS.
//
// The client does not recover a pipeline: when a DataNode dies, the whole file is written again under a new temporary
// name. A rename in HDFS would replace an existing file, so Put checks before that the name is free.
type cluster struct {
	path        string // absolute
	options     hdfs.ClientOptions
	replication int // 0 = the default of the cluster

	mu     sync.Mutex
	client *hdfs.Client // nil: not connected
	staged int          // number of attempts, for temporary names
}

// silence is how long a server may send nothing before the connection is given up.
const silence = 2 * time.Minute

func openHDFS(a Address) (*cluster, error) {
	q := a.Query
	c := &cluster{path: a.Path, options: hdfs.ClientOptions{Addresses: strings.Split(a.Host, ","),
		User: cmp.Or(q.Get("user"), os.Getenv("HADOOP_USER_NAME"), os.Getenv("USER"),
			"inkwell"), UseDatanodeHostname: q.Get("hostnames") == "yes",
		NamenodeDialFunc: dial, DatanodeDialFunc: dial, DataTransferProtection: q.Get("protection")}}
	if text := q.Get("replication"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 512 {
			return nil, fmt.Errorf("replication=%s: want a number of copies", text)
		}
		c.replication = n
	}
	if q.Get("principal") == "" {
		return c, nil
	}
	return c, c.kerberos(q.Get)
}

// kerberos configures the login with a keytab. It has not been tested with a real KDC.
func (c *cluster) kerberos(get func(string) string) error {
	name, realm, ok := strings.Cut(get("principal"), "@")
	if !ok {
		return fmt.Errorf("principal=%s: want NAME@REALM", get("principal"))
	}
	conf, err := config.Load(cmp.Or(get("krb5"), "/etc/krb5.conf"))
	if err != nil {
		return fmt.Errorf("read the configuration of Kerberos (krb5=FILE): %w", err)
	}
	keys, err := keytab.Load(get("keytab"))
	if err != nil {
		return fmt.Errorf("read the keytab of %s (keytab=FILE): %w", get("principal"), err)
	}
	c.options.KerberosClient = client.NewWithKeytab(name, realm, keys, conf)
	c.options.KerberosServicePrincipleName = cmp.Or(get("service"), "nn/_HOST")
	return nil
}

// dial opens a connection whose reads and writes time out.
func dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: 20 * time.Second}).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return timeoutConn{conn}, nil
}

// timeoutConn is a connection with a deadline for each read and write.
type timeoutConn struct{ net.Conn }

func (c timeoutConn) Read(p []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(silence)); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

func (c timeoutConn) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(silence)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// connect returns the client, creating it at the first call.
func (c *cluster) connect() (*hdfs.Client, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.client != nil {
		return c.client, nil
	}
	made, err := hdfs.NewClient(c.options)
	if err != nil {
		return nil, fmt.Errorf("connect to the namenode at %s (user %s): %w", strings.Join(c.options.Addresses, ","),
			c.options.User, err)
	}
	c.client = made
	return made, nil
}

// Put implements Depot.
func (c *cluster) Put(ctx context.Context, name string, data *io.SectionReader) error {
	cl, err := c.connect()
	if err != nil {
		return err
	}
	to := path.Join(c.path, name)
	if done, err := c.hasSame(ctx, cl, name, data); done || err != nil {
		return err
	}
	staged := path.Join(c.path, "_inkwell/stage", c.stageName(name))
	if err := c.stage(ctx, cl, staged, data); err != nil {
		return fmt.Errorf("stage hdfs:%s: %w", to, errors.Join(err, removeStaged(cl, staged)))
	}
	if err := cl.MkdirAll(path.Dir(to), 0o755); err != nil {
		return fmt.Errorf("make the directory of hdfs:%s: %w", to, errors.Join(err, removeStaged(cl, staged)))
	}
	if done, err := c.hasSame(ctx, cl, name, data); done || err != nil { // the rename would replace it
		return errors.Join(err, removeStaged(cl, staged))
	}
	if err := cl.Rename(staged, to); err != nil {
		return fmt.Errorf("publish hdfs:%s: %w", to, errors.Join(err, removeStaged(cl, staged)))
	}
	return nil
}

// stageName returns a new name for each attempt: after its DataNode died, a file can stay locked for an hour.
func (c *cluster) stageName(name string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.staged++
	h := fnv.New64a()
	fmt.Fprintf(h, "%s %d %d %d", name, os.Getpid(), time.Now().UnixNano(), c.staged)
	return fmt.Sprintf("%016x", h.Sum64())
}

// removeStaged removes a staged file. Its writer cannot write to it any more.
func removeStaged(cl *hdfs.Client, staged string) error {
	if err := cl.Remove(staged); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// hasSame reports whether name exists with this content; other content is an error.
func (c *cluster) hasSame(ctx context.Context, cl *hdfs.Client, name string, data *io.SectionReader) (bool, error) {
	info, err := cl.Stat(path.Join(c.path, name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("look for hdfs:%s: %w", path.Join(c.path, name), err)
	case info.IsDir() || info.Size() != data.Size():
		return false, taken("hdfs:"+c.path, name)
	}
	return same(ctx, c, name, data)
}

// stage writes a whole file.
func (c *cluster) stage(ctx context.Context, cl *hdfs.Client, staged string, data *io.SectionReader) error {
	defaults, err := cl.ServerDefaults()
	if err != nil {
		return err
	}
	if err := cl.MkdirAll(path.Dir(staged), 0o755); err != nil {
		return err
	}
	w, err := cl.CreateFile(staged, cmp.Or(c.replication, defaults.Replication), defaults.BlockSize, 0o644)
	if err != nil {
		return err
	}
	if _, err := io.Copy(w, reading(ctx, data)); err != nil {
		return errors.Join(err, w.Close())
	}
	if err := closeFile(ctx, w); err != nil {
		return err
	}
	info, err := cl.Stat(staged)
	if err == nil && info.Size() != data.Size() {
		err = fmt.Errorf("it has %d bytes there, %d were written", info.Size(), data.Size())
	}
	return err
}

// closeFile closes a file. While the last block has too few replicas, the NameNode asks to try again.
func closeFile(ctx context.Context, w *hdfs.FileWriter) error {
	err := w.Close()
	for pause := 50 * time.Millisecond; hdfs.IsErrReplicating(err); pause = min(2*pause, 2*time.Second) {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pause):
		}
		err = w.Close()
	}
	return err
}

// Open implements Depot.
func (c *cluster) Open(_ context.Context, name string, r Range) (io.ReadCloser, error) {
	cl, err := c.connect()
	if err != nil {
		return nil, err
	}
	f, err := cl.Open(path.Join(c.path, name))
	if err != nil {
		return nil, err
	}
	if from := min(r.From, f.Stat().Size()); from > 0 {
		if _, err := f.Seek(from, io.SeekStart); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
	return part{f, f, r.Length}.limited(), nil
}

// List implements Depot.
func (c *cluster) List(ctx context.Context, dir string, each func(Object) error) error {
	cl, err := c.connect()
	if err != nil {
		return err
	}
	return c.list(ctx, cl, dir, each)
}

func (c *cluster) list(ctx context.Context, cl *hdfs.Client, dir string, each func(Object) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	entries, err := cl.ReadDir(path.Join(c.path, dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list hdfs:%s: %w", path.Join(c.path, dir), err)
	}
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		if e.IsDir() {
			err = c.list(ctx, cl, name, each)
		} else {
			err = each(Object{Name: name, Size: e.Size(), Modified: e.ModTime()})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Remove implements Remover.
func (c *cluster) Remove(_ context.Context, name string) error {
	cl, err := c.connect()
	if err != nil {
		return err
	}
	return removeStaged(cl, path.Join(c.path, name))
}

// Close implements Depot.
func (c *cluster) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	cl := c.client
	c.client = nil
	if cl == nil {
		return nil
	}
	return cl.Close()
}
