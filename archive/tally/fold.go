package tally

import "bytes"

// Path appends a URL without its query. With fold, numbers and IDs in it become {n}, so that /user/4711/a and
// /user/12/a are one key.
func Path(dst, url []byte, fold bool) []byte {
	if k := bytes.IndexAny(url, "?#;"); k >= 0 {
		url = url[:k]
	}
	if !fold {
		return append(dst, url...)
	}
	for len(url) > 0 {
		k := bytes.IndexByte(url, '/')
		part, rest := url, []byte(nil)
		if k >= 0 {
			part, rest = url[:k], url[k:]
		}
		if isID(part) {
			dst = append(dst, "{n}"...)
		} else {
			dst = append(dst, part...)
		}
		if len(rest) > 0 {
			dst, rest = append(dst, '/'), rest[1:]
		}
		url = rest
	}
	return dst
}

// isID says whether a part of a path is a number, or a long text of hexadecimal digits and dashes that contains a
// digit.
func isID(part []byte) bool {
	digits, hex := 0, 0
	for _, c := range part {
		switch {
		case c >= '0' && c <= '9':
			digits++
			hex++
		case c >= 'a' && c <= 'f', c >= 'A' && c <= 'F', c == '-':
			hex++
		}
	}
	return digits == len(part) && digits > 0 || hex == len(part) && hex >= 8 && digits > 0
}

// inNumber says whether c can be part of a number after its first digit: 42, 1.5, 0x1f.
func inNumber(c byte) bool {
	return c >= '0' && c <= '9' || c == '.' || c|0x20 >= 'a' && c|0x20 <= 'f' || c == 'x'
}

// SQL appends a statement with ? for its values, so that statements that differ only in values are one key.
func SQL(dst, text []byte) []byte {
	inWord := false
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '\'' || c == '"' && !inWord:
			k := i + 1
			for k < len(text) && (text[k] != c || k+1 < len(text) && text[k+1] == c) {
				if text[k] == '\\' || text[k] == c {
					k++
				}
				k++
			}
			if c == '"' { // an identifier
				dst = append(dst, text[i:min(k+1, len(text))]...)
			} else {
				dst = append(dst, '?')
			}
			i, inWord = k, false
		case c >= '0' && c <= '9' && !inWord:
			for i+1 < len(text) && inNumber(text[i+1]) {
				i++
			}
			dst = append(dst, '?')
		default:
			inWord = c == '_' || c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' || c >= 0x80
			dst = append(dst, c)
		}
	}
	return dst
}
