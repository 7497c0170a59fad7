package format

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// logfmtReader parses key=value and key="value in quotes".
func logfmtReader(fields []string) func([]byte, [][]byte) bool {
	return func(line []byte, values [][]byte) bool {
		found := false
		for rest := bytes.TrimLeft(line, " \t"); len(rest) > 0; rest = bytes.TrimLeft(rest, " \t") {
			k := bytes.IndexAny(rest, "= \t")
			if k < 0 || rest[k] != '=' { // a key alone
				_, rest = word(rest[max(k, 1):])
				if k < 0 {
					break
				}
				continue
			}
			key := rest[:k]
			rest = rest[k+1:]
			value, after, ok := quoted(rest)
			if !ok || rest[0] != '"' {
				n := bytes.IndexAny(rest, " \t")
				if n < 0 {
					n = len(rest)
				}
				value, after = rest[:n], rest[n:]
			} else if bytes.IndexByte(value, '\\') >= 0 {
				if text, err := strconv.Unquote(`"` + string(value) + `"`); err == nil {
					value = []byte(text)
				}
			}
			rest, found = after, true
			for i, f := range fields {
				if string(key) == f {
					values[i] = value
				}
			}
		}
		return found
	}
}

// jsonReader parses one JSON object per line.
func jsonReader(fields []string) func([]byte, [][]byte) bool {
	paths := make([][]string, len(fields))
	for i, f := range fields {
		paths[i] = strings.Split(f, ".")
	}
	return func(line []byte, values [][]byte) bool {
		var object map[string]json.RawMessage
		if json.Unmarshal(line, &object) != nil {
			return false
		}
		for i, path := range paths {
			values[i] = lookUp(object, fields[i], path)
		}
		return true
	}
}

// lookUp finds a field by its whole name, or else by the path of names to it.
func lookUp(object map[string]json.RawMessage, name string, path []string) []byte {
	raw, ok := object[name]
	for k := 0; !ok && k < len(path); k++ {
		raw, ok = object[path[k]]
		if !ok || k == len(path)-1 {
			break
		}
		object, ok = nil, false
		if json.Unmarshal(raw, &object) != nil {
			return nil
		}
	}
	if !ok {
		return nil
	}
	if len(raw) > 0 && raw[0] == '"' {
		var text string
		if json.Unmarshal(raw, &text) != nil {
			return nil
		}
		return []byte(text)
	}
	return raw
}
