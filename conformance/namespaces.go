package conformance

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-oci/berth/conformance/probe"
)

// namespaceTypes are the types of config-linux.md, section Namespaces.
var namespaceTypes = []string{"pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time"}

// config-linux.md: namespaces, user namespace mappings, time offsets.
var namespaceChecks = slices.Concat(perNamespace(), []Check{
	{Name: "namespaces/pid/sees-only-itself", Run: pidNamespaceIsolates,
		Clause: should("config-linux.md", "configLinuxNamespaces", "pid processes inside the container will only be able to see other processes inside the same container or inside the same pid namespace")},
	{Name: "namespaces/pid/program-is-first", Run: pidNamespaceFirst,
		Clause: must("config-linux.md", "configLinuxNamespaces", "If path is not specified, the runtime MUST create a new container namespace of type type")},
	{Name: "namespaces/pid/end-of-program-ends-descendants", Run: pidNamespaceEnds,
		Clause: must("config-linux.md", "configLinuxNamespaces", "If path is not specified, the runtime MUST create a new container namespace of type type")},
	{Name: "namespaces/network/own-stack", Run: networkNamespaceIsolates,
		Clause: should("config-linux.md", "configLinuxNamespaces", "network the container will have its own network stack")},
	{Name: "namespaces/mount/isolated-from-host", Run: mountNamespaceIsolates,
		Clause: should("config-linux.md", "configLinuxNamespaces", "mount the container will have an isolated mount table")},
	{Name: "namespaces/ipc/shared-memory-hidden", Run: ipcNamespaceIsolates,
		Clause: should("config-linux.md", "configLinuxNamespaces", "ipc processes inside the container will only be able to communicate to other processes inside the same container via system level IPC")},
	{Name: "namespaces/uts/hostname-of-host-kept", Run: utsNamespaceIsolates,
		Clause: should("config-linux.md", "configLinuxNamespaces", "uts the container will be able to have its own hostname and domain name")},
	{Name: "namespaces/cgroup/isolated-view", Run: cgroupNamespaceIsolates, Needs: []Need{needNamespace("cgroup")},
		Clause: should("config-linux.md", "configLinuxNamespaces", "cgroup the container will have an isolated view of the cgroup hierarchy")},
	{Name: "namespaces/user/maps-ids", Run: userNamespaceMaps, Needs: []Need{needNamespace("user")},
		Clause: must("config-linux.md", "configLinuxUserNamespaceMappings", "containerID (uint32, REQUIRED) - is the starting uid/gid in the container")},
	{Name: "namespaces/user/several-ranges", Run: userNamespaceRanges, Needs: []Need{needNamespace("user")},
		Clause: must("config-linux.md", "configLinuxUserNamespaceMappings", "uidMappings (array of objects, OPTIONAL) describes the user namespace uid mappings from the host to the container")},
	{Name: "namespaces/user/files-keep-owner", Run: userNamespaceKeepsOwner, Needs: []Need{needNamespace("user")},
		Clause: should("config-linux.md", "configLinuxUserNamespaceMappings", "The runtime SHOULD NOT modify the ownership of referenced filesystems to realize the mapping")},
	{Name: "namespaces/time/offsets", Run: timeOffsets, Since: "1.1.0", Needs: []Need{needNamespace("time")},
		Clause: must("config-linux.md", "configLinuxTimeOffset", "secs (int64, OPTIONAL) - is the offset of clock (in seconds) in the container")},
	{Name: "namespaces/time/offsets-without-namespace", Run: timeOffsetsWithoutNamespace, Since: "1.1.0", Strict: true,
		Clause: must("runtime.md", "runtimeCreate", "If the runtime cannot apply a property as specified in the configuration, it MUST generate an error and a new container MUST NOT be created")},
	{Name: "namespaces/path-relative", Run: namespacePathRelative, Strict: true,
		Clause: must("config-linux.md", "configLinuxNamespaces", "This value MUST be an absolute path in the runtime mount namespace")},
	{Name: "namespaces/path-missing", Run: namespacePathMissing,
		Clause: must("config-linux.md", "configLinuxNamespaces", "The runtime MUST generate an error if path is not associated with a namespace of type type")},
	{Name: "namespaces/path-no-namespace", Run: namespacePathFile,
		Clause: must("config-linux.md", "configLinuxNamespaces", "The runtime MUST generate an error if path is not associated with a namespace of type type")},
	{Name: "namespaces/type-unknown", Run: namespaceUnknown,
		Clause: must("config.md", "configuration", "Runtimes MUST generate an error when invalid or unsupported values are encountered")},
	{Name: "namespaces/none-inherits-all", Run: namespaceNone,
		Clause: must("config-linux.md", "configLinuxNamespaces", "If a namespace type is not specified in the namespaces array, the container MUST inherit the runtime namespace of that type")},
})

