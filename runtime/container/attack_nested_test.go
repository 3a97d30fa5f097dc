package container

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// TestAttack32MasksInANestedUserNamespace: a process of the container makes a user namespace, in which it has every capability, and a mount
// namespace below it, and tries to uncover what is masked and to write what is read-only. The kernel keeps such mounts together
// (mount_namespaces(7), "locked together") if they were there before. The same attempts by CAP_SYS_ADMIN of the
// container itself, whose mounts they are, do succeed: the attempts are real.
func TestAttack32MasksInANestedUserNamespace(t *testing.T) {
	userNamespaces(t)
	worlds(t, func(t *testing.T, s *scene) {
		guarded := func(admin bool, args ...string) string {
			dir, root := s.bundle(func(c *specs.Spec) {
				for _, writable := range []string{"/tmp", "/guarded"} {
					c.Mounts = append(c.Mounts, specs.Mount{Destination: writable, Source: "tmpfs", Type: "tmpfs"})
				}
				c.Linux.MaskedPaths = append(c.Linux.MaskedPaths, "/secret", "/secrets")
				c.Linux.ReadonlyPaths = append(c.Linux.ReadonlyPaths, "/guarded")
				if args[0] == "nested" {
					c.Process.User = specs.User{UID: 1000, GID: 1000} // to map root again takes CAP_SETFCAP
				}
				for _, set := range []*[]string{&c.Process.Capabilities.Bounding, &c.Process.Capabilities.Permitted, &c.Process.Capabilities.Effective} {
					if admin {
						*set = append(*set, "CAP_SYS_ADMIN")
					}
				}
			}, args...)
			s.must(os.WriteFile(filepath.Join(root, "secret"), []byte("bait"), 0644))
			s.must(os.Mkdir(filepath.Join(root, "secrets"), 0755))
			s.must(os.WriteFile(filepath.Join(root, "secrets/one"), []byte("bait"), 0644))
			out, status, err := s.run(dir)
			if err != nil || status != 0 || !strings.Contains(out, "tried it all") {
				t.Fatalf("%v: exit %d, %v: %s", args, status, err, out)
			}
			return out
		}
		if out := guarded(true, "uncover"); !strings.Contains(out, "reached /secret ") || !strings.Contains(out, "reached /secrets/one ") ||
			!strings.Contains(out, "reached /guarded/new ") {
			t.Errorf("even the owner of the mounts cannot uncover them, so this test proves nothing:\n%s", out)
		}
		for _, admin := range []bool{false, true} {
			if out := guarded(admin, "nested", "uncover"); strings.Contains(out, "reached") {
				t.Errorf("with CAP_SYS_ADMIN outside: %t\n%s", admin, out)
			}
		}
	})
}

// userNamespaces skips, counted, where none can be made.
func userNamespaces(t *testing.T) {
	t.Helper()
	for _, limit := range []string{"/proc/sys/kernel/unprivileged_userns_clone", "/proc/sys/user/max_user_namespaces"} {
		if b, err := os.ReadFile(limit); err == nil && strings.TrimSpace(string(b)) == "0" {
			t.Skipf("%s is 0: ordinary users may make no user namespaces here", limit)
		}
	}
}

// attackerNested are the verbs of a hostile program that concern namespaces of its own.
func attackerNested(args []string) int {
	switch args[0] {
	case "nested":
		return nested(args[1:])
	case "uncover":
		uncover()
	default:
		return attackerMapped(args)
	}
	return 0
}

// nested runs a verb as root of a user namespace of its own, with mounts and pids of its own.
func nested(args []string) int {
	own := func(id int) []syscall.SysProcIDMap {
		return []syscall.SysProcIDMap{{ContainerID: 0, HostID: id, Size: 1}}
	}
	cmd := exec.Command("/probe", args...)
	cmd.Args[0] = "probe"
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID,
		UidMappings: own(os.Getuid()), GidMappings: own(os.Getgid())}
	if err := cmd.Run(); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// Paths of the uncover verb: what is protected, and where it tries to see the same without its protection.
const (
	elsewhere = "/tmp/elsewhere"
	layers    = "/tmp/layers"
)

