package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

const cgroupRoot = "/sys/fs/cgroup"

// mountCgroups lays the cgroup hierarchies out as systemd does in the world named: v2 alone, v1 with each controller
// of its own (and systemd's named hierarchy), or hybrid, which is v1 with an empty v2 beside it.
func mountCgroups(world string) error {
	switch world {
	case "v2":
		return mountUnified(cgroupRoot)
	case "v1", "hybrid":
		if err := (mount{"tmpfs", cgroupRoot, "tmpfs", hardened, "mode=0755"}).mount(); err != nil {
			return err
		}
		if err := mountV1(); err != nil {
			return err
		}
		if world == "hybrid" {
			return mountUnified(filepath.Join(cgroupRoot, "unified"))
		}
		return nil
	}
	return fmt.Errorf("cannot mount cgroups: unknown world %q", world)
}

func mountUnified(dir string) error {
	m := mount{"cgroup2", dir, "cgroup2", hardened, "nsdelegate,memory_recursiveprot"}
	if err := m.mount(); err != nil { // memory_recursiveprot came with Linux 5.7, and not where v1 holds memory
		m.data = "nsdelegate"
		if err := m.mount(); err != nil {
			return err
		}
	}
	controllers, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return err
	}
	for _, c := range strings.Fields(string(controllers)) {
		if err := os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+"+c), 0o644); err != nil {
			return fmt.Errorf("cannot enable cgroup controller %s: %w", c, err)
		}
	}
	return nil
}

// together are the v1 controllers that systemd and Docker mount in one hierarchy.
var together = map[string]string{"cpu": "cpu,cpuacct", "cpuacct": "cpu,cpuacct", "net_cls": "net_cls,net_prio", "net_prio": "net_cls,net_prio"}

func mountV1() error {
	table, err := os.ReadFile("/proc/cgroups")
	if err != nil {
		return err
	}
	done := map[string]bool{}
	for _, name := range v1Controllers(string(table)) {
		dir := name
		if t, ok := together[name]; ok {
			dir = t
		}
		if !done[dir] {
			done[dir] = true
			if err := (mount{"cgroup", filepath.Join(cgroupRoot, dir), "cgroup", hardened, dir}).mount(); err != nil {
				return err
			}
		}
		if dir != name {
			_ = os.Symlink(dir, filepath.Join(cgroupRoot, name))
		}
	}
	return mount{"cgroup", filepath.Join(cgroupRoot, "systemd"), "cgroup", hardened, "none,name=systemd"}.mount()
}

// v1Controllers reads the enabled controllers from /proc/cgroups.
func v1Controllers(table string) (names []string) {
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) == 4 && f[3] == "1" && !strings.HasPrefix(f[0], "#") {
			names = append(names, f[0])
		}
	}
	return names
}

// cgroupWorld tells what is mounted, from the file systems' types, and which controllers it offers.
func cgroupWorld() (world string, controllers []string) {
	const cgroup2Magic = 0x63677270
	isV2 := func(dir string) bool {
		var st syscall.Statfs_t
		return syscall.Statfs(dir, &st) == nil && int64(st.Type) == cgroup2Magic
	}
	if isV2(cgroupRoot) {
		data, _ := os.ReadFile(filepath.Join(cgroupRoot, "cgroup.controllers"))
		return "v2", strings.Fields(string(data))
	}
	table, _ := os.ReadFile("/proc/cgroups")
	if isV2(filepath.Join(cgroupRoot, "unified")) {
		return "hybrid", v1Controllers(string(table))
	}
	return "v1", v1Controllers(string(table))
}
