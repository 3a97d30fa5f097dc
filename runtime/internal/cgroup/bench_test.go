package cgroup

import (
	"fmt"
	"os"
	"testing"
)

// BenchmarkStats500 is one sample of 500 idle groups, as `stats` takes it.
func BenchmarkStats500(b *testing.B) {
	if os.Geteuid() != 0 {
		b.Skip("needs root to make cgroups")
	}
	h, err := Probe()
	if err != nil || len(h.Hierarchies) == 0 {
		b.Skipf("no cgroups: %v", err)
	}
	var groups []*Group
	for i := range 500 {
		id := fmt.Sprintf("stats%d", i)
		l, err := Decide(Request{ID: id, CgroupsPath: fmt.Sprintf("/berth-test-%d/%s", os.Getpid(), id), Host: h})
		if err == nil {
			err = l.Make()
		}
		if err != nil {
			b.Fatal(err)
		}
		g, err := Open(l.State())
		if err != nil {
			b.Fatal(err)
		}
		groups = append(groups, g)
	}
	b.Cleanup(func() {
		for _, g := range groups {
			if err := g.Remove(); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportAllocs()
	for b.Loop() {
		for _, g := range groups {
			if _, err := g.Stats(); err != nil {
				b.Fatal(err)
			}
		}
	}
}
