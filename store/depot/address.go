package depot

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Address is the location of a depot:
//
//	s3://BUCKET/PREFIX?endpoint=https://HOST:PORT&region=REGION&…
//	hdfs://NAMENODE:PORT,NAMENODE:PORT/PATH?user=NAME&…
//	/a/directory
type Address struct {
	Scheme string // s3, hdfs, or "" for a directory
	Host   string // the bucket, or the namenodes separated by commas
	Path   string // S3: without slashes at either end; HDFS and directories: absolute
	Query  url.Values
}

// keys are the options that the query of an address may have, by scheme.
var keys = map[string][]string{
	"s3":   {"endpoint", "region", "path_style", "sse", "kms_key", "storage_class"},
	"hdfs": {"user", "replication", "hostnames", "principal", "keytab", "krb5", "service", "protection"},
}

// IsAddress reports whether a text is an address with a scheme, like s3://bucket/prefix, and not a directory.
func IsAddress(text string) bool {
	scheme, _, ok := strings.Cut(text, "://")
	return ok && keys[scheme] != nil
}

// ParseAddress parses an address.
func ParseAddress(text string) (Address, error) {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		if text == "" {
			return Address{}, errors.New("an empty address (write s3://bucket/prefix, hdfs://namenode:9000/path or " +
				"a directory)")
		}
		return Address{Path: filepath.Clean(text)}, nil
	}
	a := Address{Scheme: scheme}
	if keys[scheme] == nil {
		return a, fmt.Errorf("address %q: unknown scheme %q (write s3://bucket/prefix, hdfs://namenode:9000/path or "+
			"a directory)", text, scheme)
	}
	rest, query, _ := strings.Cut(rest, "?")
	a.Host, a.Path, _ = strings.Cut(rest, "/")
	if a.Host == "" {
		return a, fmt.Errorf("address %q: the bucket or the namenode is missing (write %s://NAME/path)", text, scheme)
	}
	a.Path = strings.Trim(path.Clean("/"+a.Path), "/")
	if scheme == "hdfs" {
		a.Path = "/" + a.Path
	}
	var err error
	if a.Query, err = url.ParseQuery(query); err != nil {
		return a, fmt.Errorf("address %q: %w", text, err)
	}
	for key, values := range a.Query {
		if !slices.Contains(keys[scheme], key) {
			return a, fmt.Errorf("address %q: unknown option %q (there are %s)", text, key,
				strings.Join(keys[scheme], ", "))
		}
		if len(values) > 1 {
			return a, fmt.Errorf("address %q: option %q stands there twice", text, key)
		}
	}
	return a, nil
}

// String formats the address for ParseAddress.
func (a Address) String() string {
	if a.Scheme == "" {
		return a.Path
	}
	text := a.Scheme + "://" + a.Host + "/" + strings.TrimPrefix(a.Path, "/")
	if len(a.Query) > 0 {
		text += "?" + a.Query.Encode()
	}
	return text
}

// Parent returns the address of the parent directory of a, and the name of a in it; the name is "" for the root of a
// depot.
func (a Address) Parent() (Address, string) {
	dir, name := path.Split(a.Path)
	if name == "" {
		return a, ""
	}
	a.Path = strings.TrimSuffix(dir, "/")
	if a.Path == "" && a.Scheme != "s3" {
		a.Path = "/"
	}
	return a, name
}
