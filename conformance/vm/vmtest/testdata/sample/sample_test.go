// Package sample is run in a guest by the tests of package vmtest.
package sample

import (
	"os"
	"runtime"
	"strings"
	"testing"
)

func TestPasses(t *testing.T) {
	host, _ := os.Hostname()
	t.Logf("%s on %s as %d", runtime.GOARCH, host, os.Getuid())
	t.Run("with a/slash", func(t *testing.T) {})
}

func TestSkips(t *testing.T) { t.Skip("no such thing here") }

func TestFails(t *testing.T) {
	t.Run("inner", func(t *testing.T) { t.Error("wrong on purpose") })
}

func TestReadsTestdata(t *testing.T) {
	data, err := os.ReadFile("testdata/file")
	if err != nil || strings.TrimSpace(string(data)) != "carried" {
		t.Fatalf("%q %v", data, err)
	}
}

func TestDies(t *testing.T) {
	if os.Getenv("DIE") != "" {
		os.Exit(7)
	}
}