// perNamespace makes the checks that every namespace type must meet alike.
func perNamespace() []Check {
	var checks []Check
	for _, kind := range namespaceTypes {
		needs := []Need{needNamespace(nsFile(kind))}
		since := ""
		if kind == "time" {
			since = "1.1.0"
		}
		clause := func(text string) Clause { return must("config-linux.md", "configLinuxNamespaces", text) }
		checks = append(checks,
			Check{Name: "namespaces/" + kind + "/new", Since: since, Needs: needs, Run: func(t *T) { namespaceNew(t, kind) },
				Clause: clause("If path is not specified, the runtime MUST create a new container namespace of type type")},
			Check{Name: "namespaces/" + kind + "/duplicate", Since: since, Needs: needs, Strict: true, Run: func(t *T) { namespaceDuplicate(t, kind) },
				Clause: clause("If a namespaces field contains duplicated namespaces with same type, the runtime MUST generate an error")},
			Check{Name: "namespaces/" + kind + "/path-of-other-type", Since: since, Needs: needs, Run: func(t *T) { namespaceWrongType(t, kind) },
				Clause: clause("The runtime MUST generate an error if path is not associated with a namespace of type type")},
		)
		if kind != "mount" { // the mount namespace is not left out: it would expose the host
			checks = append(checks, Check{Name: "namespaces/" + kind + "/inherited", Since: since, Needs: needs, Run: func(t *T) { namespaceInherited(t, kind) },
				Clause: clause("If a namespace type is not specified in the namespaces array, the container MUST inherit the runtime namespace of that type")})
		}
		checks = append(checks, Check{Name: "namespaces/" + kind + "/joined-by-path", Since: since, Needs: needs, Run: func(t *T) { namespaceJoined(t, kind) },
			Clause: clause("The runtime MUST place the container process in the namespace associated with that path")})
	}
	return checks
}

// withNewNamespace adds a new namespace of a type, with what it cannot do without.
func withNewNamespace(config *specs.Spec, kind string) *specs.Spec {
	withNamespace(config, kind, "")
	if kind == "user" {
		return mapped(config, 0)
	}
	if kind == "time" {
		config.Version = "1.1.0"
	}
	return config
}

// mapped puts a configuration into a user namespace whose ids begin at host.
func mapped(config *specs.Spec, host uint32) *specs.Spec {
	withNamespace(config, "user", "")
	config.Linux.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: host, Size: 65536}}
	config.Linux.GIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: host, Size: 65536}}
	return config
}

func namespaceNew(t *T, kind string) {
	got := t.Facts(withNewNamespace(t.Config(facts()), kind)).Namespaces[nsFile(kind)]
	if got == "" || got == t.ownNamespace(kind) {
		t.Errorf("the program is in the %s namespace %q, the runtime's own is %q", kind, got, t.ownNamespace(kind))
	}
}

