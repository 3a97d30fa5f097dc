package container

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"syscall"

	"github.com/berth-oci/berth/runtime/internal/kernel"
	"github.com/berth-oci/berth/runtime/internal/launch"
	"github.com/berth-oci/berth/runtime/internal/plan"
	"github.com/berth-oci/berth/runtime/internal/program"
	"github.com/berth-oci/berth/runtime/internal/spec"
)

// mapIDs maps the ids of a mount that the new process has made but not attached (config.md, "idmap").
func (c *creation) mapIDs(m program.Message) error {
	mount := c.spec.Mounts[m.Index]
	fd, err := c.process.Take(m.Value)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	userns, err := c.userNamespace(mount.UIDMappings, mount.GIDMappings)
	if err != nil {
		return fmt.Errorf("mounts[%d]: cannot make its id mapping: %w", m.Index, err)
	}
	defer syscall.Close(userns)
	if err := kernel.MapIDs(fd, userns, mount.IDMapRecurse); err != nil {
		return fmt.Errorf("mounts[%d]: cannot map the ids of %q: %w\nhint: not every filesystem can be idmapped", m.Index, mount.Source, err)
	}
	return nil
}

// userNamespace makes a user namespace with mappings and no process: the one that carries it into the world ends at once.
func (c *creation) userNamespace(uids, gids []spec.IDMapping) (int, error) {
	p := &plan.Plan{ID: c.id, Host: c.host, Clone: []spec.Kind{spec.UserNS}, UIDs: uids, GIDs: gids,
		Pass: []plan.Pass{{Kind: plan.PassSync}}, Steps: []plan.Step{plan.Harden{}, plan.Barrier{Name: plan.BarrierReady}}}
	carrier, err := launch.Start(p, launch.Options{Stdio: Stdio{}.fds(), CgroupFD: -1, StartFD: -1, InitFD: -1})
	if err != nil {
		return -1, err
	}
	defer carrier.Close()
	defer carrier.Kill()
	if err := carrier.Serve(func(program.Message) error { return nil }); err != nil {
		return -1, err
	}
	return syscall.Open("/proc/"+strconv.Itoa(carrier.Pid)+"/ns/user", syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
}

// copyUp fills a tmpfs that is attached nowhere yet with what lies where it is going to be (runc's tmpcopyup).
func (c *creation) copyUp(m program.Message) error {
	to, err := c.process.Take(m.Value)
	if err != nil {
		return err
	}
	defer syscall.Close(to)
	from, err := c.process.Take(uint64(c.plan.Scratch()))
	if err != nil {
		return err
	}
	defer syscall.Close(from)
	source, err := os.OpenRoot("/proc/self/fd/" + strconv.Itoa(from))
	if err != nil {
		return fmt.Errorf("mounts[%d]: cannot copy up: %w", m.Index, err)
	}
	defer source.Close()
	target, err := os.OpenRoot("/proc/self/fd/" + strconv.Itoa(to))
	if err != nil {
		return fmt.Errorf("mounts[%d]: cannot copy up: %w", m.Index, err)
	}
	defer target.Close()
	if err := copyTree(source, target); err != nil {
		return fmt.Errorf("mounts[%d]: cannot copy up: %w", m.Index, err)
	}
	return nil
}

// copyTree copies files, folders and symbolic links with their modes and owners. Both ends are held by descriptors, and no
// link leads out of either.
func copyTree(from, to *os.Root) error {
	return fs.WalkDir(from.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := from.Lstat(name)
		if err != nil {
			return err
		}
		switch {
		case name == ".":
		case info.IsDir():
			err = to.Mkdir(name, 0700)
		case info.Mode()&fs.ModeSymlink != 0:
			err = copyLink(from, to, name)
		case info.Mode().IsRegular():
			err = copyFile(from, to, name)
		default:
			return nil // devices, sockets and pipes stay below
		}
		if err != nil {
			return err
		}
		return copyAttributes(to, name, info)
	})
}

func copyAttributes(to *os.Root, name string, info fs.FileInfo) error {
	st := info.Sys().(*syscall.Stat_t)
	if err := to.Lchown(name, int(st.Uid), int(st.Gid)); err != nil {
		return err
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		return nil
	}
	return to.Chmod(name, info.Mode())
}

func copyLink(from, to *os.Root, name string) error {
	target, err := from.Readlink(name)
	if err != nil {
		return err
	}
	return to.Symlink(target, name)
}

func copyFile(from, to *os.Root, name string) error {
	in, err := from.Open(name)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := to.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0600)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}
