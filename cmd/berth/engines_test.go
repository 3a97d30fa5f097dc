package main

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/berth-oci/berth/conformance/engines"
)

// TestEnginesRunContainers has each engine of this machine run, enter, pause, stop and remove containers with berth.
func TestEnginesRunContainers(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "berth")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("cannot build berth: %v\n%s", err, out)
	}
	for _, name := range engines.Names {
		t.Run(name, func(t *testing.T) { tryEngine(t, name, binary) })
	}
}

func tryEngine(t *testing.T, name, binary string) {
	engine, err := engines.Start(context.Background(), name, binary)
	var absent *engines.Absent
	if errors.As(err, &absent) {
		t.Skip(absent)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := engine.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Log(engine.Version)
	for _, step := range engine.Steps() {
		if err := engine.Do(context.Background(), step); err != nil {
			t.Errorf("%s: %v", step.Name, err)
		}
	}
}
