package hop

import (
	"inkwell/internal/discovery"
	"inkwell/internal/rpc"
)

// credentialsFor checks the addresses of o and reads its TLS files if an address needs them.
func credentialsFor(o NetworkOptions) (*rpc.Credentials, error) {
	secure, name := false, ""
	for _, addr := range o.Addrs {
		if discovery.IsSource(addr) {
			s, err := discovery.Parse(addr)
			if err != nil {
				return nil, err
			}
			name = s.CertificateName()
			secure = secure || discovery.HasTLS(addr) || o.TLS != rpc.TLSFiles{} // a file may name addresses with TLS
			continue
		}
		a, err := rpc.ParseAddress(addr)
		if err != nil {
			return nil, err
		}
		secure = secure || a.TLS
	}
	if !secure {
		return nil, nil
	}
	if len(o.Addrs) == 1 && o.TLS.ServerName == "" {
		o.TLS.ServerName = name
	}
	return rpc.OpenTLS(o.TLS, o.Logger)
}
