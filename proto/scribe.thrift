// Scribe as its clients have always spoken it, with extensions that old peers skip: the spans, where they come from, and how a forwarder is.

include "fb303.thrift"

namespace go scribe
namespace py scribe
namespace java scribe.thrift
namespace perl Scribe.Thrift

enum ResultCode {
  OK = 0,
  TRY_LATER = 1,
}

/** One entry: the bytes of a line and the category they belong to. Both are bytes, whatever the type says. */
struct LogEntry {
  1: string category,
  2: string message,
}

/**
 * The next `count` entries of the call are numbers first, first + 1, … of a stream (the ordered entries of one input), so that a
 * receiver can drop what it already has when a call is sent again. A stream of 16 zero bytes is none: those entries have no numbers.
 */
struct Span {
  1: binary stream, // 16 bytes, always
  2: i64 first,
  3: i32 count,
}

/**
 * Where the entries of a stream come from, as its sender says: a host, and the path of a file, or KIND:WHAT of another input
 * (journal:nginx.service, syslog:udp://0.0.0.0:514, pipe:apache2, client:web1). A sender tells it with the first call of a connection that has
 * entries of the stream.
 */
struct Naming {
  1: binary stream, // 16 bytes, always
  2: string host,
  3: string path,
}

service scribe extends fb303.FacebookService {
  /**
   * The answer covers the whole list: OK, all of it is taken; TRY_LATER, none. In answer to spans, which only an Inkwell sends, the result has a
   * field 2, an i32 of 1, beside the code, by which the caller knows that the server is one. Others skip it.
   * To such a server a forwarder tells how it is in `report`: JSON, of 64 KiB at most, as a rule in a call without messages.
   */
  ResultCode Log(1: list<LogEntry> messages, 2: optional list<Span> spans, 3: optional list<Naming> namings, 4: optional binary report),
}
