package cgroup

import (
	"strings"
	"testing"

	"github.com/berth-oci/berth/runtime/internal/cgroup/dbus"
)

// TestAnnotationsSetNoOtherProperties: annotations may come from an image, and a unit's property may run a program on the host
// (CVE-2024-3154). What is not on the list is refused, whatever it looks like, and no value says more than one thing.
func TestAnnotationsSetNoOtherProperties(t *testing.T) {
	of := func(name, value string) ([]dbus.Property, error) {
		h := worlds(t)["v2"]
		l, err := Decide(Request{ID: "box", CgroupsPath: "system.slice:berth:box", Systemd: true, Host: h,
			Annotations: map[string]string{annotationPrefix + name: value}})
		return l.Unit.Properties, err
	}
	has := func(props []dbus.Property, name string) (n int) {
		for _, p := range props {
			if p.Name == name {
				n++
			}
		}
		return n
	}
	if props, err := of("CollectMode", "'inactive-or-failed'"); err != nil || has(props, "CollectMode") != 1 {
		t.Fatalf("one of the list: %v, %v", props, err)
	}
	for _, name := range []string{"ExecStopPost", "ExecStart", "ExecStopPostEx", "Slice", "PIDs", "Delegate", "DeviceAllow", "DevicePolicy", "User", "OnFailure",
		"BindsTo", "collectmode", "CollectMode ", " CollectMode", "CollectMode\nExecStopPost", "CollectMode\x00", "", ".", "After.Exec", "RuntimeMaxSecSec",
		"MemoryMax", "TasksMax", "AllowedCPUsSec", "Sec", "ExecStopPostSec"} {
		props, err := of(name, "'/bin/sh'")
		if err == nil || !strings.Contains(err.Error(), "annotations[") || strings.ContainsAny(err.Error(), "\n\x00") {
			t.Errorf("%q: %v, %v", name, props, err)
		}
	}
	for name, values := range map[string][]string{
		"CollectMode":         {"inactive", "'inactive' 'x'", "'a\nb'", "'a\\nb'", "'a'; 'b'", "'%n'", "'a\x00'", "''a'", "'", "", "@s 'a'", "'a\"'"},
		"After":               {"'a'", "['a'", "'a']", "['a';'b']", "['a\n']", "['%i.service']", "[[ 'a' ]]", "[b]"},
		"TimeoutStopUSec":     {"-1", "5 6", "uint64 uint64 x", "1e9", "0x10", "18446744073709551616", "5\n6", "''", ""},
		"RuntimeMaxSec":       {"18446744073710", "-1"},
		"DefaultDependencies": {"maybe", "'true'", "true false", "true\nfalse x"},
	} {
		for _, v := range values {
			if props, err := of(name, v); err == nil || strings.ContainsAny(err.Error(), "\n\x00") {
				t.Errorf("%s=%q: %v, %v", name, v, props, err)
			}
		}
	}
}
