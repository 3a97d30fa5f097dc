package main

import (
	"strings"
	"testing"
)

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"plain name":       "plain name",
		"Grüße 日本":         "Grüße 日本",
		"\x1b[31m":         `\x1b[31m`,
		"a\nb\tc\rd\x00":   `a\nb\tc\rd\x00`,
		"\u009b31m":        `\u009b31m`,
		"\x7f":             `\x7f`,
		"rtl\u202eexe":     `rtl\u202eexe`,
		"zero\u200bwidth":  `zero\u200bwidth`,
		"\xff\xfe bytes":   `\xff\xfe bytes`,
		"replaced \ufffd":  "replaced \ufffd",
		"\u2028separator":  `\u2028separator`,
		`back\slash stays`: `back\slash stays`,
	} {
		if got := printable(in); got != want {
			t.Errorf("printable(%q) = %s, want %s", in, got, want)
		}
	}
}

func TestTableAlignsAndEscapes(t *testing.T) {
	var b strings.Builder
	err := writeTable(&b, [][]string{{"ID", "STATUS", "BUNDLE"}, {"a-name-that-is-long", "ü", "/x\x1b[2J"}})
	want := "ID                    STATUS      BUNDLE\na-name-that-is-long   ü           /x\\x1b[2J\n"
	if err != nil || b.String() != want {
		t.Errorf("%v\n got %q\nwant %q", err, b.String(), want)
	}
}

func TestParseSignal(t *testing.T) {
	for in, want := range map[string]int{"9": 9, "-9": 9, "KILL": 9, "SIGKILL": 9, "sigkill": 9, "kill": 9, "TERM": 15, "0": 0, "64": 64,
		"RTMIN": 34, "SIGRTMIN+3": 37, "RTMAX": 64, "RTMAX-2": 62, "POLL": 29, "CLD": 17, "IOT": 6, "SIGWINCH": 28} {
		if got, err := parseSignal(in); err != nil || got != want {
			t.Errorf("parseSignal(%q) = %d, %v; want %d", in, got, err, want)
		}
	}
	for _, in := range []string{"", "SIG", "65", "-1", "--9", "99999999999", "RTMIN+31", "RTMAX-31", "RTMIN+", "RTMIN-1", "KILL ", "9x", "SIGSIGKILL"} {
		if got, err := parseSignal(in); err == nil && !(in == "-1" && got == 1) {
			t.Errorf("parseSignal(%q) = %d, want an error", in, got)
		}
	}
}

func TestParseSize(t *testing.T) {
	for in, want := range map[string]int64{"0": 0, "-1": -1, "1024": 1024, "1k": 1024, "2KiB": 2048, "512M": 512 << 20, "1gb": 1 << 30, "3T": 3 << 40, "7b": 7, "8191P": 8191 << 50} {
		if got, err := parseSize(in); err != nil || got != want {
			t.Errorf("parseSize(%q) = %d, %v; want %d", in, got, err, want)
		}
	}
	for _, in := range []string{"", "-2", "k", "1kk", "1bk", "1i", "1x", "1.5G", "8192P", "99999999999999999999", " 1", "1ib"} {
		if got, err := parseSize(in); err == nil {
			t.Errorf("parseSize(%q) = %d, want an error", in, got)
		}
	}
}

func TestNearest(t *testing.T) {
	names := []string{"run", "create", "start", "state", "delete", "list"}
	for in, want := range map[string]string{"creat": "create", "crate": "create", "lst": "list", "delte": "delete", "rnu": "run", "strat": "start", "frobnicate": "", "": "", "x": ""} {
		if got := nearest(names, in); got != want {
			t.Errorf("nearest(%q) = %q, want %q", in, got, want)
		}
	}
}
