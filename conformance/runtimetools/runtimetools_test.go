package runtimetools

import (
	"errors"
	"strings"
	"testing"
)

func TestVerdictNeedsAnAssertionAndAGoodEnd(t *testing.T) {
	for _, c := range []struct {
		out  string
		err  error
		want string
	}{
		{"TAP version 13\nok 1 - a\n1..1\n", nil, "pass"},
		{"ok 1 - a\nnot ok 2 - b\n", nil, "fail"},
		{"ok 1 - a\n", errors.New("exit status 1"), "fail"},
		{"ok 1 # SKIP a\n1..1\n", nil, "empty"},
		{"1..0\n", nil, "empty"},
	} {
		if got := parse(func() string { return c.out })(c.err).Verdict(); got != c.want {
			t.Errorf("%q, %v: %s, not %s", c.out, c.err, got, c.want)
		}
	}
}

func TestTableRemarksOnlyOnWhatDoesNotPass(t *testing.T) {
	var b strings.Builder
	err := WriteTable(&b, []string{"start", "misc_props"}, []string{"x"}, func(p, _ string) Outcome {
		return Outcome{OK: 1, Ended: p == "start"}
	})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "| start | pass 1/1 |  |") || !strings.Contains(b.String(), Remarks["misc_props"]) {
		t.Errorf("the table is\n%s", b.String())
	}
}
