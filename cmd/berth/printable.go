package main

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// printable returns s with everything escaped that could steer a terminal or break a line: control characters of both
// ranges, the marks that turn the direction of text, line and paragraph separators, and bytes that are no UTF-8.
func printable(s string) string {
	if !needsEscape(s) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		if steers(r) || r == utf8.RuneError && size == 1 {
			quoted := strconv.QuoteToASCII(s[i : i+size])
			b.WriteString(quoted[1 : len(quoted)-1])
		} else {
			b.WriteString(s[i : i+size])
		}
		i += size
	}
	return b.String()
}

func needsEscape(s string) bool {
	return !utf8.ValidString(s) || strings.ContainsFunc(s, steers)
}

// steers says whether the character is more than a mark on the screen.
func steers(r rune) bool {
	return r < 0x20 || 0x7f <= r && r < 0xa0 || // C0, DEL, C1
		0x200b <= r && r <= 0x200f || 0x2028 <= r && r <= 0x202e || 0x2060 <= r && r <= 0x206f || r == 0xfeff
}

// printableLines is printable for a message of several lines. The lines after the first are set in, so that none of them can
// pass for a message of its own.
func printableLines(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = printable(lines[i])
	}
	return strings.Join(lines, "\n  ")
}
