package runtimetools

import (
	"context"
	"errors"
	"os"
	"path/filepath"
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

func TestProgramsMountNothingOnTheMachine(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount")
	}
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "suite/bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	at := filepath.Join(dir, "at")
	script := "#!/bin/sh\nmkdir " + at + " && mount -t tmpfs tmpfs " + at + " && echo ok 1\n"
	if err := os.WriteFile(filepath.Join(dir, "suite/bin/mounts"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	if o := Run(context.Background(), dir, "mounts", "any"); o.Verdict() != "pass" {
		t.Fatalf("the program could not mount: %+v", o)
	}
	if table, err := os.ReadFile("/proc/self/mountinfo"); err != nil || strings.Contains(string(table), at) {
		t.Errorf("a mount of the program is left at %s (%v)", at, err)
	}
}
