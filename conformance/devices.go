package conformance

import (
	"fmt"
	"os"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-oci/berth/conformance/probe"
)

const devicesSection = "configLinuxDevices"

// config-linux.md: devices, default devices; runtime-linux.md: links in /dev.
var deviceChecks = slices.Concat(perDefaultDevice(), []Check{
	{Name: "devices/default/ptmx", Run: devicePtmx,
		Clause: must("config-linux.md", "configLinuxDefaultDevices", "A bind-mount or symlink of the container's /dev/pts/ptmx")},
	{Name: "devices/default/console-absent-without-terminal", Run: deviceNoConsole,
		Clause: should("config-linux.md", "configLinuxDefaultDevices", "/dev/console is set up if terminal is enabled in the config")},
	{Name: "devices/links/fd", Run: func(t *T) { deviceLink(t, "/dev/fd", "/proc/self/fd") }, Clause: linkClause},
	{Name: "devices/links/stdin", Run: func(t *T) { deviceLink(t, "/dev/stdin", "/proc/self/fd/0") }, Clause: linkClause},
	{Name: "devices/links/stdout", Run: func(t *T) { deviceLink(t, "/dev/stdout", "/proc/self/fd/1") }, Clause: linkClause},
	{Name: "devices/links/stderr", Run: func(t *T) { deviceLink(t, "/dev/stderr", "/proc/self/fd/2") }, Clause: linkClause},
	{Name: "devices/given/character", Run: func(t *T) { deviceGiven(t, "/dev/given", "c", 1, 3) }, Needs: needMknod,
		Clause: must("config-linux.md", devicesSection, "devices (array of objects, OPTIONAL) lists devices that MUST be available in the container")},
	{Name: "devices/given/block", Run: func(t *T) { deviceGiven(t, "/dev/given", "b", 7, 200) }, Needs: needMknod,
		Clause: must("config-linux.md", devicesSection, "devices (array of objects, OPTIONAL) lists devices that MUST be available in the container")},
	{Name: "devices/given/unbuffered-character", Run: func(t *T) { deviceGiven(t, "/dev/given", "u", 1, 5) }, Needs: needMknod,
		Clause: must("config-linux.md", devicesSection, "type (string, REQUIRED) - type of device: c, b, u or p")},
	{Name: "devices/given/fifo", Run: func(t *T) { deviceGiven(t, "/dev/given", "p", 0, 0) },
		Clause: must("config-linux.md", devicesSection, "type (string, REQUIRED) - type of device: c, b, u or p")},
	{Name: "devices/given/in-new-directory", Run: func(t *T) { deviceGiven(t, "/dev/deep/er/given", "c", 1, 3) }, Needs: needMknod,
		Clause: must("config-linux.md", devicesSection, "path (string, REQUIRED) - full path to device inside container")},
	{Name: "devices/given/outside-dev", Run: func(t *T) { deviceGiven(t, "/opt/given", "c", 1, 3) }, Needs: needMknod,
		Clause: must("config-linux.md", devicesSection, "The path MAY be anywhere in the container filesystem, notably outside of /dev")},
	{Name: "devices/given/mode-and-owner", Run: deviceModeOwner, Needs: needMknod,
		Clause: must("config-linux.md", devicesSection, "fileMode (uint32, OPTIONAL) - file mode for the device")},
	{Name: "devices/given/usable", Run: deviceUsable, Needs: needMknod,
		Clause: must("config-linux.md", devicesSection, "devices (array of objects, OPTIONAL) lists devices that MUST be available in the container")},
	{Name: "devices/given/unknown-type", Run: deviceUnknownType,
		Clause: must("config.md", "configuration", invalidValues)},
	{Name: "devices/existing/matching", Run: func(t *T) { deviceExisting(t, "/opt/there", 1, 3, true) }, Needs: needMknod,
		Clause: must("config-linux.md", devicesSection, "lists devices that MUST be available in the container")},
	{Name: "devices/existing/other-device", Run: func(t *T) { deviceExisting(t, "/opt/there", 1, 5, false) }, Needs: needMknod, Strict: true,
		Clause: must("config-linux.md", devicesSection, "If a file already exists at path that does not match the requested device, the runtime MUST generate an error")},
	{Name: "devices/existing/plain-file", Run: deviceExistingFile, Needs: needMknod, Strict: true,
		Clause: must("config-linux.md", devicesSection, "If a file already exists at path that does not match the requested device, the runtime MUST generate an error")},
	{Name: "devices/existing/plain-file-in-dev", Run: deviceExistingFileInDev, Needs: needMknod, Strict: true,
		Clause: must("config-linux.md", devicesSection, "If a file already exists at path that does not match the requested device, the runtime MUST generate an error")},
	{Name: "devices/existing/host-untouched", Run: deviceExistingSymlink, Needs: needMknod,
		Clause: must("config-linux.md", devicesSection, "path (string, REQUIRED) - full path to device inside container")},
})

