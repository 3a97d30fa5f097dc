package conformance

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-oci/berth/conformance/probe"
)

// config.md, section Mounts.
var mountChecks = slices.Concat([]Check{
	{Name: "mounts/order", Run: mountOrder,
		Clause: must("config.md", "configMounts", "The runtime MUST mount entries in the listed order")},
	{Name: "mounts/same-destination-last-wins", Run: mountSameDestination,
		Clause: must("config.md", "configMounts", "The runtime MUST mount entries in the listed order")},
	{Name: "mounts/destination-created-directory", Run: mountCreatesDirectory,
		Clause: must("config.md", "configMounts", "mounts (array of objects, OPTIONAL) specifies additional mounts beyond root")},
	{Name: "mounts/destination-created-file", Run: mountCreatesFile,
		Clause: must("config.md", "configMounts", "mounts (array of objects, OPTIONAL) specifies additional mounts beyond root")},
	{Name: "mounts/destination-relative", Run: mountRelative,
		Clause: must("config.md", "configMounts", "For compatibility with old tools and configurations, it MAY be a relative path, in which case it MUST be interpreted as relative to \"/\"")},
	{Name: "mounts/source-relative-to-bundle", Run: mountRelativeSource,
		Clause: must("config.md", "configMounts", "Path values for bind mounts are either absolute or relative to the bundle")},
	{Name: "mounts/source-missing", Run: mountSourceMissing,
		Clause: must("runtime.md", "runtimeCreate", "If the runtime cannot apply a property as specified in the configuration, it MUST generate an error and a new container MUST NOT be created")},
	{Name: "mounts/type-unknown", Run: mountTypeUnknown,
		Clause: must("runtime.md", "runtimeCreate", "If the runtime cannot apply a property as specified in the configuration, it MUST generate an error and a new container MUST NOT be created")},
	{Name: "mounts/destination-absent", Run: mountDestinationAbsent, Strict: true,
		Clause: must("config.md", "configMounts", "destination (string, REQUIRED) Destination of mount point: path inside container")},
	{Name: "mounts/symlink-stays-inside", Run: mountSymlinkInside,
		Clause: must("config.md", "configMounts", "destination (string, REQUIRED) Destination of mount point: path inside container")},
	{Name: "mounts/bind/directory", Run: bindDirectory,
		Clause: must("config.md", "configMounts", "A mount is a bind mount if it has either bind or rbind in the options")},
	{Name: "mounts/bind/file", Run: bindFile,
		Clause: must("config.md", "configMounts", "A mount is a bind mount if it has either bind or rbind in the options")},
	{Name: "mounts/bind/type-is-dummy", Run: bindTypeDummy,
		Clause: must("config.md", "configPOSIXMounts", "For bind mounts (when options include either bind or rbind), the type is a dummy, often \"none\" (not listed in /proc/filesystems)")},
	{Name: "mounts/bind/not-recursive", Run: func(t *T) { bindRecursion(t, "bind", false) },
		Clause: must("config.md", "configLinuxMountOptions", "bind | MUST | Bind mount")},
	{Name: "mounts/bind/recursive", Run: func(t *T) { bindRecursion(t, "rbind", true) },
		Clause: must("config.md", "configLinuxMountOptions", "rbind | MUST | Recursive bind mount")},
	{Name: "mounts/bind/ro-refuses-writes", Run: bindReadonly,
		Clause: must("config.md", "configLinuxMountOptions", "ro | MUST |")},
	{Name: "mounts/bind/rw-accepts-writes", Run: bindWritable,
		Clause: must("config.md", "configLinuxMountOptions", "rw | MUST |")},
	{Name: "mounts/bind/source-keeps-flags", Run: bindSourceUnchanged,
		Clause: must("config.md", "configLinuxMountOptions", "ro | MUST |")},
	{Name: "mounts/bind/noexec-refuses-programs", Run: bindNoexec,
		Clause: must("config.md", "configLinuxMountOptions", "noexec | MUST |")},
	{Name: "mounts/bind/nodev-refuses-devices", Run: bindNodev, Needs: []Need{needCapability("CAP_MKNOD", 27)},
		Clause: must("config.md", "configLinuxMountOptions", "nodev | MUST |")},
	{Name: "mounts/bind/nosymfollow", Run: bindNosymfollow, Since: "1.1.0", Needs: []Need{needKernel(5, 10)},
		Clause: should("config.md", "configLinuxMountOptions", "nosymfollow | SHOULD |")},
	{Name: "mounts/tmpfs/size-and-mode", Run: tmpfsOptions,
		Clause: should("config.md", "configLinuxMountOptions", "Runtimes SHOULD treat unknown options as filesystem-specific ones) and pass those as a comma-separated string to the fifth (const void *data) argument of mount(2)")},
	{Name: "mounts/tmpfs/ro", Run: tmpfsReadonly,
		Clause: must("config.md", "configLinuxMountOptions", "ro | MUST |")},
	{Name: "mounts/option-unknown-refused-by-filesystem", Run: mountOptionUnknown,
		Clause: must("runtime.md", "runtimeCreate", "If the runtime cannot apply a property as specified in the configuration, it MUST generate an error and a new container MUST NOT be created")},
	{Name: "mounts/remount", Run: mountRemount,
		Clause: must("config.md", "configLinuxMountOptions", "remount | MUST |")},
	{Name: "mounts/proc", Run: func(t *T) { mountedType(t, "/proc", "proc") },
		Clause: must("config.md", "configPOSIXMounts", "Linux: filesystem types supported by the kernel as listed in /proc/filesystems")},
	{Name: "mounts/devpts", Run: func(t *T) { mountedType(t, "/dev/pts", "devpts") },
		Clause: must("config.md", "configPOSIXMounts", "Linux: filesystem types supported by the kernel as listed in /proc/filesystems")},
	{Name: "mounts/mqueue", Run: mountMqueue, Needs: []Need{needFilesystem("mqueue")},
		Clause: must("config.md", "configPOSIXMounts", "Linux: filesystem types supported by the kernel as listed in /proc/filesystems")},
	{Name: "mounts/sysfs", Run: mountSysfs,
		Clause: must("config.md", "configPOSIXMounts", "Linux: filesystem types supported by the kernel as listed in /proc/filesystems")},
	{Name: "mounts/recursive-option/rro", Run: recursiveReadonly, Since: "1.1.0", Needs: []Need{needKernel(5, 12)},
		Clause: should("config.md", "configLinuxMountOptions", "rro | SHOULD | Recursive ro")},
	{Name: "mounts/recursive-option/flags", Run: recursiveFlags, Since: "1.1.0", Needs: []Need{needKernel(5, 12)},
		Clause: should("config.md", "configLinuxMountOptions", "rnoexec | SHOULD | Recursive noexec")},
	{Name: "mounts/idmap/maps-owner", Run: idmapMaps, Since: "1.1.0", Needs: []Need{needKernel(5, 12)},
		Clause: should("config.md", "configLinuxMountOptions", "idmap | SHOULD | Indicates that the mount MUST have an idmapping applied")},
	{Name: "mounts/idmap/without-mapping", Run: idmapWithoutMapping, Since: "1.1.0", Needs: []Need{needKernel(5, 12)},
		Clause: must("config.md", "configLinuxMountOptions", "If there are no uidMappings and gidMappings specified and the container isn't using user namespaces, an error MUST be returned")},
	{Name: "mounts/idmap/uid-mappings-alone", Run: idmapHalf, Since: "1.1.0", Strict: true,
		Clause: must("config.md", "configPOSIXMounts", "If specified, it MUST be specified along with gidMappings")},
	{Name: "mounts/default-filesystems", Run: defaultFilesystems,
		Clause: should("config-linux.md", "configLinuxDefaultFilesystems", "The following filesystems SHOULD be made available in each container's filesystem")},
}, perPropagation(), perOption())