// uncover tries every way past masks and read-only mounts and says after each what it has reached.
func uncover() {
	for _, dir := range []string{elsewhere, layers, layers + "/upper", layers + "/work"} {
		if err := os.Mkdir(dir, 0755); err != nil {
			fmt.Println(err)
			return
		}
	}
	const rebind = syscall.MS_BIND | syscall.MS_REMOUNT
	for _, p := range []string{"/secret", "/secrets", "/guarded", "/"} {
		try("unmount "+p, func() error { return syscall.Unmount(p, 0) })
		try("detach "+p, func() error { return syscall.Unmount(p, syscall.MNT_DETACH) })
		try("remount "+p, func() error { return syscall.Mount("", p, "", rebind, "") })
		try("make writable "+p, func() error { return clearReadonly(p) })
		try("move "+p, func() error { return syscall.Mount(p, elsewhere, "", syscall.MS_MOVE, "") })
	}
	try("bind / without what covers it", func() error { return syscall.Mount("/", elsewhere, "", syscall.MS_BIND, "") })
	try("clone / without what covers it", func() error { return cloneTree("/", elsewhere) })
	try("bind / and unmount there", func() error {
		if err := syscall.Mount("/", elsewhere, "", syscall.MS_BIND|syscall.MS_REC, ""); err != nil {
			return err
		}
		syscall.Unmount(elsewhere+"/guarded", syscall.MNT_DETACH)
		syscall.Unmount(elsewhere+"/secrets", syscall.MNT_DETACH)
		return syscall.Unmount(elsewhere+"/secret", syscall.MNT_DETACH)
	})
	try("lay / below", func() error {
		return syscall.Mount("overlay", elsewhere, "overlay", 0, "lowerdir=/,upperdir="+layers+"/upper,workdir="+layers+"/work")
	})
	try("another proc", func() error { return syscall.Mount("proc", elsewhere, "proc", 0, "") })
	fmt.Println("tried it all")
}

// try makes one attempt and looks what has become visible.
func try(what string, attempt func() error) {
	err := attempt()
	fmt.Println(what, err)
	bases := []string{""}
	if mounted(elsewhere) {
		bases = append(bases, elsewhere)
	}
	for _, base := range bases {
		for _, name := range []string{"/secret", "/secrets/one"} {
			if b, _ := os.ReadFile(base + name); string(b) == "bait" {
				fmt.Println("reached", name, "after:", what)
			}
		}
		for _, name := range []string{"/guarded/new", "/new"} {
			if os.WriteFile(base+name, nil, 0600) == nil {
				fmt.Println("reached", name, "after:", what)
			}
		}
	}
	if b, _ := os.ReadDir(elsewhere + "/1"); len(b) > 0 {
		fmt.Println("reached a proc without masks after:", what)
	}
	syscall.Unmount(elsewhere, syscall.MNT_DETACH)
}

// mounted says that another file system than its parent's is in sight at a path.
func mounted(name string) bool {
	var here, above syscall.Stat_t
	return syscall.Stat(name, &here) == nil && syscall.Stat(filepath.Dir(name), &above) == nil && here.Dev != above.Dev
}

// Calls that package syscall has no names for; they have the same numbers everywhere.
const (
	sysOpenTree     = 428
	sysMoveMount    = 429
	sysMountSetattr = 442
)

// clearReadonly is mount_setattr(2) without MOUNT_ATTR_RDONLY.
func clearReadonly(name string) error {
	p, err := syscall.BytePtrFromString(name)
	if err != nil {
		return err
	}
	const atCWD, readonly = ^uintptr(99), 1
	attr := [4]uint64{0, readonly, 0, 0}
	if _, _, e := syscall.Syscall6(sysMountSetattr, atCWD, uintptr(unsafe.Pointer(p)), 0, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr), 0); e != 0 {
		return e
	}
	return nil
}

// cloneTree is a bind of one mount alone by open_tree(2) and move_mount(2).
func cloneTree(from, to string) error {
	p, err := syscall.BytePtrFromString(from)
	if err != nil {
		return err
	}
	q, err := syscall.BytePtrFromString(to)
	if err != nil {
		return err
	}
	const atCWD, clone, fromEmpty = ^uintptr(99), 1, 4
	tree, _, e := syscall.Syscall(sysOpenTree, atCWD, uintptr(unsafe.Pointer(p)), clone)
	if e != 0 {
		return e
	}
	defer syscall.Close(int(tree))
	empty := []byte{0}
	if _, _, e := syscall.Syscall6(sysMoveMount, tree, uintptr(unsafe.Pointer(&empty[0])), atCWD, uintptr(unsafe.Pointer(q)), fromEmpty, 0); e != 0 {
		return e
	}
	return nil
}
