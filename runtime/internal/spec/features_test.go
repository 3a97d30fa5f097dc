package spec

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/berth-oci/berth/runtime/internal/host"
)

var everything = Support{true, true, true, true, true, true, true, true, true, true, true, true, true, true}

// everySupported makes Validate judge as a build with every part would, for tests of the other rules.
func everySupported(t testing.TB) {
	old := Supported
	Supported = everything
	t.Cleanup(func() { Supported = old })
}

func TestFeaturesIsGolden(t *testing.T) {
	h := host.Modern()
	text, err := json.MarshalIndent(Features(everything, &h), "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/features.json", append(text, '\n'))
}

// A claimed word must be one that Validate accepts, and Resolve understands.
func TestClaimedWordsAreAccepted(t *testing.T) {
	everySupported(t)
	f := Features(everything, nil)
	try := func(what, add string) {
		t.Helper()
		raw, _, err := Parse(minimal(add))
		if err != nil {
			t.Fatal(err)
		}
		if err := Refusal(Validate(raw, host.Modern())); err != nil {
			t.Errorf("%s is claimed and refused: %v", what, err)
		}
		if _, err := Resolve(raw, "/b"); err != nil {
			t.Errorf("%s is claimed and does not resolve: %v", what, err)
		}
	}
	for _, v := range []string{f.OCIVersionMin, f.OCIVersionMax} {
		raw, _, _ := Parse(`{"ociVersion":"` + v + `","root":{"path":"r"}}`)
		if err := Refusal(Validate(raw, host.Modern())); err != nil {
			t.Error(err)
		}
	}
	for _, h := range f.Hooks {
		try(h, `,"hooks":{"`+h+`":[{"path":"/x"}]}`)
	}
	for _, n := range f.Linux.Namespaces {
		try(n, `,"linux":{"namespaces":[{"type":"`+n+`","path":"/x"}]}`)
	}
	for _, o := range f.MountOptions {
		if strings.HasSuffix(o, "idmap") {
			continue // needs mappings, tried below
		}
		try(o, `,"mounts":[{"destination":"/a","source":"/a","type":"tmpfs","options":["`+o+`"]}]`+linux(`"cgroupsPath":""`))
	}
	try("idmap", `,"mounts":[{"destination":"/a","source":"/a","options":["bind","ridmap"],"uidMappings":[{"containerID":0,"hostID":1,"size":1}],"gidMappings":[{"containerID":0,"hostID":1,"size":1}]}]`+linux(`"cgroupsPath":""`))
	for _, c := range f.Linux.Capabilities {
		try(c, proc(`"capabilities":{"bounding":["`+c+`"]}`))
	}
	for _, a := range f.Linux.Seccomp.Actions {
		try(a, linux(`"seccomp":{"defaultAction":"SCMP_ACT_ALLOW","listenerPath":"/s","syscalls":[{"names":["read"],"action":"`+a+`"}]}`))
	}
	for _, a := range f.Linux.Seccomp.Archs {
		try(a, linux(`"seccomp":{"defaultAction":"SCMP_ACT_ALLOW","architectures":["`+a+`"]}`))
	}
	for _, a := range f.Linux.Seccomp.KnownFlags {
		try(a, linux(`"seccomp":{"defaultAction":"SCMP_ACT_ALLOW","flags":["`+a+`"]}`))
	}
	for _, m := range f.Linux.MemoryPolicy.Modes {
		nodes := `"0"`
		if m == "MPOL_DEFAULT" || m == "MPOL_LOCAL" {
			nodes = `""`
		}
		try(m, linux(`"memoryPolicy":{"mode":"`+m+`","nodes":`+nodes+`}`))
	}
}

func TestUnsupportedPartsAreRefusedAndNotClaimed(t *testing.T) {
	raw, _, err := Parse(minimal(proc(`"apparmorProfile":"a","selinuxLabel":"b"`) +
		`,"mounts":[{"destination":"/a","source":"/a","options":["bind","idmap"]}]` +
		linux(`"seccomp":{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["a"],"action":"SCMP_ACT_NOTIFY"}]},"mountLabel":"c","intelRdt":{"enableMonitoring":true},`+
			`"memoryPolicy":{"mode":"MPOL_LOCAL"},"netDevices":{"a":{}},"resources":{"rdma":{"a":{"hcaHandles":1}}}`)))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range Unsupported(raw, Support{}) {
		got = append(got, f.Path)
	}
	want := make([]string, len(parts))
	for i := range parts {
		want[i] = parts[i].path
	}
	if !slices.Equal(got, want) {
		t.Errorf("refused %v, want %v", got, want)
	}
	if found := Unsupported(raw, everything); found != nil {
		t.Errorf("a build with everything refuses %v", found)
	}
	none := Features(Support{}, nil)
	if none.Linux.Seccomp.Actions != nil || *none.Linux.Seccomp.Enabled || none.Linux.MemoryPolicy != nil || *none.Linux.NetDevices.Enabled ||
		slices.Contains(none.MountOptions, "idmap") || *none.Linux.MountExtensions.IDMap.Enabled || *none.Linux.IntelRdt.Enabled {
		t.Error("a part that is not supported is claimed")
	}
}
