package main

import (
	"bytes"
	"os"
	"testing"
)

// The committed table is what the sources say today. Where a newer source has more calls, go generate brings them in.
func TestTableIsUpToDate(t *testing.T) {
	if _, err := find(); err != nil {
		t.Skipf("needs golang.org/x/sys and the headers of linux-libc-dev for amd64: %v", err)
	}
	want, err := generate()
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../table.go")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("table.go differs from its sources: run go generate ./runtime/internal/seccomp")
	}
}
