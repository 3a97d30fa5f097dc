package vm

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"github.com/berth-oci/berth/conformance/vm/wire"
)

// parts is all that a machine is booted from.
type parts struct {
	kernel  kernel
	agent   string // the first program
	busybox string // directory of the package busybox-static
	tree    string // directory with the files of Machine.Packages, or ""
}

// gather fetches or builds what the machine is booted from.
func (m Machine) gather(ctx context.Context) (p parts, err error) {
	if p.kernel, err = fetchKernel(ctx, m.Suite, m.Arch); err != nil {
		return p, err
	}
	if p.agent, err = buildAgent(ctx, m.Arch); err != nil {
		return p, err
	}
	if p.busybox, err = Package(ctx, m.Suite, m.Arch, "busybox-static"); err != nil {
		return p, err
	}
	packages := m.Packages
	if m.Systemd {
		packages = append(append([]string{}, systemdPackages...), packages...)
	}
	if len(packages) > 0 {
		p.tree, err = Tree(ctx, m.Suite, m.Arch, packages...)
	}
	return p, err
}

// initramfs writes the machine's initial file system to a file that has no name and so goes with its last user.
func (m Machine) initramfs(p parts) (*os.File, error) {
	mods, err := p.kernel.load(append(append([]string{}, DefaultModules...), m.Modules...))
	if err != nil {
		return nil, err
	}
	f, err := os.CreateTemp("", "vm-initramfs-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	if err := m.writeInitramfs(w, p, mods); err != nil {
		f.Close()
		return nil, fmt.Errorf("cannot write the initial file system: %w", err)
	}
	return f, w.Flush()
}

func (m Machine) writeInitramfs(w io.Writer, p parts, mods []module) error {
	c := newCpio(w)
	cfg := wire.Config{Hostname: "vm", Cgroup: m.Cgroup}
	if p.tree != "" {
		c.tree(p.tree)
	}
	for _, dir := range []string{"dev", "proc", "sys", "run", "tmp", "etc", "root"} {
		c.dir(dir)
	}
	c.device("dev/console", syscall.S_IFCHR|0o600, 5, 1)
	c.copy("usr/bin/busybox", filepath.Join(p.busybox, busyboxPath(p.busybox)))
	c.copy("init", p.agent)
	if m.Systemd {
		cfg.Init = "/usr/lib/systemd/systemd"
		c.systemd()
	}
	for _, mod := range mods {
		path := "/.vm/modules/" + mod.name + ".ko"
		c.file(path, 0o644, int64(len(mod.image)), bytes.NewReader(mod.image))
		cfg.Modules = append(cfg.Modules, path)
	}
	data, err := json.Marshal(cfg)
	if err != nil {
		return err
	}
	c.file(wire.ConfigPath, 0o644, int64(len(data)), bytes.NewReader(data))
	return c.close()
}

// busyboxPath finds the program in its package: /bin until bookworm, /usr/bin since.
func busyboxPath(dir string) string {
	if _, err := os.Stat(filepath.Join(dir, "usr/bin/busybox")); err == nil {
		return "usr/bin/busybox"
	}
	return "bin/busybox"
}

// copy writes one program of the host.
func (c *cpioWriter) copy(name, from string) {
	if c.err != nil {
		return
	}
	f, err := os.Open(from)
	if err != nil {
		c.err = err
		return
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		c.err = err
		return
	}
	c.file(name, 0o755, info.Size(), f)
}