var needMknod = []Need{needCapability("CAP_MKNOD", 27)}

var linkClause = must("runtime-linux.md", "runtimeLinuxDevSymbolicLinks", "runtimes MUST create the following symlinks if the source file exists after processing mounts")

// perDefaultDevice makes a check for each device that is always there.
func perDefaultDevice() []Check {
	var checks []Check
	for _, device := range []struct {
		name  string
		major uint32
		minor uint32
	}{{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}} {
		checks = append(checks, Check{
			Name:   "devices/default/" + device.name,
			Clause: must("config-linux.md", "configLinuxDefaultDevices", "In addition to any devices configured with this setting, the runtime MUST also supply"),
			Run:    func(t *T) { deviceDefault(t, "/dev/"+device.name, device.major, device.minor) },
		})
	}
	return checks
}

func deviceDefault(t *T, path string, major, minor uint32) {
	config := t.Config(statOf(path), doing("openrw", path))
	config.Process.User = specs.User{UID: 1000, GID: 1000}
	results := t.Life(config)
	got := t.Find(results, "stat", path)
	if got.Stat == nil || got.Stat.Type != "char" || got.Stat.Major != major || got.Stat.Minor != minor {
		t.Fatalf("%s is %s, want a character device %d,%d", path, describe(got), major, minor)
	}
	want := "ok"
	if path == "/dev/tty" {
		want = "ENXIO" // there is no controlling terminal, tty(4)
	}
	Equal(t, "opening "+path+" as a user", t.Find(results, "openrw", path).Outcome(), want)
}

func devicePtmx(t *T) {
	results := t.Life(t.Config(statOf("/dev/ptmx"), doing("openrw", "/dev/ptmx")))
	got := t.Find(results, "stat", "")
	isLink := got.Stat != nil && got.Stat.Type == "symlink" && (got.Stat.Target == "pts/ptmx" || got.Stat.Target == "/dev/pts/ptmx")
	isBound := got.Stat != nil && got.Stat.Type == "char" && got.Stat.Major == 5 && got.Stat.Minor == 2 && got.Stat.FS == unix.DEVPTS_SUPER_MAGIC
	if !isLink && !isBound {
		t.Errorf("/dev/ptmx is %s", describe(got))
	}
	Equal(t, "opening /dev/ptmx", t.Find(results, "openrw", "").Outcome(), "ok")
}

func deviceNoConsole(t *T) {
	got := t.Find(t.Life(t.Config(statOf("/dev/console"))), "stat", "")
	Equal(t, "looking at /dev/console without a terminal", got.Outcome(), "ENOENT")
}

func deviceLink(t *T, path, target string) {
	got := t.Find(t.Life(t.Config(statOf(path))), "stat", "")
	if got.Stat == nil || got.Stat.Type != "symlink" || got.Stat.Target != target {
		t.Errorf("%s is %s, want a symbolic link to %s", path, describe(got), target)
	}
}

func withDevice(config *specs.Spec, path, kind string, major, minor int64) *specs.Spec {
	mode := os.FileMode(0o666)
	config.Linux.Devices = append(config.Linux.Devices, specs.LinuxDevice{Path: path, Type: kind, Major: major, Minor: minor, FileMode: &mode})
	return config
}

func deviceGiven(t *T, path, kind string, major, minor uint32) {
	want := map[string]string{"c": "char", "u": "char", "b": "block", "p": "fifo"}[kind]
	got := t.Find(t.Life(withDevice(t.Config(statOf(path)), path, kind, int64(major), int64(minor))), "stat", "")
	if got.Stat == nil || got.Stat.Type != want || got.Stat.Major != major || got.Stat.Minor != minor {
		t.Errorf("%s is %s, want %s %d,%d", path, describe(got), want, major, minor)
	}
}