func namespaceInherited(t *T, kind string) {
	config := withoutNamespace(t.Config(facts()), kind)
	if kind == "uts" {
		config.Hostname = "" // it would be the host's
	}
	got := t.Facts(config).Namespaces[nsFile(kind)]
	Equal(t, "the program's "+kind+" namespace", got, t.ownNamespace(kind))
}

func namespaceDuplicate(t *T, kind string) {
	config := withNewNamespace(t.Config(), kind)
	config.Linux.Namespaces = append(config.Linux.Namespaces, specs.LinuxNamespace{Type: specs.LinuxNamespaceType(kind)})
	t.Refused(config, "two namespaces of the type "+kind)
}

func namespaceWrongType(t *T, kind string) {
	other := "ipc"
	if kind == other {
		other = "uts"
	}
	holder := t.Hold(other)
	config := withNamespace(t.Config(), kind, holder.Path(other))
	if kind == "uts" {
		config.Hostname = ""
	}
	t.Refused(config, fmt.Sprintf("a path of the type %s for the namespace %s", other, kind))
}

// namespaceJoined joins a namespace that another container owns, so that the
// runtime under test has made everything that a namespace of that type needs.
func namespaceJoined(t *T, kind string) {
	if kind == "mount" {
		joinMountNamespace(t)
		return
	}
	owner := t.Container(withNewNamespace(t.Config(waiting(), facts()), kind))
	owner.MustCreate()
	owner.MustStart()
	owner.AwaitFile("/ready")
	path := fmt.Sprintf("/proc/%d/ns/%s", owner.pid, nsFile(kind))
	want, err := os.Readlink(path)
	t.Must(err, "read the namespace to join")

	config := withNamespace(t.Config(facts()), kind, path)
	switch kind {
	case "uts":
		config.Hostname = ""
	case "time":
		config.Version = "1.1.0"
	case "user":
		config.Mounts = config.Mounts[:2]
	}
	Equal(t, "the program's "+kind+" namespace", t.Facts(config).Namespaces[nsFile(kind)], want)
}

// joinMountNamespace joins a copy of the host's mount table, where the bundle
// can be found; another container's would hide it.
func joinMountNamespace(t *T) {
	holder := t.Hold("mount")
	config := withNamespace(t.Config(facts()), "mount", holder.Path("mount"))
	want := holder.Link("mount")
	Equal(t, "the program's mount namespace", t.Facts(config).Namespaces["mnt"], want)
}

func pidNamespaceIsolates(t *T) {
	list := t.Find(t.Life(t.Config(doing("list", "/proc"))), "list", "/proc")
	for _, name := range list.Names {
		if name[0] >= '2' && name[0] <= '9' || len(name) > 1 && name[0] == '1' {
			t.Errorf("the program sees the process %s", name)
		}
	}
	if !slices.Contains(list.Names, "1") {
		t.Errorf("the program does not see itself as process 1: %v", list.Names)
	}
}

func pidNamespaceFirst(t *T) {
	got := t.Facts(t.Config(facts()))
	Equal(t, "the program's process id", got.Pid, 1)
	Equal(t, "the process id of its parent", got.PPid, 0)
}

func pidNamespaceEnds(t *T) {
	child := probe.Args(creating("/child"), probe.Op{Do: "sleep", Nums: []uint64{60000}})[1]
	c := t.Container(t.Config(
		probe.Op{Do: "spawn", Path: probe.Path, Args: []string{child}}, doing("await", "/child"), waiting()))
	c.MustCreate()
	c.MustStart()
	c.AwaitFile("/ready")
	t.Must(c.Kill("KILL"), "kill the container")
	c.Wait()
	c.MustDelete()
	if left := t.processesRunning("/child"); len(left) > 0 {
		t.Errorf("processes of the container are left: %v", left)
	}
}

