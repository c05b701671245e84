package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"
)

// Much of what commands print comes from others: names that customers chose, responses of their
// servers, errors of whatever server is at --url. Escape sequences in it could rewrite the screen,
// the clipboard or the meaning of a line (CWE-150), so all output passes through a safeWriter,
// which shows them as text.

// safeWriter escapes what is not printable.
type safeWriter struct{ to io.Writer }

// Write escapes all but printable characters, tabs and line feeds.
func (w safeWriter) Write(text []byte) (int, error) {
	if _, err := io.WriteString(w.to, escape(string(text), "\t\n")); err != nil {
		return 0, err
	}
	return len(text), nil
}

// unwrap returns what a safeWriter writes to, for output that is not text or is already escaped.
func unwrap(to io.Writer) io.Writer {
	if safe, ok := to.(safeWriter); ok {
		return safe.to
	}
	return to
}

// printable returns text in one line, with escapes for all that is not printable.
func printable(text string) string { return escape(text, "") }

func escape(text, keep string) string {
	if utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return unsafe(r) && !strings.ContainsRune(keep, r) }) {
		return text
	}
	var safe strings.Builder
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&safe, "\\x%02x", text[i])
		case !unsafe(r) || strings.ContainsRune(keep, r):
			safe.WriteRune(r)
		case r == '\n':
			safe.WriteString("\\n")
		case r == '\t':
			safe.WriteString("\\t")
		case r < 0x80:
			fmt.Fprintf(&safe, "\\x%02x", r)
		default:
			safe.WriteString(unicodeEscape(r))
		}
		i += size
	}
	return safe.String()
}

// unsafe reports whether a character may steer a terminal or the reader's eye: control characters
// (C0, DEL and C1), bidirectional overrides and other invisible formatting, line separators. The
// joiners are part of ordinary words and emoji.
func unsafe(r rune) bool {
	const zeroWidthNonJoiner, zeroWidthJoiner = '\u200c', '\u200d'
	return !unicode.IsPrint(r) && !unicode.Is(unicode.Zs, r) && r != zeroWidthNonJoiner && r != zeroWidthJoiner
}

// unicodeEscape returns the escape of a character in JSON: two of them for a character beyond the
// first plane.
func unicodeEscape(r rune) string {
	if r > 0xffff {
		r -= 0x10000
		return fmt.Sprintf(`\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
	}
	return fmt.Sprintf(`\u%04x`, r)
}

// printableJSON returns equivalent JSON in which all that is not printable is escaped.
func printableJSON(text []byte) []byte {
	var safe strings.Builder
	for _, r := range string(text) {
		if r >= 0x7f && unsafe(r) {
			safe.WriteString(unicodeEscape(r))
		} else {
			safe.WriteRune(r)
		}
	}
	return []byte(safe.String())
}

// isTerminal reports whether to is a terminal.
func isTerminal(to io.Writer) bool {
	file, ok := unwrap(to).(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// hasColors reports whether to may show colors (https://no-color.org).
func hasColors(to io.Writer) bool {
	return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && isTerminal(to)
}
