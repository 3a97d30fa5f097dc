package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"unsafe"

	"github.com/berth-oci/berth/conformance/vm/wire"
)

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// leaveRootfs mounts the initial file system a second time, over itself. The kernel's first mount has no parent and so
// cannot be the old root of pivot_root(2); every container runtime needs it to be.
func leaveRootfs() error {
	const stage = "/.vm/root"
	if err := os.MkdirAll(stage, 0o755); err != nil {
		return err
	}
	if err := syscall.Mount("/", stage, "", syscall.MS_BIND, ""); err != nil {
		return fmt.Errorf("cannot bind the root directory: %w", err)
	}
	if err := os.Chdir(stage); err != nil {
		return err
	}
	if err := syscall.Mount(".", "/", "", syscall.MS_MOVE, ""); err != nil {
		return fmt.Errorf("cannot move the root mount: %w", err)
	}
	if err := syscall.Chroot("."); err != nil {
		return fmt.Errorf("cannot change the root directory: %w", err)
	}
	return os.Chdir("/")
}

type mount struct {
	source, target, fstype string
	flags                  uintptr
	data                   string
}

const hardened = syscall.MS_NOSUID | syscall.MS_NODEV | syscall.MS_NOEXEC

var mounts = []mount{
	{"proc", "/proc", "proc", hardened, ""},
	{"sysfs", "/sys", "sysfs", hardened, ""},
	{"devtmpfs", "/dev", "devtmpfs", syscall.MS_NOSUID, "mode=0755"},
	{"devpts", "/dev/pts", "devpts", syscall.MS_NOSUID | syscall.MS_NOEXEC, "gid=5,mode=0620,ptmxmode=0666"},
	{"tmpfs", "/dev/shm", "tmpfs", syscall.MS_NOSUID | syscall.MS_NODEV, "mode=1777"},
	{"mqueue", "/dev/mqueue", "mqueue", hardened, ""},
	{"tmpfs", "/run", "tmpfs", syscall.MS_NOSUID | syscall.MS_NODEV, "mode=0755"},
	{"tmpfs", "/tmp", "tmpfs", syscall.MS_NOSUID | syscall.MS_NODEV, "mode=1777"},
	{"securityfs", "/sys/kernel/security", "securityfs", hardened, ""},
	{"bpf", "/sys/fs/bpf", "bpf", hardened, "mode=0700"},
}

// furnish makes the machine one that programs recognise as Linux: what systemd or an installer would have done. It
// returns what failed, for the host to show: a job may do without.
func furnish(cfg wire.Config) (warnings []string) {
	note := func(err error) {
		if err != nil {
			warnings = append(warnings, err.Error())
		}
	}
	syscall.Umask(0o022)
	note(os.Chmod("/", 0o755)) // the kernel makes it 1777
	for _, m := range mounts {
		note(m.mount())
	}
	for _, module := range cfg.Modules {
		note(loadModule(module))
	}
	// Programs expect what systemd does at boot: mounts propagate unless asked otherwise (runc's tests rely on it).
	note(syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_SHARED, ""))
	note(syscall.Sethostname([]byte(cfg.Hostname)))
	note(loopbackUp())
	note(writeAccounts(cfg.Hostname))
	if cfg.Init == "" { // another init mounts them itself, as its kernel command line says
		note(mountCgroups(cfg.Cgroup))
	}
	note(installShell())
	return warnings
}

func (m mount) mount() error {
	_ = os.MkdirAll(m.target, 0o755)
	err := syscall.Mount(m.source, m.target, m.fstype, m.flags, m.data)
	if errors.Is(err, syscall.EBUSY) { // the kernel mounts devtmpfs by itself
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot mount %s on %s: %w", m.fstype, m.target, err)
	}
	return nil
}

func loadModule(path string) error {
	image, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	args := []byte{0}
	_, _, errno := syscall.Syscall(syscall.SYS_INIT_MODULE, uintptr(unsafe.Pointer(&image[0])), uintptr(len(image)), uintptr(unsafe.Pointer(&args[0])))
	if errno != 0 && errno != syscall.EEXIST {
		return fmt.Errorf("cannot load kernel module %s: %w", filepath.Base(path), errno)
	}
	return nil
}

// ifreq is netdevice(7)'s request of an interface's flags.
type ifreq struct {
	name  [syscall.IFNAMSIZ]byte
	flags uint16
	_     [22]byte
}

func loopbackUp() error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	if err != nil {
		return fmt.Errorf("cannot bring the loopback interface up: %w", err)
	}
	defer syscall.Close(fd)
	req := ifreq{flags: syscall.IFF_UP | syscall.IFF_RUNNING}
	copy(req.name[:], "lo")
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), syscall.SIOCSIFFLAGS, uintptr(unsafe.Pointer(&req))); errno != 0 {
		return fmt.Errorf("cannot bring the loopback interface up: %w", errno)
	}
	return nil
}

// writeAccounts gives the machine the files that nearly every program reads, unless the root directory brought them.
func writeAccounts(hostname string) error {
	files := map[string]string{
		"/etc/passwd":   "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n",
		"/etc/group":    "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n",
		"/etc/hosts":    "127.0.0.1 localhost " + hostname + "\n::1 localhost\n",
		"/etc/hostname": hostname + "\n",
	}
	for _, dir := range []string{"/etc", "/root", "/var/lib", "/usr/bin", "/usr/sbin", "/mnt"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if err := os.MkdirAll("/var/tmp", 0o777|os.ModeSticky); err != nil {
		return err
	}
	if err := os.Chmod("/var/tmp", 0o777|os.ModeSticky); err != nil {
		return err
	}
	for path, text := range files {
		if _, err := os.Lstat(path); err == nil {
			continue
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	for link, target := range map[string]string{
		"/etc/mtab": "/proc/self/mounts", "/dev/fd": "/proc/self/fd", "/dev/stdin": "fd/0", "/dev/stdout": "fd/1",
		"/dev/stderr": "fd/2", "/dev/core": "/proc/kcore", "/var/run": "../run",
	} {
		_ = os.Symlink(target, link)
	}
	return nil
}

// installShell links busybox's programs into the path, beside those that the root directory brought.
func installShell() error {
	if _, err := os.Lstat("/bin"); err != nil {
		if err := os.Symlink("usr/bin", "/bin"); err != nil {
			return err
		}
	}
	out, err := exec.Command("/usr/bin/busybox", "--list").Output()
	if err != nil {
		return fmt.Errorf("cannot list busybox's programs: %w", err)
	}
	for _, name := range strings.Fields(string(out)) {
		_ = os.Symlink("busybox", "/usr/bin/"+name) // what is there already stays
	}
	return nil
}
