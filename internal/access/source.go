package access

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// source is one word of from=. Exactly one of its fields is set.
type source struct {
	any, loopback, unix bool
	uid, gid            *uint32
	network             netip.Prefix
	name                string // a pattern; its host part is in lower case
	kind                kind   // of name
}

// kind is the kind of a name or a pattern. A pattern matches names of its own kind only: *.example.com does not match
// the mail address a@b.example.com.
type kind int

const (
	dnsName kind = iota
	uriName
	mailName
)

// kindOf tells the kind of a name by its form.
func kindOf(name string) kind {
	switch {
	case strings.Contains(name, ":"):
		return uriName
	case strings.Contains(name, "@"):
		return mailName
	}
	return dnsName
}

// parseSource parses one word of from=. A range or a unix peer with a mistake in it is an error, not a name.
func parseSource(word string) (source, error) {
	switch word {
	case "*":
		return source{any: true}, nil
	case "loopback":
		return source{loopback: true}, nil
	case "unix":
		return source{unix: true}, nil
	}
	if rest, ok := strings.CutPrefix(word, "unix:"); ok {
		key, value, _ := strings.Cut(rest, "=")
		n, err := strconv.ParseUint(value, 10, 32)
		id := uint32(n)
		switch {
		case err == nil && key == "uid":
			return source{uid: &id}, nil
		case err == nil && key == "gid":
			return source{gid: &id}, nil
		}
		return source{}, fmt.Errorf("from %q: want unix, unix:uid=NUMBER or unix:gid=NUMBER", word)
	}
	if addr, err := netip.ParseAddr(word); err == nil {
		addr = addr.Unmap().WithZone("")
		return source{network: netip.PrefixFrom(addr, addr.BitLen())}, nil
	}
	if p, err := netip.ParsePrefix(word); err == nil {
		if p.Addr().Is4In6() {
			return source{}, fmt.Errorf("from %q: write the IPv4 range, as in 10.0.0.0/8", word)
		}
		return source{network: p.Masked()}, nil
	}
	if strings.Trim(word, "0123456789abcdefABCDEF.:/") == "" && strings.ContainsAny(word, ":/") ||
		strings.Trim(word, "0123456789./*") == "" {
		return source{}, fmt.Errorf("from %q: neither an address nor a range (10.0.0.0/8, 2001:db8::/32) nor a name",
			word)
	}
	if strings.ContainsFunc(word, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return source{}, fmt.Errorf("from %q: names in certificates are of ASCII; "+
			"write the host as xn--…, the path of a URI with %%XX", word)
	}
	return source{name: fold(word), kind: kindOf(word)}, nil
}

// fold converts the host part of a name to lower case: DNS names ignore case, the paths of URIs do not.
func fold(name string) string {
	scheme, rest, isURI := strings.Cut(name, "://")
	if !isURI {
		return strings.ToLower(name)
	}
	host, path, _ := strings.Cut(rest, "/")
	if len(path) > 0 || strings.HasSuffix(rest, "/") {
		path = "/" + path
	}
	return strings.ToLower(scheme) + "://" + strings.ToLower(host) + path
}

func (s *source) matches(id *Identity) bool {
	switch {
	case s.any:
		return true
	case s.loopback:
		return id.Addr.IsLoopback()
	case s.unix:
		return id.Unix != nil
	case s.uid != nil:
		return id.Unix != nil && id.Unix.UID == *s.uid
	case s.gid != nil:
		return id.Unix != nil && id.Unix.GID == *s.gid
	case s.network.IsValid():
		return s.network.Contains(id.Addr.WithZone(""))
	}
	for _, name := range id.Names {
		if s.kind == kindOf(name) && glob(s.name, fold(name)) {
			return true
		}
	}
	return false
}

// glob says whether name matches pattern, in which * stands for any characters.
func glob(pattern, name string) bool {
	first, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == name
	}
	if !strings.HasPrefix(name, first) {
		return false
	}
	name = name[len(first):]
	parts := strings.Split(rest, "*")
	last := parts[len(parts)-1]
	for _, part := range parts[:len(parts)-1] {
		i := strings.Index(name, part)
		if i < 0 {
			return false
		}
		name = name[i+len(part):]
	}
	return strings.HasSuffix(name, last)
}
