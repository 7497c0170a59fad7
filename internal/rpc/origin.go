package rpc

import (
	"net/netip"

	"golang.org/x/sync/semaphore"

	"inkwell/internal/access"
)

// origin is an address that has connections. The server's mu guards it.
type origin struct {
	prefix netip.Prefix
	conns  int
	web    int                 // how many of them speak HTTP
	budget *semaphore.Weighted // its share of MaxInFlight
}

// originOf returns the key by which connections are counted: the address, or for IPv6 the /64, which belongs to one
// customer. ok is false for this machine's own connections, which are not counted.
func originOf(id *access.Identity) (of netip.Prefix, ok bool) {
	if id.Local() || !id.Addr.IsValid() {
		return of, false
	}
	bits := 32
	if id.Addr.Is6() {
		bits = 64
	}
	of, err := id.Addr.WithZone("").Prefix(bits)
	return of, err == nil
}

// admit registers a connection, or says why there is no room for it. The caller holds s.mu.
func (s *Server) admit(c *conn) (ok bool, why string) {
	if len(s.conns) >= s.o.MaxConnections {
		s.refused.Add(1)
		return false, "all connections are taken (max_conn)"
	}
	of, counted := originOf(&c.caller.Identity)
	if counted {
		o := s.origins[of]
		if o == nil {
			o = &origin{prefix: of, budget: semaphore.NewWeighted(s.originShare())}
			s.origins[of] = o
		}
		if s.o.MaxPerAddress > 0 && o.conns >= s.o.MaxPerAddress {
			s.refused.Add(1)
			s.refusedAddress.Add(1)
			return false, "its address has all the connections that one may have (max_conn_per_address)"
		}
		o.conns++
		c.from = o
	}
	s.conns[c] = struct{}{}
	s.connections.Add(1)
	return true, ""
}

// originShare is how many bytes of MaxInFlight one address may use: a quarter, but enough for one frame.
func (s *Server) originShare() int64 {
	frame := int64(max(s.o.MaxFrame, s.o.MaxTrusted))
	return max(s.o.MaxInFlight/4, min(frame, s.o.MaxInFlight))
}

// forget undoes admit. The caller holds s.mu.
func (s *Server) forget(c *conn) {
	delete(s.conns, c)
	if o := c.from; o != nil {
		if o.conns--; o.conns == 0 {
			delete(s.origins, o.prefix)
		}
	}
}