// volume makes a directory outside the root filesystem, with one file.
func (t *T) volume() string {
	dir := t.path(fmt.Sprintf("volume-%d", len(t.cleanups)))
	t.Must(os.Mkdir(dir, 0o755), "make a volume")
	t.Must(os.WriteFile(filepath.Join(dir, "file"), []byte("from the volume"), 0o666), "fill the volume")
	t.Cleanup(func() {})
	return dir
}

// withMount adds a mount to the configuration.
func withMount(config *specs.Spec, kind, source, destination string, options ...string) *specs.Spec {
	config.Mounts = append(config.Mounts, specs.Mount{Type: kind, Source: source, Destination: destination, Options: options})
	return config
}

// mountedAt runs a container and returns the mount that its program sees at a point.
func (t *T) mountedAt(config *specs.Spec, point string) probe.Mount {
	mount, found := t.Facts(config).MountAt(point)
	if !found {
		t.Fatalf("nothing is mounted at %s in the container", point)
	}
	return mount
}

func mountOrder(t *T) {
	config := withMount(t.Config(reading("/mnt/volume/file")), "tmpfs", "tmpfs", "/mnt")
	withMount(config, "none", t.volume(), "/mnt/volume", "bind")
	got := t.Find(t.Life(config), "read", "/mnt/volume/file")
	Equal(t, "the file in the inner mount", got.Text+got.Errno, "from the volume")

	reversed := withMount(t.Config(reading("/mnt/volume/file")), "none", t.volume(), "/mnt/volume", "bind")
	withMount(reversed, "tmpfs", "tmpfs", "/mnt")
	got = t.Find(t.Life(reversed), "read", "/mnt/volume/file")
	Equal(t, "the file in an inner mount that a later one hides", got.Outcome(), "ENOENT")
}

