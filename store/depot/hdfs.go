package depot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/colinmarc/hdfs/v2"
	"github.com/jcmturner/gokrb5/v8/client"
	"github.com/jcmturner/gokrb5/v8/config"
	"github.com/jcmturner/gokrb5/v8/keytab"
)

// cluster is a depot in HDFS.
//
// The library does not recover a pipeline: when a DataNode dies, the whole file is written again at once, under a new
// temporary name, and the NameNode may choose other DataNodes. A rename in HDFS would replace an existing file, so Put
// checks before that the name is free.
type cluster struct {
	path        string // absolute
	options     hdfs.ClientOptions
	replication int // 0 = the default of the cluster

	staged atomic.Int64 // number of attempts, for temporary names
}

const (
	patience   = 30 * time.Second // for how long a put is tried again after a DataNode has failed
	closeLimit = 10 * time.Second // until the NameNode knows that the last block is stored
)

func openHDFS(a Address) (*cluster, error) {
	q := a.Query
	c := &cluster{path: a.Path, options: hdfs.ClientOptions{Addresses: strings.Split(a.Host, ","),
		User: cmp.Or(q.Get("user"), os.Getenv("HADOOP_USER_NAME"), os.Getenv("USER"),
			"inkwell"), UseDatanodeHostname: q.Get("hostnames") == "yes", DataTransferProtection: q.Get("protection")}}
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

// Put implements Depot.
func (c *cluster) Put(ctx context.Context, name string, data *io.SectionReader) error {
	const most = 2 * time.Second
	end := time.Now().Add(patience)
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, most) {
		again, err := c.attempt(ctx, name, data)
		if !again || ctx.Err() != nil || time.Now().After(end) || !wait(ctx, pause) {
			return err
		}
	}
}

// attempt is one attempt to put an object. again says that a DataNode has failed: the NameNode may choose others.
func (c *cluster) attempt(ctx context.Context, name string, data *io.SectionReader) (again bool, err error) {
	s, err := c.connect(ctx)
	if err != nil {
		return false, err
	}
	defer s.close()
	to := path.Join(c.path, name)
	if done, err := c.hasSame(ctx, s, name, data); done || err != nil {
		return false, err
	}
	staged := path.Join(c.path, "_inkwell/stage", c.stageName(name))
	if again, err = c.stage(ctx, s, staged, data); err != nil {
		return again, fmt.Errorf("stage hdfs:%s: %w", to, errors.Join(explain(err), c.discard(ctx, staged)))
	}
	if err := s.MkdirAll(path.Dir(to), 0o755); err != nil {
		return false, fmt.Errorf("make the directory of hdfs:%s: %w", to, errors.Join(explain(err), c.discard(ctx, staged)))
	}
	if done, err := c.hasSame(ctx, s, name, data); done || err != nil { // the rename would replace it
		return false, errors.Join(err, c.discard(ctx, staged))
	}
	if err := s.Rename(staged, to); err != nil {
		return false, fmt.Errorf("publish hdfs:%s: %w", to, errors.Join(explain(err), c.discard(ctx, staged)))
	}
	return false, nil
}

// stageName returns a new name for each attempt: after its DataNode died, a file can stay locked for an hour.
func (c *cluster) stageName(name string) string {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s %d %d %d", name, os.Getpid(), time.Now().UnixNano(), c.staged.Add(1))
	return fmt.Sprintf("%016x", h.Sum64())
}

// discard removes a staged file after a failure. Its writer cannot write to it any more. The session of the failed
// operation may be over, so it has one of its own.
func (c *cluster) discard(ctx context.Context, staged string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), dialLimit)
	defer cancel()
	return c.remove(ctx, staged)
}

// remove removes a file, if it is there.
func (c *cluster) remove(ctx context.Context, file string) error {
	s, err := c.connect(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return explain(err)
	}
	return nil
}

