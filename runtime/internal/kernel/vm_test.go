package kernel

import (
	"testing"

	"github.com/berth-oci/berth/conformance/vm"
	"github.com/berth-oci/berth/conformance/vm/vmtest"
)

// The handler is written in the instructions of each architecture.
func TestOnTheOtherArchitecture(t *testing.T) {
	vmtest.Package{Path: "./runtime/internal/kernel", Run: "^Test(.*Signals|NoSignal).*$", Args: []string{"-test.short"}}.RunIn(t, vm.Machine{Arch: "arm64"})
}
