package vmtest

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/berth-oci/berth/conformance/vm"
)

const sampleVariable = "VMTEST_SAMPLE"

// TestSample is not a test of its own: TestGuestTestsAreReported runs it in a child, since parts of it fail on purpose.
func TestSample(t *testing.T) {
	if os.Getenv(sampleVariable) == "" {
		t.Skip("run by TestGuestTestsAreReported")
	}
	g := Boot(t, vm.Machine{Arch: "arm64"})
	Package{Path: "./conformance/vm/vmtest/testdata/sample"}.RunGuest(t, g)
	t.Run("dying", func(t *testing.T) {
		Package{Path: "./conformance/vm/vmtest/testdata/sample", Run: "Passes|Dies", Env: []string{"DIE=1"}}.RunGuest(t, g)
	})
}

func TestGuestTestsAreReported(t *testing.T) {
	cmd := exec.Command(os.Args[0], "-test.run=^TestSample$", "-test.v")
	cmd.Env = append(os.Environ(), sampleVariable+"=1")
	raw, err := cmd.CombinedOutput()
	if strings.Contains(string(raw), "--- SKIP: TestSample (") {
		t.Skipf("no machine could be booted:\n%s", raw)
	}
	if err == nil {
		t.Error("the child passed though a test failed in the guest")
	}
	out := string(raw)
	for _, want := range []string{
		"--- PASS: TestSample/TestPasses ", "arm64 on vm as 0", "--- PASS: TestSample/TestPasses/with_a/slash ",
		"--- SKIP: TestSample/TestSkips ", "no such thing here",
		"--- FAIL: TestSample/TestFails ", "--- FAIL: TestSample/TestFails/inner ", "wrong on purpose",
		"--- PASS: TestSample/TestReadsTestdata ",
		"--- FAIL: TestSample/dying/TestDies ", "did not finish in the guest",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing", want)
		}
	}
	if t.Failed() {
		t.Log(out)
	}
}

func TestTreeNestsSubtestsWhoseNamesHoldSlashes(t *testing.T) {
	root := grow([]event{
		{"run", "TestA", ""}, {"output", "TestA", "=== RUN   TestA\n"}, {"output", "TestA", "    a.go:1: said\n"},
		{"run", "TestA/x/y", ""}, {"run", "TestA/x/y/z", ""}, {"skip", "TestA/x/y/z", ""}, {"pass", "TestA/x/y", ""}, {"pass", "TestA", ""},
		{"run", "TestB", ""},
	})
	var got []string
	var walk func(n *node, depth string)
	walk = func(n *node, depth string) {
		for _, c := range n.children {
			got = append(got, depth+c.name+" "+c.action)
			walk(c, depth+"  ")
		}
	}
	walk(root, "")
	want := []string{"TestA pass", "  x/y pass", "    z skip", "TestB "}
	if !slices.Equal(got, want) {
		t.Errorf("tree %q, want %q", got, want)
	}
	if s := root.children[0].output.String(); s != "    a.go:1: said\n" {
		t.Errorf("output %q", s)
	}
}