// processesRunning lists processes whose command line contains both this
// check's probe and the text.
func (t *T) processesRunning(text string) []string {
	var found []string
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		root, _ := os.Readlink("/proc/" + entry.Name() + "/exe")
		line := string(readAll("/proc/" + entry.Name() + "/cmdline"))
		if len(root) > len(t.Dir) && root[:len(t.Dir)] == t.Dir && slices.Contains([]byte(line), 0) && contains(line, text) {
			found = append(found, entry.Name())
		}
	}
	return found
}

func networkNamespaceIsolates(t *T) {
	EqualLists(t, "the list of network interfaces", t.Facts(t.Config(facts())).Links, []string{"lo"})
}

func mountNamespaceIsolates(t *T) {
	config := t.Config(waiting())
	config.Mounts = append(config.Mounts, specs.Mount{Destination: "/tmp", Type: "tmpfs", Source: "tmpfs"})
	c := t.Container(config)
	c.MustCreate()
	c.MustStart()
	c.AwaitFile("/ready")
	mounts, err := probe.ReadMounts("/proc/self/mountinfo")
	t.Must(err, "read the mounts of the host")
	for _, mount := range mounts {
		if contains(mount.Point, c.Rootfs) {
			t.Errorf("a mount of the container is visible on the host: %s (%s)", mount.Point, mount.Type)
		}
	}
}

func ipcNamespaceIsolates(t *T) {
	key := uint64(0x0c1f0000 + t.serial)
	holder := t.HoldAfter([]probe.Op{{Do: "shm", Data: "create", Nums: []uint64{key}}}, "ipc")
	look := probe.Op{Do: "shm", Nums: []uint64{key}}
	own := t.Find(t.Life(t.Config(look)), "shm", "")
	Equal(t, "looking up a foreign segment in a new namespace", own.Outcome(), "ENOENT")
	joined := t.Find(t.Life(withNamespace(t.Config(look), "ipc", holder.Path("ipc"))), "shm", "")
	Equal(t, "looking up the segment in the joined namespace", joined.Outcome(), "ok")
}

func utsNamespaceIsolates(t *T) {
	before, err := os.Hostname()
	t.Must(err, "read the host's name")
	config := t.Config(facts())
	config.Hostname = "conformance-inside"
	Equal(t, "the hostname inside", t.Facts(config).Hostname, "conformance-inside")
	after, err := os.Hostname()
	t.Must(err, "read the host's name")
	Equal(t, "the hostname outside", after, before)
}

func cgroupNamespaceIsolates(t *T) {
	config := withNamespace(t.Config(facts()), "cgroup", "")
	c := t.Container(config)
	c.Life()
	for _, line := range c.Facts().Cgroups {
		if contains(line, c.ID) {
			t.Errorf("the program sees its place in the host's hierarchy: %s", line)
		}
	}
}

func userNamespaceMaps(t *T) {
	config := mapped(t.Config(facts(), reading("/proc/self/uid_map"), reading("/proc/self/gid_map")), 100000)
	c := t.Container(config)
	t.shiftOwner(c, 100000)
	results := c.Life()
	got := c.Facts()
	Equal(t, "the uid inside", got.UID, 0)
	Equal(t, "the gid inside", got.GID, 0)
	for _, file := range []string{"/proc/self/uid_map", "/proc/self/gid_map"} {
		var inside, outside, size uint32
		text := t.Find(results, "read", file).Text
		fmt.Sscan(text, &inside, &outside, &size)
		if inside != 0 || outside != 100000 || size != 65536 {
			t.Errorf("%s holds %q, want 0 100000 65536", file, text)
		}
	}
}

// shiftOwner gives a root filesystem to a mapped root user, as callers do.
func (t *T) shiftOwner(c *Container, host int) {
	for dir := c.Bundle; dir != "/"; dir = filepath.Dir(dir) {
		if info, err := os.Stat(dir); err != nil || info.Mode()&0o001 == 0 {
			t.Skipf("the mapped user cannot pass through %s to the root filesystem; choose another working directory", dir)
		}
	}
	for _, path := range []string{"", "tmp", "proc", "dev", "sys", "etc"} {
		t.Must(os.Lchown(c.Host(path), host, host), "give the root filesystem to the mapped user")
	}
	// The output files belong to root; the mapped user writes through the open descriptor.
}

