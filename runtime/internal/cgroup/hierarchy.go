package cgroup

import (
	"bytes"
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"
	"syscall"

	"github.com/berth-oci/berth/runtime/internal/host"
)

// Hierarchy is one mounted cgroup filesystem.
type Hierarchy struct {
	Version     int      `json:"version"`     // 1 or 2
	Controllers []string `json:"controllers"` // v1: as mounted, a named one as "name=systemd"; v2: cgroup.controllers
	Mountpoint  string   `json:"mountpoint"`
	Root        string   `json:"root"`             // the group that the mount point shows, "/" unless in a container
	Own         string   `json:"own"`              // the caller's group in it, as /proc/self/cgroup says
	Denied      bool     `json:"denied,omitempty"` // the caller may not make groups beside or below its own
}

// denied says that a rootless caller may not make its default group here. Probe finds out, so that deciding stays pure.
func (h Hierarchy) denied() bool {
	d, err := cgroupPath{rel: "x"}.in(h)
	return err != nil || syscall.Access(path.Dir(d.Path), 2) != nil // W_OK
}

// Host is what a decision needs to know of the machine. Probe fills it; tests write it by hand.
type Host struct {
	Hierarchies []Hierarchy `json:"hierarchies"`
	Rootless    bool        `json:"rootless"`              // the caller may be unable to make groups; then only those the config asks for are demanded
	UserManager string      `json:"userManager,omitempty"` // group of the user's systemd, if it is not at its usual place
}

func (h Hierarchy) name() string {
	if h.Version == 2 {
		return "cgroup2"
	}
	return join(h.Controllers)
}

// Mode names the way the machine mounts its hierarchies.
func (h Host) Mode() host.CgroupMode {
	v1, v2 := false, false
	for _, x := range h.Hierarchies {
		v1, v2 = v1 || x.Version == 1, v2 || x.Version == 2
	}
	switch {
	case v1 && v2:
		return host.CgroupHybrid
	case v1:
		return host.CgroupV1
	case v2:
		return host.CgroupV2
	}
	return host.CgroupNone
}

// Probe reads /proc/self/mountinfo, /proc/self/cgroup and the controllers of the v2 hierarchy. Rootless is left to the
// caller, who knows its user namespace.
func Probe() (Host, error) {
	mounts, err := readFile("/proc/self/mountinfo")
	if err != nil {
		return Host{}, fmt.Errorf("cannot find the cgroup mounts: %w", err)
	}
	self, err := readFile("/proc/self/cgroup")
	if err != nil && !os.IsNotExist(err) { // a kernel without cgroups has no such file
		return Host{}, fmt.Errorf("cannot find the own cgroup: %w", err)
	}
	h := Parse([]byte(mounts), []byte(self))
	for i := range h.Hierarchies {
		if x := &h.Hierarchies[i]; x.Version == 2 {
			b, err := readFile(x.Mountpoint + "/cgroup.controllers")
			if err != nil {
				return Host{}, fmt.Errorf("cannot list the controllers of the v2 hierarchy: %w", err)
			}
			x.Controllers = strings.Fields(b)
		}
		h.Hierarchies[i].Denied = h.Hierarchies[i].denied()
	}
	return h, nil
}

// Parse finds the hierarchies in the text of /proc/self/mountinfo (proc_pid_mountinfo(5)) and the caller's groups in that
// of /proc/self/cgroup (cgroups(7)). A hierarchy that is mounted twice counts at its first place below /sys/fs/cgroup, or
// else at its first place at all. Controllers of the v2 hierarchy are not in these texts.
func Parse(mountinfo, selfCgroup []byte) Host {
	var h Host
	own := ownGroups(selfCgroup)
	seen := map[string]int{}
	for line := range bytes.Lines(mountinfo) {
		x, ok := parseMount(string(line))
		if !ok {
			continue
		}
		key := x.name()
		x.Own = own[key]
		if i, dup := seen[key]; dup {
			if !below(h.Hierarchies[i].Mountpoint) && below(x.Mountpoint) {
				h.Hierarchies[i] = x
			}
			continue
		}
		seen[key] = len(h.Hierarchies)
		h.Hierarchies = append(h.Hierarchies, x)
	}
	return h
}

func below(mountpoint string) bool {
	return mountpoint == "/sys/fs/cgroup" || strings.HasPrefix(mountpoint, "/sys/fs/cgroup/")
}

