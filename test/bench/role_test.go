package bench

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/flate"

	"inkwell/test/harness"
)

// play does the work of a small process: one that the program is compared with.
func play(role string, args []string) error {
	switch role {
	case "deflate":
		return deflate(args[0])
	case "receive", "receive-copy", "receive-journal":
		return receive(args[0], args[1], strings.TrimPrefix(role, "receive"))
	case "send", "send-copy", "send-journal":
		return send(args[0], args[1], role == "send-copy")
	case "topic":
		return bareTopic(args[0], args[1], args[2])
	}
	return errors.New("no such role")
}

// gzipLevel is the level that the collector takes by default.
const gzipLevel = 5

// deflate compresses a file as one stream on one core and throws the result away.
func deflate(path string) error {
	runtime.GOMAXPROCS(1)
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	out := new(counter)
	z, err := flate.NewWriter(out, gzipLevel)
	if err != nil {
		return err
	}
	if err := shovel(z, in, make([]byte, 1<<20)); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	_, err = fmt.Println(out.n)
	return err
}

type counter struct{ n int64 }

func (c *counter) Write(p []byte) (int, error) { c.n += int64(len(p)); return len(p), nil }

// shovel copies by reading and writing, whatever shorter ways there are.
func shovel(w io.Writer, r io.Reader, buf []byte) error {
	for {
		n, err := r.Read(buf)
		if n > 0 {
			if _, err := w.Write(buf[:n]); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

const bareBuffer = 256 << 10

// receive writes what comes over one connection into a file and makes it durable; it says where it listens in a file of its own.
func receive(path, addressPath, variant string) error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer ln.Close()
	if err := os.WriteFile(addressPath+".new", []byte(ln.Addr().String()), 0o600); err != nil {
		return err
	}
	if err := os.Rename(addressPath+".new", addressPath); err != nil {
		return err
	}
	conn, err := ln.Accept()
	if err != nil {
		return err
	}
	defer conn.Close()
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	switch variant {
	case "-copy":
		_, err = io.Copy(f, conn)
	case "-journal":
		err = journalled(f, conn)
	default:
		err = shovel(f, conn, make([]byte, bareBuffer))
	}
	if err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return f.Close()
}

// journalled copies from to f through a journal, with the system calls that a collector makes for that, and nothing else:
// a write and an fdatasync for each call of a forwarder, and reading it back.
func journalled(f *os.File, from io.Reader) error {
	const call, length = 4 << 20, 256 << 20 // the length is a multiple of a call
	journal, err := os.Create(f.Name() + ".journal")
	if err != nil {
		return err
	}
	defer os.Remove(journal.Name())
	defer journal.Close()
	data, again := make([]byte, call), make([]byte, 1<<20)
	for at := int64(0); ; at += call {
		n, err := io.ReadFull(from, data)
		if n > 0 {
			if _, err := journal.WriteAt(data[:n], at%length); err != nil {
				return err
			}
			if err := syscall.Fdatasync(int(journal.Fd())); err != nil {
				return err
			}
			if err := shovel(f, io.NewSectionReader(journal, at%length, int64(n)), again); err != nil {
				return err
			}
		}
		switch err {
		case nil:
		case io.EOF, io.ErrUnexpectedEOF:
			return nil
		default:
			return err
		}
	}
}

// send writes a file to a connection.
func send(path, addr string, library bool) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	if library {
		_, err = io.Copy(conn, f)
	} else {
		err = shovel(conn, f, make([]byte, bareBuffer))
	}
	if err != nil {
		return err
	}
	return conn.Close()
}

// act starts this program again in a role.
func act(b *testing.B, role string, args ...string) *harness.Process {
	b.Helper()
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	return ink.Start(b, harness.Command{Program: self, Args: args, Env: []string{roleVariable + "=" + role}})
}

// bareCopy sends the access log over loopback into a file with two small processes.
func bareCopy(b *testing.B, variant string) cost {
	b.Helper()
	dir := b.TempDir()
	to, address := filepath.Join(dir, "copy"), filepath.Join(dir, "address")
	began := time.Now()
	receiver := act(b, "receive"+variant, to, address)
	receiverPeak := watch(receiver)
	var addr []byte
	harness.Until(b, "the receiver listens", func() bool {
		var err error
		addr, err = os.ReadFile(address)
		return err == nil
	})
	sender := act(b, "send"+variant, accessLog, string(addr))
	senderPeak := watch(sender)
	sender.Expect(b, 0)
	receiver.Expect(b, 0)
	c := cost{wall: time.Since(began)}
	c.use(sender, senderPeak)
	c.use(receiver, receiverPeak)
	same(b, openAll(b, []string{to}))
	if err := os.Remove(to); err != nil {
		b.Fatal(err)
	}
	return c
}