func userNamespaceRanges(t *T) {
	config := mapped(t.Config(reading("/proc/self/uid_map")), 100000)
	config.Linux.UIDMappings = []specs.LinuxIDMapping{
		{ContainerID: 0, HostID: 100000, Size: 10}, {ContainerID: 10, HostID: 200000, Size: 20}, {ContainerID: 1000, HostID: 300000, Size: 1}}
	c := t.Container(config)
	t.shiftOwner(c, 100000)
	text := t.Find(c.Life(), "read", "/proc/self/uid_map").Text
	var got [9]int
	for i, field := range fieldsOf(text) {
		if i < len(got) {
			fmt.Sscan(field, &got[i])
		}
	}
	Equal(t, "uid_map", got, [9]int{0, 100000, 10, 10, 200000, 20, 1000, 300000, 1})
}

func userNamespaceKeepsOwner(t *T) {
	c := t.Container(mapped(t.Config(facts()), 100000))
	t.Must(os.WriteFile(c.Host("/etc/file"), nil, 0o644), "make a file")
	t.shiftOwner(c, 100000)
	t.Must(os.Lchown(c.Host("/etc/file"), 4242, 4243), "set an owner")
	c.Life()
	info, err := os.Stat(c.Host("/etc/file"))
	t.Must(err, "look at the file")
	uid, gid := ownerOf(info)
	Equal(t, "the owner of a file of the root filesystem", [2]uint32{uid, gid}, [2]uint32{4242, 4243})
}

func timeOffsets(t *T) {
	const monotonic, boottime = 1_000_000, 2_000_000
	config := withNewNamespace(t.Config(facts()), "time")
	plain := t.Facts(t.Config(facts()))
	config.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{
		"monotonic": {Secs: monotonic}, "boottime": {Secs: boottime, Nanosecs: 5}}
	got := t.Facts(config)
	if shift := got.Monotonic - plain.Monotonic; shift < monotonic || shift > monotonic+600 {
		t.Errorf("the monotonic clock is shifted by %d seconds, want %d", shift, monotonic)
	}
	if shift := got.Boottime - plain.Boottime; shift < boottime || shift > boottime+600 {
		t.Errorf("the boottime clock is shifted by %d seconds, want %d", shift, boottime)
	}
}

func timeOffsetsWithoutNamespace(t *T) {
	config := t.Config()
	config.Version = "1.1.0"
	config.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"monotonic": {Secs: 1000}}
	t.Refused(config, "time offsets without a new time namespace")
}

func namespacePathRelative(t *T) {
	t.Refused(withNamespace(t.Config(), "ipc", "proc/self/ns/ipc"), "a relative namespace path")
}

func namespacePathMissing(t *T) {
	t.Refused(withNamespace(t.Config(), "ipc", t.path("missing")), "a namespace path that does not exist")
}

func namespacePathFile(t *T) {
	path := t.path("plain-file")
	t.Must(os.WriteFile(path, nil, 0o644), "make a file")
	t.Refused(withNamespace(t.Config(), "ipc", path), "a namespace path that is a plain file")
}

func namespaceUnknown(t *T) {
	t.Refused(withNamespace(t.Config(), "no-such-type", ""), "an unknown namespace type")
}

func namespaceNone(t *T) {
	config := t.Config(facts())
	config.Hostname = ""
	config.Linux.Namespaces = newNamespaces("mount")
	config.Mounts = config.Mounts[:2]
	got := t.Facts(config)
	for _, kind := range []string{"pid", "network", "ipc", "uts"} {
		Equal(t, "the program's "+kind+" namespace", got.Namespaces[nsFile(kind)], t.ownNamespace(kind))
	}
}
