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
	for _, w := range []struct {
		name string
		vm.Machine
	}{
		{"v1 amd64", vm.Machine{Arch: "amd64", Suite: "bookworm", Cgroup: vm.CgroupV1}},
		{"v2 amd64", vm.Machine{Arch: "amd64", Cgroup: vm.CgroupV2}},
		{"v2 arm64", vm.Machine{Arch: "arm64", Cgroup: vm.CgroupV2}},
		{"v2 systemd amd64", vm.Machine{Arch: "amd64", Cgroup: vm.CgroupV2, Systemd: true}},
	} {
		w.CPUs = 1 // quotas switch code of the scheduler on while it runs, which emulated machines with two CPUs do not survive
		t.Run(w.name, func(t *testing.T) {
			vmtest.Package{Path: "./runtime/internal/cgroup", Env: []string{inGuest + "=1"}}.RunIn(t, w.Machine)
		})
	}
}
