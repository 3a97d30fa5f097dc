package main

import (
	"regexp"
	"strings"
	"testing"
)

// The standard library's matcher, which berth itself does without, is the judge.
func TestPatternAgreesWithTheStandardLibrary(t *testing.T) {
	patterns := []string{"", "a", "^a$", "^$", "web-[0-9]+", "^web-[0-9]+$", "a|b", "^(a|bc)*d?$", "x{2}", "^x{2,}$", "^x{1,3}$", "^x{0,0}$",
		"[^a]", "[]a]", "[a-]", "[[:digit:]_]", ".", "a.c", "^.*$", `a\.c`, `\d`, "(a*)*b", "(a|)*c", "a||b", "()", "^(ab?)+$", "a$b", "(^a|b)c",
		`^\w+$`, "((a))", "a**", "(x+x+)+y"}
	names := []string{"", "a", "b", "ab", "abc", "a.c", "web-1", "web-", "my-web-12-x", "x", "xx", "xxx", "xxxx", "bcd", "bcbcad", "]", "-", "_",
		"9", "aaac", "c", "bc", "xac", strings.Repeat("x", 200)}
	for _, text := range patterns {
		p, err := compilePattern(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		judge, err := regexp.Compile(strings.ReplaceAll(text, "**", "*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if got, want := p.Match(name), judge.MatchString(name); got != want {
				t.Errorf("%q in %q: %v, want %v", text, name, got, want)
			}
		}
	}
}

func TestPatternRefusesWhatMeansNothing(t *testing.T) {
	for text, want := range map[string]string{
		"(": "( without", "a)": ") without", "[a": "[ without", "*a": "nothing before", "a|+": "nothing before", `a\`: `ends in \`,
		"[z-a]": "backwards", "a{2,1}": "braces", "a{": "braces", "a{300}": "braces", "[[:what:]]": "not known",
		"(((a{255}){255}){255})": "repeats too much", strings.Repeat("(", 5000): "too deep",
	} {
		if _, err := compilePattern(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: error %v, want %q", text, err, want)
		}
	}
}
