package httpapi

import (
	"bytes"

	"github.com/valyala/fasthttp"
)

// route lets the router see the path decoded and without a slash at its end, and reports whether it
// can name anything. Nothing is removed from a path on the way: with an empty segment, a dot
// segment or a slash within a segment, however they are written, it names nothing. A server that
// resolved them would act on another thing than the one that is named.
func route(uri *fasthttp.URI) bool {
	original := uri.PathOriginal()
	path, valid := decodePath(original)
	if valid && !bytes.Equal(path, original) {
		uri.SetPathBytes(path)
	}
	return valid
}

// decodePath is the path without percent-encoding and without a slash at its end. It may be a part
// of original.
func decodePath(original []byte) (path []byte, valid bool) {
	if len(original) == 0 || original[0] != '/' || bytes.Contains(original, []byte("//")) {
		return original, false
	}
	if len(original) == 1 {
		return original, true
	}
	path = bytes.TrimSuffix(original, []byte("/"))
	if bytes.IndexByte(path, '%') < 0 && !bytes.Contains(path, []byte("/.")) {
		return path, true
	}
	decoded := make([]byte, 0, len(path))
	for segment := range bytes.SplitSeq(path[1:], []byte("/")) {
		start := len(decoded) + 1
		decoded = appendDecoded(append(decoded, '/'), segment)
		switch segment := decoded[start:]; {
		case string(segment) == ".", string(segment) == "..", bytes.ContainsAny(segment, "/\x00"):
			return original, false
		}
	}
	return decoded, true
}

// appendDecoded decodes percent-encoding once; what looks like it but is not stays as it is.
func appendDecoded(dst, segment []byte) []byte {
	for i := 0; i < len(segment); i++ {
		if segment[i] == '%' && i+2 < len(segment) {
			high, low := hexDigit(segment[i+1]), hexDigit(segment[i+2])
			if high >= 0 && low >= 0 {
				dst = append(dst, byte(high<<4|low))
				i += 2
				continue
			}
		}
		dst = append(dst, segment[i])
	}
	return dst
}

// hexDigit is the value of a hexadecimal digit, or -1.
func hexDigit(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	default:
		return -1
	}
}
