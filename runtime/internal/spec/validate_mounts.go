package spec

import (
	"path"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func (c *checker) mounts() {
	if len(c.raw.Mounts) > 0 {
		c.needs(MountNS, "mounts", "config.md, Mounts")
	}
	for i := range c.raw.Mounts {
		c.mount(i, &c.raw.Mounts[i])
	}
}

func (c *checker) mount(i int, raw *specs.Mount) {
	const clause = "config.md, Mounts"
	m := resolveMount(i, raw, "/", &Linux{})
	switch {
	case raw.Destination == "":
		c.refuse(clause, at("mounts", i)+".destination", "give an absolute path in the container", "is empty")
	case raw.Destination[0] != '/':
		c.warn(clause, at("mounts", i)+".destination", "write "+q("/"+raw.Destination), "%s is relative, which is deprecated: it counts from /", q(raw.Destination))
	}
	if m.Destination == "/" && raw.Destination != "" {
		c.refuse(clause, at("mounts", i)+".destination", "set root.path instead", "is the root filesystem itself")
	}
	if m.IsBind && raw.Source == "" && m.Flags&MS_REMOUNT == 0 {
		c.refuse(clause, at("mounts", i)+".source", "give the file or directory to bind", "is empty")
	}
	if raw.Type == "" && !m.IsBind && m.Flags&MS_REMOUNT == 0 && len(m.Propagation) == 0 {
		c.refuse(clause, at("mounts", i)+".type", `name a filesystem, or add the option "rbind"`, "is empty, and no option makes it a bind mount")
	}
	if raw.Type == "bind" && !hasOption(raw.Options, "bind", "rbind") {
		c.warn(clause, at("mounts", i)+".options", `add "bind" or "rbind"`, `have neither "bind" nor "rbind" for the type "bind": taken for "bind"`)
	}
	if len(m.Data) >= c.pageSize() {
		c.refuse("mount(2)", at("mounts", i)+".options", "", "hold %d bytes for the filesystem, and the kernel takes less than a page, %d", len(m.Data), c.pageSize())
	}
	c.mountOnProc(i, &m)
	c.mountFeatures(i, raw, &m)
	c.mountMapping(i, raw, &m)
}

// counterfeits are the files of proc that a mount may cover, since tools such as lxcfs show a container its own share there.
// Covering any other lets writes to labels, limits and kernel parameters go astray (CVE-2019-16884).
var counterfeits = []string{
	"/proc/cpuinfo", "/proc/diskstats", "/proc/loadavg", "/proc/meminfo", "/proc/net/dev", "/proc/slabinfo", "/proc/stat",
	"/proc/swaps", "/proc/uptime", "/proc/sys/crypto/fips_enabled", "/proc/sys/kernel/ns_last_pid",
}

func (c *checker) mountOnProc(i int, m *Mount) {
	const clause = "CVE-2019-16884"
	switch {
	case m.Flags&MS_REMOUNT != 0 || m.Type == "proc" && m.Destination == "/proc":
	case m.Destination == "/proc" && !m.IsBind:
		c.refuse(clause, at("mounts", i)+".type", `use "proc", or bind a proc filesystem`, "is %s, and only a proc filesystem may be on /proc", q(m.Type))
	case strings.HasPrefix(m.Destination, "/proc/") && !slices.Contains(counterfeits, m.Destination):
		c.refuse(clause, at("mounts", i)+".destination", "mount it elsewhere", "%s is inside /proc, where writes of the runtime and of programs would go astray", q(m.Destination))
	}
}

func (c *checker) pageSize() int {
	if c.h.PageSize > 0 {
		return c.h.PageSize
	}
	return 4096
}

func hasOption(options []string, names ...string) bool {
	for _, o := range options {
		for _, n := range names {
			if o == n {
				return true
			}
		}
	}
	return false
}

// mountFeatures refuses what this kernel lacks, and options that would be without effect.
func (c *checker) mountFeatures(i int, raw *specs.Mount, m *Mount) {
	const clause = "config.md, Linux mount options"
	path := func() string { return at("mounts", i) + ".options" }
	if m.Rec != (Attr{}) && !c.h.Features.MountSetattr {
		c.refuse(clause, path(), "leave recursive options out", "hold a recursive option, which needs mount_setattr(2) of Linux 5.12")
	}
	if (m.Flags|m.ClearFlags)&MS_NOSYMFOLLOW != 0 && !c.h.Features.NoSymFollow {
		c.refuse(clause, path(), "leave it out", "hold nosymfollow or symfollow, which needs Linux 5.10")
	}
	if m.TmpCopyUp && m.Type != "tmpfs" {
		c.refuse(clause, path(), `set the type to "tmpfs"`, "hold tmpcopyup, which only a tmpfs can do, on the type %s", q(m.Type))
	}
	if m.IsBind && m.Data != "" {
		c.warn(clause, path(), "leave them out", "hold %s, which is for a filesystem and has no effect on a bind mount", q(m.Data))
	}
}

func (c *checker) mountMapping(i int, raw *specs.Mount, m *Mount) {
	const clause = "config.md, POSIX-platform Mounts"
	uids, gids := len(raw.UIDMappings), len(raw.GIDMappings)
	if !m.HasIDMap {
		return
	}
	if !c.h.Features.IDMappedMounts {
		c.refuse(clause, at("mounts", i), "leave the mapping out", "is idmapped, which needs mount_setattr(2) of Linux 5.12")
	}
	switch {
	case (uids == 0) != (gids == 0):
		c.refuse(clause, at("mounts", i), "give both or none", "has only one of uidMappings and gidMappings")
	case uids == 0 && !c.ns[UserNS].Own():
		c.refuse("config.md, Linux mount options", at("mounts", i)+".options", "add uidMappings and gidMappings to the mount", "hold idmap, but neither the mount nor the container has mappings")
	case uids > 0 && !hasOption(raw.Options, "idmap", "ridmap"):
		c.warn(clause, at("mounts", i)+".options", `add "idmap" or "ridmap"`, `hold neither "idmap" nor "ridmap" for a mount with mappings: taken for "idmap"`)
	}
	c.mappings(at("mounts", i)+".uidMappings", raw.UIDMappings)
	c.mappings(at("mounts", i)+".gidMappings", raw.GIDMappings)
}

// maxMappings is UID_GID_MAP_MAX_EXTENTS (user_namespaces(7), since Linux 4.15).
const maxMappings = 340

// mappings refuses what the kernel refuses of a uid_map or gid_map: too many ranges, an empty one, one past the last id, or
// two that overlap on either side.
func (c *checker) mappings(where string, l []specs.LinuxIDMapping) {
	const clause = "user_namespaces(7)"
	if len(l) > maxMappings {
		c.refuse(clause, where, "join neighbouring ranges", "has %d ranges, and the kernel takes %d at most", len(l), maxMappings)
		return
	}
	for i, m := range l {
		if m.Size == 0 {
			c.refuse(clause, at(where, i)+".size", "", "is 0, and a range maps one id at least")
			continue
		}
		last := uint64(m.Size) - 1
		if uint64(m.ContainerID)+last >= 1<<32-1 || uint64(m.HostID)+last >= 1<<32-1 {
			c.refuse(clause, at(where, i), "", "reaches past the last id, 4294967294")
		}
		for j, o := range l[:i] {
			if overlap(m.ContainerID, m.Size, o.ContainerID, o.Size) || overlap(m.HostID, m.Size, o.HostID, o.Size) {
				c.refuse(clause, at(where, i), "", "overlaps %s", at(where, j))
				break
			}
		}
	}
}

func overlap(a, aSize, b, bSize uint32) bool {
	return uint64(a) < uint64(b)+uint64(bSize) && uint64(b) < uint64(a)+uint64(aSize)
}

// mapped says whether id is in the container's side of the ranges.
func mapped(l []specs.LinuxIDMapping, id uint32) bool {
	for _, m := range l {
		if id >= m.ContainerID && uint64(id) < uint64(m.ContainerID)+uint64(m.Size) {
			return true
		}
	}
	return false
}

// inContainer refuses a path that does not begin at the container's root.
func (c *checker) inContainer(clause string, paths []string, where string) {
	for i, p := range paths {
		if !path.IsAbs(p) {
			c.refuse(clause, at(where, i), "begin it with /", "%s is not absolute", q(p))
		}
	}
}

// singleLine refuses a value that would become two lines in a file of the kernel.
func (c *checker) singleLine(clause, path, value string) {
	if strings.ContainsAny(value, "\n\r") {
		c.refuse(clause, path, "", "%s holds a line break", q(value))
	}
}
