package cgroup

import (
	"os"
	"testing"

	"github.com/berth-oci/berth/conformance/vm"
	"github.com/berth-oci/berth/conformance/vm/vmtest"
)

const inGuest = "CGROUP_TEST_IN_GUEST"

// TestWorlds runs this package's tests where the machine at hand is not: in the other worlds of cgroups.
func TestWorlds(t *testing.T) {
	if os.Getenv(inGuest) != "" {
		t.Skip("this is one of the worlds")
	}
	for name, m := range map[string]vm.Machine{
		"v2/amd64": {Arch: "amd64", Cgroup: vm.CgroupV2},
		"v2/arm64": {Arch: "arm64", Cgroup: vm.CgroupV2},
	} {
		t.Run(name, func(t *testing.T) {
			vmtest.Package{Path: "./runtime/internal/cgroup", Env: []string{inGuest + "=1"}}.RunIn(t, m)
		})
	}
}
