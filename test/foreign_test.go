package test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"inkwell/test/harness"
)

// foreignClient talks to a collector with Apache Thrift's own Python library and the code that its compiler makes of our IDL.
const foreignClient = `
import sys
sys.path[:0] = sys.argv[1:2]
from thrift.protocol import TBinaryProtocol
from thrift.transport import TSocket, TTransport
from thrift.Thrift import TApplicationException, TMessageType
from fb303.ttypes import fb_status
from scribe import scribe
from scribe.ttypes import LogEntry, ResultCode, Span

class Binary(TBinaryProtocol.TBinaryProtocol):
    """Log lines need not be text, which Thrift's strings in Python 3 are: bytes go out as they are."""
    def writeString(self, s):
        self.writeBinary(s if isinstance(s, bytes) else s.encode())

host, port = sys.argv[2].split(":")
strict = sys.argv[3] == "strict"
transport = TTransport.TFramedTransport(TSocket.TSocket(host, int(port)))
protocol = Binary(transport, strictRead=False, strictWrite=strict)
client = scribe.Client(protocol)
transport.open()

none = dict(spans=None, namings=None, report=None)

def check(got, want):
    if got != want: raise SystemExit("got %r, want %r" % (got, want))

def entries(category, messages):
    return [LogEntry(category=category, message=m) for m in messages]

odd = [b"", b"\x00", b"\xff\xfe not text \x80\n", b"\n\n\n", "gr\u00fc\u00dfe\n", bytes(range(256)) * 40, b"no newline"]
check(client.Log(messages=entries("py.odd", odd), **none), ResultCode.OK)
check(client.Log(messages=[], **none), ResultCode.OK)
spans = [Span(stream=b"\x01" * 16, first=7, count=2), Span(stream=b"\xff" * 16, first=2**62, count=1)]
check(client.Log(messages=entries("py.span", [b"one\n", b"two\n", b"three\n"]), spans=spans, namings=None, report=None), ResultCode.OK)
for batch in range(20):
    lines = [b"%05d\n" % (batch * 500 + i) for i in range(500)]
    check(client.Log(messages=entries("py.many", lines), **none), ResultCode.OK)
check(client.Log(messages=[LogEntry(category="py.none", message=None), LogEntry(category="py.none", message=b"x\n")], **none), ResultCode.OK)

check(client.getStatus(), fb_status.ALIVE)
if not client.getName() or not client.getVersion(): raise SystemExit("no name or version")
client.getStatusDetails()
if client.aliveSince() < 1600000000: raise SystemExit("alive since %r" % client.aliveSince())
check(client.getCounter("scribe_overall:received good"), 10012)
check(client.getCounters()["scribe_overall:received good"], 10012)
check(client.getCounters()["py.many:received good"], 10000)
client.setOption("colour", "blue")
check(client.getOption("colour"), "blue")
check(client.getOptions()["colour"], "blue")
check(client.getOption("no such option"), "")
check(client.getCpuProfile(1), "")
protocol.writeMessageBegin("noSuchMethod", TMessageType.CALL, 77)
protocol.writeStructBegin("")
protocol.writeFieldStop()
protocol.writeMessageEnd()
transport.flush()
name, kind, number = protocol.readMessageBegin()
check((name, kind, number), (b"noSuchMethod", TMessageType.EXCEPTION, 77))  # bytes: the answer is in the old style
unknown = TApplicationException()
unknown.read(protocol)
check(unknown.type, TApplicationException.UNKNOWN_METHOD)
check(client.getStatus(), fb_status.ALIVE)  # the connection goes on
client.shutdown()
transport.close()
print("checked")
`

// foreignLeaves is what the client's calls leave, by category; py.many has 10,000 numbered lines beside.
func foreignLeaves() map[string]string {
	var all strings.Builder
	for b := range 256 {
		all.WriteByte(byte(b))
	}
	return map[string]string{
		"py.odd":  "\x00\xff\xfe not text \x80\n\n\n\ngrüße\n" + strings.Repeat(all.String(), 40) + "no newline",
		"py.span": "one\ntwo\nthree\n",
		"py.none": "x\n",
	}
}

func TestForeignThriftClient(t *testing.T) {
	t.Parallel()
	gen := t.TempDir()
	for _, name := range []string{"fb303.thrift", "scribe.thrift"} {
		harness.Tool(t, "thrift", "--gen", "py", "-out", gen, filepath.Join("..", "proto", name))
	}
	script := filepath.Join(gen, "client.py")
	harness.WriteFile(t, script, foreignClient)
	talk := func(t *testing.T, addr, style string) {
		t.Helper()
		// Debian's interpreter has Debian's library
		if out := harness.Tool(t, "/usr/bin/python3", script, gen, addr, style); strings.TrimSpace(out) != "checked" {
			t.Errorf("the client says %s", out)
		}
	}
	judge := func(t *testing.T, read func(category string) string) {
		t.Helper()
		for category, want := range foreignLeaves() {
			if got := read(category); got != want {
				t.Errorf("%s holds %.300q, want %.300q", category, got, want)
			}
		}
		if many := strings.Fields(read("py.many")); len(many) != 10_000 || many[0] != "00000" || many[9_999] != "09999" {
			t.Errorf("py.many holds %d lines", len(many))
		}
	}
	for _, style := range []string{"strict", "old"} {
		t.Run(style, func(t *testing.T) {
			dir := t.TempDir()
			c := ink.Collect(t, dir)
			talk(t, c.Addr, style)
			c.Expect(t, 0) // the client's last call was shutdown
			harness.Clean(t, dir)
			judge(t, func(category string) string { return string(harness.Contents(t, dir, category)) })
		})
		t.Run(style+" to scribed", func(t *testing.T) {
			s := ink.Scribed(t, "port={PORT}\n<store>\ncategory=default\ntype=file\nfile_path={DIR}/out\n</store>\n")
			talk(t, s.Addr, style)
			s.Expect(t, 0)
			judge(t, func(category string) string {
				data, err := os.ReadFile(filepath.Join(s.Dir, "out", category, category+"_00000"))
				if err != nil {
					t.Error(err)
				}
				return string(data)
			})
		})
	}
}
