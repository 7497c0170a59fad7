// The service that tells a network store of the original where the messages of a bucket go. Only its client is used.

namespace go bucketupdater
namespace py bucketupdater
namespace java com.facebook.scribe.bucketupdater
namespace perl Scribe.BucketUpdater

/** A server. There is no field 1. */
struct HostPort {
  2: string host,
  3: i32 port,
}

exception BucketStoreMappingException {
  1: string message,
  2: i32 code,
}

service BucketStoreMapping {
  /** The servers of a category, by the number of the bucket. */
  map<i32, HostPort> getMapping(1: string category) throws (1: BucketStoreMappingException e),
}
