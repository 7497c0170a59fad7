// The service that every Scribe answers beside its own: who are you, how are you, what have you counted.

namespace go fb303
namespace py fb303
namespace java com.facebook.fb303
namespace perl Facebook.FB303

enum fb_status {
  DEAD = 0,
  STARTING = 1,
  ALIVE = 2,
  STOPPING = 3,
  STOPPED = 4,
  WARNING = 5,
}

service FacebookService {
  /** What the service is called: "Scribe". */
  string getName(),

  string getVersion(),

  fb_status getStatus(),

  /** The cause of a status other than ALIVE, "" without one. */
  string getStatusDetails(),

  /** Every counter by its name, "category:name" or "scribe_overall:name". */
  map<string, i64> getCounters(),

  /** One counter, 0 for a name that is not known. */
  i64 getCounter(1: string key),

  void setOption(1: string key, 2: string value),

  /** The value of an option, "" for a key that is not known. */
  string getOption(1: string key),

  map<string, string> getOptions(),

  string getCpuProfile(1: i32 profileDurationInSec),

  /** When the process started, in Unix seconds. */
  i64 aliveSince(),

  oneway void reinitialize(),

  oneway void shutdown(),
}