// hasSame reports whether name exists with this content; other content is an error.
func (c *cluster) hasSame(ctx context.Context, s *session, name string, data *io.SectionReader) (bool, error) {
	info, err := s.Stat(path.Join(c.path, name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("look for hdfs:%s: %w", path.Join(c.path, name), explain(err))
	case info.IsDir() || info.Size() != data.Size():
		return false, taken("hdfs:"+c.path, name)
	}
	return same(ctx, c, name, data)
}

// stage writes a whole file. again is as for attempt.
func (c *cluster) stage(ctx context.Context, s *session, staged string, data *io.SectionReader) (again bool, err error) {
	defaults, err := s.ServerDefaults()
	if err != nil {
		return false, err
	}
	if err := s.MkdirAll(path.Dir(staged), 0o755); err != nil {
		return false, err
	}
	w, err := s.CreateFile(staged, cmp.Or(c.replication, defaults.Replication), defaults.BlockSize, 0o644)
	if err != nil {
		return false, err
	}
	if _, err = io.Copy(w, reading(ctx, data)); err != nil {
		err = errors.Join(err, w.Close())
	} else {
		err = closeFile(ctx, w)
	}
	if err != nil {
		var refusal hdfs.Error // of the NameNode, for example because a quota is used up
		return !errors.As(err, &refusal), err
	}
	info, err := s.Stat(staged)
	if err == nil && info.Size() != data.Size() {
		err = fmt.Errorf("it has %d bytes there, %d were written", info.Size(), data.Size())
	}
	return false, err
}

// closeFile closes a file. Until a DataNode has told the NameNode that it has the last block, the NameNode asks to try
// again. If all DataNodes that have it are dead, that would be for ever.
func closeFile(ctx context.Context, w *hdfs.FileWriter) error {
	const most = time.Second
	end := time.Now().Add(closeLimit)
	err := w.Close()
	for pause := 10 * time.Millisecond; hdfs.IsErrReplicating(err); pause = min(2*pause, most) {
		if time.Now().After(end) {
			return fmt.Errorf("no DataNode has told the NameNode within %v that it has the last block (did they die?): %w",
				closeLimit, err)
		}
		if !wait(ctx, pause) {
			return context.Cause(ctx)
		}
		err = w.Close()
	}
	return err
}

// wait waits for d. It returns false as soon as ctx ends.
func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// Open implements Depot.
func (c *cluster) Open(ctx context.Context, name string, r Range) (_ io.ReadCloser, err error) {
	s, err := c.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	f, err := s.Open(path.Join(c.path, name))
	if err != nil {
		return nil, explain(err)
	}
	if from := min(r.From, f.Stat().Size()); from > 0 {
		if _, err := f.Seek(from, io.SeekStart); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
	return part{f, &opened{f, s}, r.Length}.limited(), nil
}

// opened is a file that is read, with its session.
type opened struct {
	*hdfs.FileReader
	s *session
}

// Close implements io.Closer.
func (o *opened) Close() error {
	defer o.s.close()
	return o.FileReader.Close()
}

// List implements Depot.
func (c *cluster) List(ctx context.Context, dir string, each func(Object) error) error {
	s, err := c.connect(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	return c.list(ctx, s, dir, each)
}

func (c *cluster) list(ctx context.Context, s *session, dir string, each func(Object) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	entries, err := s.ReadDir(path.Join(c.path, dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list hdfs:%s: %w", path.Join(c.path, dir), explain(err))
	}
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		if e.IsDir() {
			err = c.list(ctx, s, name, each)
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
func (c *cluster) Remove(ctx context.Context, name string) error {
	return c.remove(ctx, path.Join(c.path, name))
}

// Move implements Mover.
func (c *cluster) Move(ctx context.Context, from, to string) error {
	s, err := c.connect(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	target := path.Join(c.path, to)
	if _, err := s.Stat(target); err == nil { // the rename would replace it
		return taken("hdfs:"+c.path, to)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("look for hdfs:%s: %w", target, explain(err))
	}
	if err := s.MkdirAll(path.Dir(target), 0o755); err != nil {
		return fmt.Errorf("make the directory of hdfs:%s: %w", target, explain(err))
	}
	if err := s.Rename(path.Join(c.path, from), target); err != nil {
		return fmt.Errorf("move %s to hdfs:%s: %w", from, target, explain(err))
	}
	return nil
}

// Close implements Depot. Each operation closes its own connections.
func (c *cluster) Close() error { return nil }