func deviceModeOwner(t *T) {
	config := withDevice(t.Config(statOf("/dev/given")), "/dev/given", "c", 1, 3)
	mode, uid, gid := os.FileMode(0o643), uint32(1234), uint32(2345)
	config.Linux.Devices[0].FileMode, config.Linux.Devices[0].UID, config.Linux.Devices[0].GID = &mode, &uid, &gid
	got := t.Find(t.Life(config), "stat", "")
	if got.Stat == nil || got.Stat.Mode != 0o643 || got.Stat.UID != 1234 || got.Stat.GID != 2345 {
		t.Errorf("the device is %s, want mode 0643 and owner 1234:2345", describe(got))
	}
}

func deviceUsable(t *T) {
	config := withDevice(t.Config(probe.Op{Do: "read", Path: "/dev/given", Nums: []uint64{8}}, writing("/dev/given", "x")), "/dev/given", "c", 1, 5)
	allow(config, "c", 1, 5, "rwm")
	results := t.Life(config)
	Equal(t, "what /dev/zero under another name reads as", t.Find(results, "read", "").Text, string(make([]byte, 8)))
	Equal(t, "writing to it", t.Find(results, "write", "").Outcome(), "ok")
}

// allow adds an entry to the list of allowed devices.
func allow(config *specs.Spec, kind string, major, minor int64, access string) {
	if config.Linux.Resources == nil {
		config.Linux.Resources = &specs.LinuxResources{}
	}
	config.Linux.Resources.Devices = append(config.Linux.Resources.Devices,
		specs.LinuxDeviceCgroup{Allow: true, Type: kind, Major: &major, Minor: &minor, Access: access})
}

func deviceUnknownType(t *T) {
	t.Refused(withDevice(t.Config(), "/dev/given", "x", 1, 3), "a device of the unknown type x")
}

func deviceExisting(t *T, path string, major, minor int64, fits bool) {
	c := t.Container(withDevice(t.Config(statOf(path)), path, "c", major, minor))
	t.Must(os.Mkdir(c.Host("/opt"), 0o755), "make a directory")
	t.Must(unix.Mknod(c.Host(path), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))), "make a device")
	err := c.Create()
	switch {
	case fits && err != nil:
		t.Errorf("create refused a device that exists already and matches: %v", err)
	case !fits && err == nil:
		t.Errorf("create accepted the device %d,%d at %s where 1,3 existed", major, minor, path)
	}
	info, statErr := os.Stat(c.Host(path))
	if statErr != nil || info.Mode()&os.ModeCharDevice == 0 {
		t.Errorf("the existing device was taken away: %v", statErr)
	}
}

func deviceExistingFile(t *T) {
	c := t.Container(withDevice(t.Config(), "/opt/there", "c", 1, 3))
	t.Must(os.Mkdir(c.Host("/opt"), 0o755), "make a directory")
	t.Must(os.WriteFile(c.Host("/opt/there"), []byte("text"), 0o644), "make a file")
	if c.Create() == nil {
		t.Errorf("create accepted a device where a plain file existed")
	}
	Equal(t, "the plain file", string(readAll(c.Host("/opt/there"))), "text")
}

func deviceExistingFileInDev(t *T) {
	config := withDevice(t.Config(), "/dev/there", "c", 1, 3)
	config.Mounts = []specs.Mount{config.Mounts[0]} // /dev is part of the root filesystem
	c := t.Container(config)
	t.Must(os.WriteFile(c.Host("/dev/there"), []byte("text"), 0o644), "make a file")
	if c.Create() == nil {
		t.Errorf("create accepted a device where a plain file existed in /dev")
	}
	Equal(t, "the plain file", string(readAll(c.Host("/dev/there"))), "text")
}

// deviceExistingSymlink has a link at the device's path that points out of
// the root filesystem as the host would resolve it.
func deviceExistingSymlink(t *T) {
	outside := t.volume()
	c := t.Container(withDevice(t.Config(), "/opt/dir/given", "c", 1, 3))
	t.Must(os.Mkdir(c.Host("/opt"), 0o755), "make a directory")
	t.Must(os.Symlink(outside, c.Host("/opt/dir")), "make a link")
	_ = c.Create() // to refuse is as good as to stay inside
	if _, err := os.Lstat(fmt.Sprintf("%s/given", outside)); err == nil {
		t.Errorf("the device was made on the host, through a symbolic link of the root filesystem")
	}
}
