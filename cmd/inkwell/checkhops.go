package main

import (
	"context"
	"time"

	"inkwell/internal/discovery"
	"inkwell/internal/rpc"
)

// hopWait is the time that a next hop has for its answer to the check.
const hopWait = 2 * time.Second

// hops connects to each next hop. One that is down does not prevent a start.
func (s *startCheck) hops() {
	seen := make(map[string]bool)
	for _, st := range s.c.Stores {
		for _, n := range networks(st.Sink) {
			for _, addr := range s.found(n.Addrs) {
				if seen[addr] {
					continue
				}
				seen[addr] = true
				if err := reach(addr, rpc.TLSFiles(n.TLS)); err != nil {
					s.odd("the next hop %s cannot be reached: %v (what is to go there waits until it can)", addr, err)
				}
			}
		}
	}
}

// found returns the addresses, with those that are found at the sources among them, three of each.
func (s *startCheck) found(addrs []string) (list []string) {
	for _, addr := range addrs {
		if !discovery.IsSource(addr) {
			list = append(list, addr)
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), 2*hopWait)
		names, err := discovery.Lookup(ctx, addr)
		cancel()
		if err != nil {
			s.odd("no collector is found at %s: %v (what is to go there waits until one is)", addr, err)
		}
		list = append(list, names[:min(len(names), 3)]...)
	}
	return list
}

// reach connects to an address and, if it has TLS, completes the handshake.
func reach(addr string, files rpc.TLSFiles) error {
	var secret *rpc.Credentials
	if isTLS(addr) {
		var err error
		if secret, err = rpc.OpenTLS(files, nil); err != nil {
			return err
		}
	}
	_, conn, err := rpc.FB303(addr, hopWait, secret)
	if err != nil {
		return err
	}
	return conn.Close()
}
