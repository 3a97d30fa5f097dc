package container

import (
	"testing"

	"github.com/berth-oci/berth/conformance/vm"
	"github.com/berth-oci/berth/conformance/vm/vmtest"
)

// TestInOtherWorlds runs this package's tests where this machine is not: on Debian's kernels with cgroup v2 and with v1,
// on amd64 and on arm64, on the oldest kernel that is supported and on a new one. The attacks and the tests of filters and
// network devices stay out: an emulated machine would need the better part of an hour for them.
func TestInOtherWorlds(t *testing.T) {
	for _, m := range []vm.Machine{
		{Arch: "amd64", CPUs: 1},
		{Arch: "arm64"},
		{Arch: "amd64", CPUs: 1, Suite: "bullseye"},
		{Arch: "amd64", CPUs: 1, Suite: "bookworm", Cgroup: vm.CgroupV1},
	} {
		t.Run(m.String(), func(t *testing.T) {
			vmtest.Package{Path: "./runtime/container", Run: inOtherWorlds, Args: []string{"-test.short"}}.RunIn(t, m)
		})
	}
}

const inOtherWorlds = "^Test(RunReturnsTheProgramsStatus|ProcessIsWhatTheConfigSays|NothingOfTheRuntimeReachesTheProgram|" +
	"NamespacesAreNew|UserNamespaceMapsIds|Lifecycle|CreatedContainerDiesOfSignals|MissingProgramIsNamed|ExecJoinsTheContainer|ExecGoesIntoGroupsBelow|" +
	"MeterFollowsAContainerThroughItsLives|" +
	"ProtectedPathsCannotBeWrittenOrRead|MountsCoverEarlierOnes|EveryOperationMayFail)$"