// parseMount reads one line of mountinfo: ID PARENT DEV ROOT MOUNTPOINT OPTIONS [TAG…] - TYPE SOURCE SUPEROPTIONS.
func parseMount(line string) (Hierarchy, bool) {
	left, right, ok := strings.Cut(strings.TrimSpace(line), " - ")
	if !ok {
		return Hierarchy{}, false
	}
	l, r := strings.Fields(left), strings.Fields(right)
	if len(l) < 6 || len(r) < 3 || r[0] != "cgroup" && r[0] != "cgroup2" {
		return Hierarchy{}, false
	}
	x := Hierarchy{Version: 2, Root: unescape(l[3]), Mountpoint: unescape(l[4])}
	if r[0] == "cgroup" {
		x.Version, x.Controllers = 1, v1Controllers(r[2])
	}
	return x, true
}

// v1Controllers picks the controllers out of a v1 hierarchy's super options; the rest are flags of cgroup filesystems.
func v1Controllers(options string) []string {
	var out []string
	for o := range strings.SplitSeq(options, ",") {
		switch {
		case o == "rw" || o == "ro" || o == "xattr" || o == "noprefix" || o == "clone_children" || o == "cpuset_v2_mode" ||
			o == "favordynmods" || strings.HasPrefix(o, "release_agent="):
		default:
			out = append(out, o)
		}
	}
	return out
}

// ownGroups maps a hierarchy's name (its controllers with commas, or "cgroup2") to the caller's group in it.
func ownGroups(selfCgroup []byte) map[string]string {
	own := map[string]string{}
	for line := range bytes.Lines(selfCgroup) {
		f := strings.SplitN(strings.TrimSuffix(string(line), "\n"), ":", 3)
		if len(f) != 3 {
			continue
		}
		if f[1] == "" {
			f[1] = "cgroup2"
		}
		own[f[1]] = f[2]
	}
	return own
}

// unescape undoes the octal escapes of mountinfo (\040 is a space).
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// cgroupPath is a resolved linux.cgroupsPath.
type cgroupPath struct {
	absolute bool
	rel      string // without leading slash, cleaned, never empty and never above its start
	chosen   bool   // by the runtime: the config gave none
}

// parsePath reads linux.cgroupsPath for the cgroupfs driver (config-linux.md "Cgroups Path"). ".." cannot leave the mount
// point or the caller's own group: the path is cleaned as if its start were the root. A path that names the start itself is
// refused, since limiting, freezing or killing it would hit everybody there.
func parsePath(p, id string) (cgroupPath, error) {
	if strings.ContainsAny(p, "\x00\n") {
		return cgroupPath{}, fmt.Errorf("cannot use linux.cgroupsPath %q: it has a newline or a zero byte", p)
	}
	out := cgroupPath{absolute: strings.HasPrefix(p, "/"), rel: p}
	if p == "" {
		out.rel, out.chosen = id, true
	}
	out.rel = strings.TrimPrefix(path.Clean("/"+out.rel), "/")
	if out.rel == "" {
		return cgroupPath{}, fmt.Errorf("cannot use linux.cgroupsPath %q: it names the root of the hierarchy, not a group for the container", p)
	}
	return out, nil
}

// in places the path in a hierarchy. An absolute path counts from the mount point. A relative one counts from the caller's
// own group, in v2 from its parent: a v2 group that holds processes, as the caller's own does, cannot have children with
// controllers (cgroup-v2.rst "No Internal Process Constraint"). Both are runc's rules too.
func (p cgroupPath) in(h Hierarchy) (Dir, error) {
	d := Dir{Version: h.Version, Controllers: h.Controllers, Mountpoint: h.Mountpoint}
	if p.absolute {
		d.Path = path.Join(h.Mountpoint, p.rel)
		return d, nil
	}
	own, err := h.ownBelowRoot()
	if err != nil {
		return d, err
	}
	if h.Version == 2 && len(h.Controllers) > 0 {
		own = path.Dir(own)
	}
	d.Path = path.Join(h.Mountpoint, own, p.rel)
	return d, nil
}

// ownBelowRoot is the caller's group as a path below the mount point, beginning with a slash.
func (h Hierarchy) ownBelowRoot() (string, error) {
	own := path.Clean("/" + h.Own)
	if strings.HasPrefix(h.Own, "/..") {
		return "", fmt.Errorf("cannot place the container below the own cgroup %s: it is outside the cgroup namespace; give an absolute linux.cgroupsPath", h.Own)
	}
	if h.Root == "/" || h.Root == "" || strings.HasPrefix(h.Root, "/..") {
		return own, nil
	}
	if own == h.Root {
		return "/", nil
	}
	if rest, ok := strings.CutPrefix(own, h.Root+"/"); ok {
		return "/" + rest, nil
	}
	return own, nil
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

func join(list []string) string { return strings.Join(list, ",") }
