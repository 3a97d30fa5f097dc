package host

import (
	"fmt"
	"reflect"
	"strings"
)

// Modern is a machine of today for tests and golden files: a recent kernel, one v2 hierarchy, root, no labelling module.
func Modern() Host {
	k := ParseKernel("6.12.0")
	return Host{
		Arch: "amd64", Kernel: k, PageSize: 4096, LastCap: 40, Permitted: 1<<41 - 1, Seccomp: true, Resctrl: "/sys/fs/resctrl",
		Cgroup: Cgroup{Mode: CgroupV2, Unified: "/sys/fs/cgroup"}, Features: featuresOf(k),
	}
}

// Oldest is the kernel floor on the older hierarchies: 5.10 with control groups v1.
func Oldest() Host {
	h := Modern()
	h.Kernel = ParseKernel("5.10.0")
	h.Features = featuresOf(h.Kernel)
	h.Cgroup = Cgroup{Mode: CgroupV1}
	return h
}

// Without takes features away, by their JSON names, to walk the fallbacks ("openat2", "mountSetattr" …). A name that is no
// feature is an error, so that a test cannot believe it has removed something.
func (h Host) Without(features ...string) (Host, error) {
	v := reflect.ValueOf(&h.Features).Elem()
	for _, name := range features {
		found := false
		for i := range v.NumField() {
			if tag, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ","); tag == name {
				v.Field(i).SetBool(false)
				found = true
			}
		}
		if !found {
			return h, fmt.Errorf("no feature of the host is called %q", name)
		}
	}
	return h, nil
}
