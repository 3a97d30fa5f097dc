package conformance

import (
	"fmt"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-oci/berth/conformance/probe"
)

// Short names for the operations that checks use most.

func facts() probe.Op              { return probe.Op{Do: "facts"} }
func statOf(path string) probe.Op  { return probe.Op{Do: "stat", Path: path} }
func reading(path string) probe.Op { return probe.Op{Do: "read", Path: path} }
func creating(path string) probe.Op {
	return probe.Op{Do: "create", Path: path, Data: "made by the probe"}
}
func writing(path, data string) probe.Op { return probe.Op{Do: "write", Path: path, Data: data} }
func doing(verb, path string) probe.Op   { return probe.Op{Do: verb, Path: path} }

// waiting announces itself with the file /ready and blocks until a signal comes.
func waiting() probe.Op { return probe.Op{Do: "signals", Path: "/ready"} }

// Life runs a container with the configuration and returns what the probe reported.
func (t *T) Life(config *specs.Spec) []probe.Result {
	return t.Container(config).Life()
}

// Facts runs a container whose probe must be able to collect facts, and returns them.
func (t *T) Facts(config *specs.Spec) *probe.Facts {
	c := t.Container(config)
	c.Life()
	return c.Facts()
}

// Facts returns the facts the probe has reported, ending the check where there are none.
func (c *Container) Facts() *probe.Facts {
	for _, result := range c.Output() {
		if result.Facts != nil {
			return result.Facts
		}
	}
	c.t.Fatalf("the program in the container reported nothing; standard error: %s", c.Stderr())
	return nil
}

// Find returns the result of an operation on a path, ending the check where it is missing.
func (t *T) Find(results []probe.Result, do, path string) probe.Result {
	for _, result := range results {
		if result.Do == do && (path == "" || result.Path == path) {
			return result
		}
	}
	t.Fatalf("the program in the container did not report on %q %s", do, path)
	return probe.Result{}
}

// Refused expects create to fail and to leave no container behind.
func (t *T) Refused(config any, what string) {
	c := t.Container(config)
	if err := c.Create(); err == nil {
		t.Errorf("create accepted %s", what)
		return
	}
	if state, err := c.State(); err == nil {
		t.Errorf("create refused %s, but the container exists with status %q", what, state.Status)
	}
}

// RefusedOrNotRun expects create or start to fail, for properties of the
// process, which the runtime may apply at either; the program must not run.
func (t *T) RefusedOrNotRun(config *specs.Spec, what string) {
	config.Process.Args = probe.Args(creating("/ran"))
	c := t.Container(config)
	if c.Create() != nil {
		return
	}
	err := c.Start()
	if err != nil {
		return
	}
	c.Wait()
	if len(c.Output()) > 0 {
		t.Errorf("create and start accepted %s and ran the program", what)
		return
	}
	t.Errorf("create and start reported success for %s", what)
}

// Equal records a failure where got is not want.
func Equal[V comparable](t *T, what string, got, want V) {
	if got != want {
		t.Errorf("%s is %s, want %s", what, show(got), show(want))
	}
}

// EqualLists records a failure where two lists differ.
func EqualLists[V comparable](t *T, what string, got, want []V) {
	if !slices.Equal(got, want) {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

func show(value any) string {
	if text, ok := value.(string); ok {
		return fmt.Sprintf("%q", text)
	}
	return fmt.Sprint(value)
}