func mountSameDestination(t *T) {
	config := withMount(t.Config(facts(), reading("/mnt/file")), "tmpfs", "tmpfs", "/mnt")
	withMount(config, "none", t.volume(), "/mnt", "bind")
	got := t.Find(t.Life(config), "read", "/mnt/file")
	Equal(t, "the file in the later mount", got.Text+got.Errno, "from the volume")
}

func mountCreatesDirectory(t *T) {
	config := withMount(t.Config(facts(), creating("/made/for/this/file")), "tmpfs", "tmpfs", "/made/for/this")
	Equal(t, "writing to the mount", t.Find(t.Life(config), "create", "").Outcome(), "ok")
}

func mountCreatesFile(t *T) {
	source := filepath.Join(t.volume(), "file")
	config := withMount(t.Config(reading("/made/file")), "none", source, "/made/file", "bind")
	Equal(t, "the bound file", t.Find(t.Life(config), "read", "/made/file").Text, "from the volume")
}

func mountRelative(t *T) {
	config := withMount(t.Config(facts()), "tmpfs", "tmpfs", "mnt/relative")
	Equal(t, "the type at /mnt/relative", t.mountedAt(config, "/mnt/relative").Type, "tmpfs")
}

func mountRelativeSource(t *T) {
	c := t.Container(withMount(t.Config(reading("/mnt/file")), "none", "data", "/mnt", "bind"))
	t.Must(os.Mkdir(filepath.Join(c.Bundle, "data"), 0o755), "make a directory in the bundle")
	t.Must(os.WriteFile(filepath.Join(c.Bundle, "data", "file"), []byte("of the bundle"), 0o644), "make a file in the bundle")
	got := t.Find(c.Life(), "read", "/mnt/file")
	Equal(t, "the file", got.Text+got.Errno, "of the bundle")
}

func mountSourceMissing(t *T) {
	t.Refused(withMount(t.Config(), "none", t.path("missing"), "/mnt", "bind"), "a bind mount of a source that does not exist")
}

func mountTypeUnknown(t *T) {
	t.Refused(withMount(t.Config(), "no-such-filesystem", "none", "/mnt"), "a filesystem that the kernel does not know")
}

func mountDestinationAbsent(t *T) {
	t.Refused(withMount(t.Config(), "tmpfs", "tmpfs", ""), "a mount without destination")
}

