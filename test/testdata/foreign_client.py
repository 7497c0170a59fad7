"""A Scribe client that shares no code with Inkwell: Debian's python3-thrift and what the Thrift compiler makes of our IDL.

usage: foreign_client.py GENERATED_CODE PORT strict|non-strict|accelerated CATEGORY

It asserts every answer itself, and prints "done" when all were as they should be.
"""
import sys

generated, port, style, category = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
sys.path.insert(0, generated)

from fb303.ttypes import fb_status
from scribe import scribe
from scribe.ttypes import LogEntry, ResultCode, Span
from thrift.protocol import TBinaryProtocol
from thrift.Thrift import TApplicationException, TMessageType
from thrift.transport import TSocket, TTransport


class Bytes(TBinaryProtocol.TBinaryProtocol):
    """Strings may be bytes: a category and a message are, whatever the IDL's type says."""

    def writeString(self, s):
        self.writeBinary(s if isinstance(s, bytes) else s.encode())


transport = TTransport.TFramedTransport(TSocket.TSocket("127.0.0.1", port))
if style == "accelerated":
    protocol = TBinaryProtocol.TBinaryProtocolAccelerated(transport, strictRead=False, strictWrite=False, fallback=False)
else:
    protocol = Bytes(transport, strictRead=False, strictWrite=style == "strict")
client = scribe.Client(protocol)
transport.open()


def log(*messages, spans=None):
    entries = [LogEntry(category=category, message=m) for m in messages]
    assert client.Log(entries, spans) == ResultCode.OK


# Logging.
log("one\n", "two\n")
assert client.Log([], None) == ResultCode.OK
assert client.Log(None, None) == ResultCode.OK
log("Grüße, 日本\n", "")
log("numbered\n", "too\n", spans=[Span(stream=b"0123456789abcdef", first=7, count=2)])
assert client.Log([LogEntry(category="", message="blank"), LogEntry(message="no category"), LogEntry(category=category)], None) == ResultCode.OK
if style != "accelerated":
    log(b"\x00\x01\xff\xfe\n", bytes(range(256)), b"\n" * 3)
log(*("line %d\n" % i for i in range(5000)))

# fb303.
assert client.getName() == "Scribe"
assert client.getVersion() != ""
assert client.getStatus() == fb_status.ALIVE, client.getStatus()
assert client.getStatusDetails() == ""
counters = client.getCounters()
good = counters[category + ":received good"]
assert good == (5007 if style == "accelerated" else 5010), good
assert counters["scribe_overall:received good"] >= good
assert client.getCounter(category + ":received good") == good
assert client.getCounter("scribe_overall:received blank category") >= 2
assert client.getCounter("no such counter") == 0
client.setOption("colour " + style, "blue")
assert client.getOption("colour " + style) == "blue"
assert client.getOption("no such option") == ""
assert client.getOptions()["colour " + style] == "blue"
assert client.getCpuProfile(1) == ""
assert 1_600_000_000 < client.aliveSince() < 4_000_000_000
client.reinitialize()
assert client.getStatus() == fb_status.ALIVE

# A method that nobody has; the connection goes on.
protocol.writeMessageBegin("frobnicate", TMessageType.CALL, 0)
protocol.writeStructBegin("args")
protocol.writeFieldStop()
protocol.writeStructEnd()
protocol.writeMessageEnd()
transport.flush()
name, kind, seq = protocol.readMessageBegin()
assert name in ("frobnicate", b"frobnicate") and kind == TMessageType.EXCEPTION, (name, kind)
error = TApplicationException()
error.read(protocol)
protocol.readMessageEnd()
assert error.type == TApplicationException.UNKNOWN_METHOD, error
assert error.message == "Invalid method name: 'frobnicate'", error.message

log("the end\n")
if len(sys.argv) > 5:
    client.shutdown()
transport.close()
print("done")
