package hop

import "inkwell/internal/rpc"

// credentialsFor checks the addresses of o and reads its TLS files if an address needs them.
func credentialsFor(o NetworkOptions) (*rpc.Credentials, error) {
	secure := false
	for _, addr := range o.Addrs {
		a, err := rpc.ParseAddress(addr)
		if err != nil {
			return nil, err
		}
		secure = secure || a.TLS
	}
	if !secure {
		return nil, nil
	}
	return rpc.OpenTLS(o.TLS, o.Logger)
}