// mountSymlinkInside has a link to an absolute path in the root filesystem,
// which must be understood as the container sees it, not as the host does.
func mountSymlinkInside(t *T) {
	outside := t.volume()
	c := t.Container(withMount(t.Config(facts(), creating(outside+"/new")), "tmpfs", "tmpfs", "/link"))
	t.Must(os.Symlink(outside, c.Host("/link")), "make a symbolic link")
	if err := c.Create(); err != nil {
		return // refusing such a link is one way to stay inside
	}
	c.MustStart()
	c.Wait()
	mount, found := c.Facts().MountAt(outside)
	if !found || mount.Type != "tmpfs" {
		t.Errorf("no tmpfs at %s inside the container", outside)
	}
	entries, err := os.ReadDir(outside)
	t.Must(err, "list the directory outside")
	Equal(t, "the number of files in the directory outside", len(entries), 1)
}

func bindDirectory(t *T) {
	config := withMount(t.Config(reading("/mnt/file"), creating("/mnt/new")), "none", t.volume(), "/mnt", "bind")
	results := t.Life(config)
	Equal(t, "the file of the volume", t.Find(results, "read", "").Text, "from the volume")
	source := config.Mounts[len(config.Mounts)-1].Source
	if _, err := os.Stat(filepath.Join(source, "new")); err != nil {
		t.Errorf("what the program wrote did not reach the volume: %v", err)
	}
}

func bindFile(t *T) {
	c := t.Container(withMount(t.Config(reading("/etc/bound"), writing("/etc/bound", "FROM")), "none", filepath.Join(t.volume(), "file"), "/etc/bound", "bind"))
	t.Must(os.WriteFile(c.Host("/etc/bound"), []byte("of the root filesystem"), 0o644), "make a file")
	Equal(t, "the bound file", t.Find(c.Life(), "read", "").Text, "from the volume")
	Equal(t, "the file beneath", string(readAll(c.Host("/etc/bound"))), "of the root filesystem")
}

func bindTypeDummy(t *T) {
	config := withMount(t.Config(reading("/mnt/file")), "no-such-filesystem", t.volume(), "/mnt", "bind")
	Equal(t, "the file of the volume", t.Find(t.Life(config), "read", "").Text, "from the volume")
}

// nested makes a mount namespace in which dir/sub is a tmpfs with a file, and
// returns the files for a runtime to enter it.
func (t *T) nested(dir string) []string {
	t.Must(os.Mkdir(filepath.Join(dir, "sub"), 0o755), "make a directory")
	holder := t.HoldAfter([]probe.Op{
		{Do: "mount", Path: filepath.Join(dir, "sub"), Args: []string{"tmpfs", "tmpfs"}},
		creating(filepath.Join(dir, "sub", "inner")),
	}, "mount")
	return []string{holder.Path("mount")}
}

func bindRecursion(t *T, option string, recursive bool) {
	dir := t.volume()
	enter := t.nested(dir)
	c := t.Container(withMount(t.Config(statOf("/mnt/file"), statOf("/mnt/sub/inner")), "none", dir, "/mnt", option))
	c.Enter = enter
	results := c.Life()
	Equal(t, "looking at the outer file", t.Find(results, "stat", "/mnt/file").Outcome(), "ok")
	want := "ENOENT"
	if recursive {
		want = "ok"
	}
	Equal(t, "looking at the file of the inner mount", t.Find(results, "stat", "/mnt/sub/inner").Outcome(), want)
}

func bindReadonly(t *T) {
	dir := t.volume()
	results := t.Life(withMount(t.Config(creating("/mnt/new"), writing("/mnt/file", "x"), doing("remove", "/mnt/file"), reading("/mnt/file")), "none", dir, "/mnt", "bind", "ro"))
	for _, do := range []string{"create", "write", "remove"} {
		Equal(t, "the answer to "+do, t.Find(results, do, "").Outcome(), "EROFS")
	}
	Equal(t, "the file", t.Find(results, "read", "").Text, "from the volume")
}

func bindWritable(t *T) {
	results := t.Life(withMount(t.Config(creating("/mnt/new")), "none", t.volume(), "/mnt", "bind", "rw"))
	Equal(t, "the answer to create", t.Find(results, "create", "").Outcome(), "ok")
}

func bindSourceUnchanged(t *T) {
	dir := t.volume()
	t.Life(withMount(t.Config(facts()), "none", dir, "/mnt", "bind", "ro", "noexec"))
	if err := os.WriteFile(filepath.Join(dir, "later"), nil, 0o644); err != nil {
		t.Errorf("the source on the host became read-only: %v", err)
	}
}

