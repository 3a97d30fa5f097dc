package container

import (
	"testing"

	"github.com/berth-oci/berth/conformance/vm"
	"github.com/berth-oci/berth/conformance/vm/vmtest"
)

// TestInOtherWorlds runs this package's tests where this machine is not: on Debian's kernels with cgroup v2 and with v1,
// on amd64 and on arm64, on the oldest kernel that is supported and on a new one. Beside what all of them run, each has attacks and
// tests of filters and devices that its kernel or its processor may decide otherwise; all of them in each would take an
// emulated machine the better part of an hour.
func TestInOtherWorlds(t *testing.T) {
	for _, w := range []struct {
		vm.Machine
		more string // names without their "Test"
	}{
		{vm.Machine{Arch: "amd64", CPUs: 1}, "Attack14.*|Attack15.*|Attack21.*|OtherArchitecturesAreNoWayAround|Attack23.*|Attack24.*|Attack32.*|Attack33Listings.*|NetDevice.*|EffectsHoldForEveryProcess"},
		{vm.Machine{Arch: "arm64"}, "Attack01TheRuntimesProgramIsOutOfReach|Attack03.*|Attack21.*|EveryActionHasItsEffect|ListenerIsNeverInside|EffectsHoldForEveryProcess"},
		{vm.Machine{Arch: "amd64", CPUs: 1, Suite: "bullseye"}, "Attack08MasksFollowLinksInside|Attack30.*|Attack32.*|FilterComesWithAndWithoutNoNewPrivileges|NetDevice.*"},
		{vm.Machine{Arch: "amd64", CPUs: 1, Suite: "bookworm", Cgroup: vm.CgroupV1}, "Attack14.*|Attack1[02].*|AgentAnswersForRunStartAndExec"},
	} {
		t.Run(w.String(), func(t *testing.T) {
			run := "^Test(" + inEveryWorld + "|" + w.more + ")$"
			vmtest.Package{Path: "./runtime/container", Run: run, Args: []string{"-test.short"}}.RunIn(t, w.Machine)
		})
	}
}

const inEveryWorld = "RunReturnsTheProgramsStatus|ProcessIsWhatTheConfigSays|NothingOfTheRuntimeReachesTheProgram|" +
	"NamespacesAreNew|UserNamespaceMapsIds|Lifecycle|SignalsReachTheProgram|CreatedContainerDiesOfSignals|MissingProgramIsNamed|ExecJoinsTheContainer|ExecGoesIntoGroupsBelow|" +
	"MeterFollowsAContainerThroughItsLives|GC.*|PausedContainerDies|KilledAtEveryStep|StartWaitsUntilTheProgramIsReady|MountsComeAndGo|" +
	"ProtectedPathsCannotBeWrittenOrRead|MountsCoverEarlierOnes|EveryOperationMayFail"