func bindNoexec(t *T) {
	dir := t.volume()
	t.Must(os.Link(t.options.Probe, filepath.Join(dir, "program")), "make a program")
	run := probe.Op{Do: "exec", Path: "/mnt/program", Args: probe.Args(probe.Op{Do: "label", Data: "ran"})}
	free := t.Find(t.Life(withMount(t.Config(run), "none", dir, "/mnt", "bind")), "exec", "")
	Equal(t, "executing from a mount without noexec", free.Outcome(), "ok")
	bound := t.Find(t.Life(withMount(t.Config(run), "none", dir, "/mnt", "bind", "noexec")), "exec", "")
	Equal(t, "executing from a mount with noexec", bound.Outcome(), "EACCES")
}

func bindNodev(t *T) {
	dir := t.volume()
	t.Must(unix.Mknod(filepath.Join(dir, "null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))), "make a device")
	t.Must(os.Chmod(filepath.Join(dir, "null"), 0o666), "open the device to all")
	got := t.Find(t.Life(withMount(t.Config(doing("openw", "/mnt/null")), "none", dir, "/mnt", "bind", "nodev")), "openw", "")
	Equal(t, "opening a device on a mount with nodev", got.Outcome(), "EACCES")
}

func bindNosymfollow(t *T) {
	dir := t.volume()
	t.Must(os.Symlink("file", filepath.Join(dir, "link")), "make a link")
	config := withMount(t.Config(reading("/mnt/link")), "none", dir, "/mnt", "bind", "nosymfollow")
	config.Version = "1.1.0"
	Equal(t, "following a link on a mount with nosymfollow", t.Find(t.Life(config), "read", "").Outcome(), "ELOOP")
}

func tmpfsOptions(t *T) {
	config := withMount(t.Config(facts(), statOf("/mnt")), "tmpfs", "tmpfs", "/mnt", "size=1024k", "mode=0710", "nosuid")
	c := t.Container(config)
	results := c.Life()
	mount, _ := c.Facts().MountAt("/mnt")
	if !mount.Has("size=1024k") || !mount.Has("nosuid") {
		t.Errorf("the tmpfs has the options %v %v, want size=1024k and nosuid", mount.Options, mount.SuperOptions)
	}
	if got := t.Find(results, "stat", "/mnt"); got.Stat == nil || got.Stat.Mode != 0o710 {
		t.Errorf("the tmpfs has the mode %s, want 0710", describe(got))
	}
}

func describe(result probe.Result) string {
	if result.Stat == nil {
		return result.Outcome()
	}
	s := result.Stat
	return fmt.Sprintf("%s %#o %d:%d %d,%d", s.Type, s.Mode, s.UID, s.GID, s.Major, s.Minor)
}

func tmpfsReadonly(t *T) {
	got := t.Find(t.Life(withMount(t.Config(creating("/mnt/new")), "tmpfs", "tmpfs", "/mnt", "ro")), "create", "")
	Equal(t, "writing to a read-only tmpfs", got.Outcome(), "EROFS")
}

func mountOptionUnknown(t *T) {
	t.Refused(withMount(t.Config(), "tmpfs", "tmpfs", "/mnt", "no-such-option=1"), "a tmpfs option that the kernel refuses")
}

func mountRemount(t *T) {
	config := withMount(t.Config(facts(), creating("/mnt/new")), "tmpfs", "tmpfs", "/mnt", "rw")
	withMount(config, "tmpfs", "tmpfs", "/mnt", "remount", "ro")
	got := t.Find(t.Life(config), "create", "")
	Equal(t, "writing to a tmpfs that was remounted read-only", got.Outcome(), "EROFS")
}

func mountedType(t *T, point, kind string) {
	Equal(t, "the filesystem at "+point, t.mountedAt(t.Config(facts()), point).Type, kind)
}

func mountMqueue(t *T) {
	config := withMount(t.Config(facts()), "mqueue", "mqueue", "/dev/mqueue", "nosuid", "noexec", "nodev")
	Equal(t, "the filesystem at /dev/mqueue", t.mountedAt(config, "/dev/mqueue").Type, "mqueue")
}

func mountSysfs(t *T) {
	config := withMount(t.Config(facts()), "sysfs", "sysfs", "/sys", "nosuid", "noexec", "nodev", "ro")
	mount := t.mountedAt(config, "/sys")
	Equal(t, "the filesystem at /sys", mount.Type, "sysfs")
	if !mount.Has("ro") {
		t.Errorf("/sys has the options %v, want ro", mount.Options)
	}
}

func recursiveReadonly(t *T) {
	dir := t.volume()
	enter := t.nested(dir)
	config := withMount(t.Config(creating("/mnt/new"), creating("/mnt/sub/new")), "none", dir, "/mnt", "rbind", "rro")
	config.Version = "1.1.0"
	c := t.Container(config)
	c.Enter = enter
	results := c.Life()
	Equal(t, "writing to the outer mount", t.Find(results, "create", "/mnt/new").Outcome(), "EROFS")
	Equal(t, "writing to the inner mount", t.Find(results, "create", "/mnt/sub/new").Outcome(), "EROFS")
}

func recursiveFlags(t *T) {
	dir := t.volume()
	enter := t.nested(dir)
	options := []string{"rnoexec", "rnosuid", "rnodev", "rnoatime", "rnodiratime"}
	config := withMount(t.Config(facts()), "none", dir, "/mnt", append([]string{"rbind"}, options...)...)
	config.Version = "1.1.0"
	c := t.Container(config)
	c.Enter = enter
	c.Life()
	for _, point := range []string{"/mnt", "/mnt/sub"} {
		mount, found := c.Facts().MountAt(point)
		for _, option := range options {
			if !found || !mount.Has(strings.TrimPrefix(option, "r")) {
				t.Errorf("%s is not set at %s: %v", option, point, mount.Options)
			}
		}
	}
}

var idmapping = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 5000, Size: 1000}}

func idmapMaps(t *T) {
	dir := t.volume()
	config := withMount(t.Config(statOf("/mnt/file")), "none", dir, "/mnt", "bind", "idmap")
	config.Version = "1.1.0"
	mount := &config.Mounts[len(config.Mounts)-1]
	mount.UIDMappings, mount.GIDMappings = idmapping, idmapping
	got := t.Find(t.Life(config), "stat", "/mnt/file")
	if got.Stat == nil || got.Stat.UID != 5000 || got.Stat.GID != 5000 {
		t.Errorf("the file owned by 0:0 appears as %s, want 5000:5000", describe(got))
	}
}

func idmapWithoutMapping(t *T) {
	config := withMount(t.Config(), "none", t.volume(), "/mnt", "bind", "idmap")
	config.Version = "1.1.0"
	t.Refused(config, "the option idmap without any mapping")
}

func idmapHalf(t *T) {
	config := withMount(t.Config(), "none", t.volume(), "/mnt", "bind", "idmap")
	config.Version = "1.1.0"
	config.Mounts[len(config.Mounts)-1].UIDMappings = idmapping
	t.Refused(config, "uidMappings of a mount without gidMappings")
}

func defaultFilesystems(t *T) {
	config := withMount(t.Config(facts()), "sysfs", "sysfs", "/sys", "nosuid", "noexec", "nodev", "ro")
	got := t.Facts(config)
	for point, kind := range map[string]string{"/proc": "proc", "/sys": "sysfs", "/dev/pts": "devpts", "/dev/shm": "tmpfs"} {
		mount, found := got.MountAt(point)
		if !found || mount.Type != kind {
			t.Errorf("%s is of type %q, want %s", point, mount.Type, kind)
		}
	}
}

// perPropagation makes a check for each propagation option.
func perPropagation() []Check {
	var checks []Check
	for option, want := range map[string]string{
		"private": "", "rprivate": "", "shared": "shared:", "rshared": "shared:", "slave": "", "rslave": "", "unbindable": "unbindable", "runbindable": "unbindable",
	} {
		text := option + " | MUST | Bind mount propagation"
		if option == "shared" {
			text = "shared | MUST |"
		}
		checks = append(checks, Check{
			Name:   "mounts/propagation/" + option,
			Clause: must("config.md", "configLinuxMountOptions", text),
			Run:    func(t *T) { mountPropagation(t, option, want) },
		})
	}
	slices.SortFunc(checks, func(a, b Check) int { return strings.Compare(a.Name, b.Name) })
	return checks
}

func mountPropagation(t *T, option, want string) {
	bind := "bind"
	if strings.HasPrefix(option, "r") {
		bind = "rbind"
	}
	mount := t.mountedAt(withMount(t.Config(facts()), "none", t.volume(), "/mnt", bind, option), "/mnt")
	fields := strings.Join(mount.Optional, " ")
	switch {
	case want == "" && (contains(fields, "shared:") || contains(fields, "unbindable")):
		t.Errorf("the mount's propagation is %q, want none towards others", fields)
	case want != "" && !contains(fields, want):
		t.Errorf("the mount's propagation is %q, want %s", fields, want)
	}
}

// mountOption is an option whose effect shows in mountinfo.
type mountOption struct {
	name   string
	before []string // options listed ahead of it
	shown  string   // present in mountinfo
	hidden string   // absent from mountinfo
}

// perOption makes a check for each option that mount(8) defines for all filesystems.
func perOption() []Check {
	table := []mountOption{
		{name: "async", before: []string{"sync"}, hidden: "sync"},
		{name: "atime", before: []string{"noatime"}, hidden: "noatime"},
		{name: "defaults", shown: "rw"},
		{name: "dev", before: []string{"nodev"}, hidden: "nodev"},
		{name: "diratime", before: []string{"nodiratime"}, hidden: "nodiratime"},
		{name: "dirsync", shown: "dirsync"},
		{name: "exec", before: []string{"noexec"}, hidden: "noexec"},
		{name: "iversion", shown: "rw"},
		{name: "lazytime", shown: "lazytime"},
		{name: "loud", before: []string{"silent"}, shown: "rw"},
		{name: "noatime", shown: "noatime"},
		{name: "nodev", shown: "nodev"},
		{name: "nodiratime", shown: "nodiratime"},
		{name: "noexec", shown: "noexec"},
		{name: "noiversion", shown: "rw"},
		{name: "nolazytime", before: []string{"lazytime"}, hidden: "lazytime"},
		{name: "norelatime", shown: "rw"},
		{name: "nostrictatime", before: []string{"strictatime"}, shown: "relatime"},
		{name: "nosuid", shown: "nosuid"},
		{name: "relatime", shown: "relatime"},
		{name: "ro", shown: "ro"},
		{name: "rw", before: []string{"ro"}, hidden: "ro"},
		{name: "silent", shown: "rw"},
		{name: "strictatime", hidden: "relatime"},
		{name: "suid", before: []string{"nosuid"}, hidden: "nosuid"},
		{name: "sync", shown: "sync"},
	}
	var checks []Check
	for _, option := range table {
		checks = append(checks, Check{
			Name:   "mounts/option/" + option.name,
			Strict: option.before != nil, // that the last of two contrary options counts is mount(8)'s rule
			Clause: must("config.md", "configLinuxMountOptions", option.name+" | MUST |"),
			Run:    func(t *T) { mountOptionShown(t, option) },
		})
	}
	return checks
}

func mountOptionShown(t *T, option mountOption) {
	options := append(slices.Clone(option.before), option.name)
	mount := t.mountedAt(withMount(t.Config(facts()), "tmpfs", "tmpfs", "/mnt", options...), "/mnt")
	if option.shown != "" && !mount.Has(option.shown) {
		t.Errorf("a tmpfs with the options %v shows %v %v, without %s", options, mount.Options, mount.SuperOptions, option.shown)
	}
	if option.hidden != "" && mount.Has(option.hidden) {
		t.Errorf("a tmpfs with the options %v shows %v %v, with %s", options, mount.Options, mount.SuperOptions, option.hidden)
	}
	if slices.Contains(mount.SuperOptions, option.name) && strings.HasPrefix(option.name, "no") {
		t.Errorf("the option %s was handed to the filesystem", option.name)
	}
}
