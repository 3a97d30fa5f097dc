package vm

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ulikunitz/xz"
)

// DefaultModules are loaded in every machine, with what they depend on: what a container runtime and its tests use.
var DefaultModules = []string{"virtio_pci", "virtio_console", "overlay", "veth", "dummy", "loop", "cls_cgroup", "bfq"}

// kernel is Debian's kernel package for virtual machines, extracted.
type kernel struct {
	release string // as uname -r prints it
	image   string // path of what qemu boots
	modules string // directory of its modules
}

// fetchKernel finds the kernel of a suite in the cache or the archive.
func fetchKernel(ctx context.Context, suite, arch string) (kernel, error) {
	a := archive{suite, arch}
	dir, err := cached(filepath.Join("kernels", a.name()), func(dir string) error {
		names, err := a.kernelPackages(ctx)
		if err != nil {
			return err
		}
		return a.download(ctx, names, func(debs []string) error {
			if err := extract(ctx, debs, dir); err != nil {
				return err
			}
			return uncompress(dir)
		})
	})
	if err != nil {
		return kernel{}, err
	}
	return kernelIn(dir)
}

// kernelPackages looks up the packages of the newest kernel: the one on which the package linux-image-cloud-ARCH depends,
// and since Debian 14 those into which that one is split.
func (a archive) kernelPackages(ctx context.Context) ([]string, error) {
	deps, err := a.depends(ctx, "linux-image-cloud-"+a.arch)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(deps, func(d string) bool { return strings.HasPrefix(d, "linux-image-") })
	if i < 0 {
		return nil, fmt.Errorf("cannot find the kernel in the dependencies of linux-image-cloud-%s: %q", a.arch, deps)
	}
	image := deps[i]
	deps, err = a.depends(ctx, image)
	if err != nil {
		return nil, err
	}
	release := strings.TrimPrefix(image, "linux-image-")
	others := slices.DeleteFunc(deps, func(d string) bool { return !strings.HasSuffix(d, "-"+release) })
	return append(others, image), nil
}

// depends returns the names on which a package depends, of alternatives the first.
func (a archive) depends(ctx context.Context, name string) (names []string, err error) {
	var field string
	err = a.download(ctx, []string{name}, func(debs []string) (err error) {
		field, err = output(ctx, "dpkg-deb", "--field", debs[0], "Depends")
		return err
	})
	for dep := range strings.SplitSeq(field, ",") {
		name, _, _ := strings.Cut(strings.TrimSpace(dep), " ")
		names = append(names, name)
	}
	return names, err
}

// images are where kernels lie in their packages, until Debian 13 and since.
var images = []string{"boot/vmlinuz-*", "usr/lib/modules/*/vmlinuz"}

// imageIn returns the path of the one kernel that was extracted into dir.
func imageIn(dir string) (string, error) {
	for _, pattern := range images {
		if found, _ := filepath.Glob(filepath.Join(dir, pattern)); len(found) == 1 {
			return found[0], nil
		}
	}
	return "", fmt.Errorf("cannot find a kernel in %s", dir)
}

func kernelIn(dir string) (k kernel, err error) {
	if k.image, err = imageIn(dir); err != nil {
		return k, err
	}
	found, _ := filepath.Glob(filepath.Join(dir, "usr/lib/modules/*")) // merged since Debian 13
	if len(found) == 0 {
		found, _ = filepath.Glob(filepath.Join(dir, "lib/modules/*"))
	}
	if len(found) != 1 {
		return k, fmt.Errorf("cannot find the kernel's modules in %s", dir)
	}
	k.modules, k.release = found[0], filepath.Base(found[0])
	if plain := plainImage(k.image); isFile(plain) {
		k.image = plain
	}
	return k, nil
}

// module is a kernel module ready to load.
type module struct {
	name  string
	image []byte // ELF, not compressed
}

// load reads modules and those they depend on, in an order in which they can be loaded. Modules that are built into the
// kernel are left out.
func (k kernel) load(names []string) ([]module, error) {
	files, builtin, err := k.index()
	if err != nil {
		return nil, err
	}
	var mods []module
	seen := map[string]bool{}
	var add func(name string) error
	add = func(name string) error {
		name = moduleName(name)
		if seen[name] || builtin[name] {
			return nil
		}
		seen[name] = true
		path, ok := files[name]
		if !ok {
			return fmt.Errorf("kernel %s has no module %s", k.release, name)
		}
		image, deps, err := readModule(path)
		if err != nil {
			return fmt.Errorf("cannot read kernel module %s: %w", path, err)
		}
		for _, d := range deps {
			if err := add(d); err != nil {
				return err
			}
		}
		mods = append(mods, module{name, image})
		return nil
	}
	for _, n := range names {
		if err := add(n); err != nil {
			return nil, err
		}
	}
	return mods, nil
}

// moduleName is the kernel's name of a module: file names may have dashes instead.
func moduleName(file string) string {
	name, _, _ := strings.Cut(filepath.Base(file), ".")
	return strings.ReplaceAll(name, "-", "_")
}

// index maps module names to files, and lists those that are built in.
func (k kernel) index() (files map[string]string, builtin map[string]bool, err error) {
	files, builtin = map[string]string{}, map[string]bool{}
	list, err := os.ReadFile(filepath.Join(k.modules, "modules.builtin"))
	if err != nil {
		return nil, nil, err
	}
	for line := range strings.Lines(string(list)) {
		builtin[moduleName(strings.TrimSpace(line))] = true
	}
	err = filepath.WalkDir(k.modules, func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.Contains(d.Name(), ".ko") {
			files[moduleName(path)] = path
		}
		return err
	})
	return files, builtin, err
}

// readModule decompresses a module and reads its dependencies from its .modinfo section, as depmod(8) would.
func readModule(path string) (image []byte, deps []string, err error) {
	image, err = os.ReadFile(path)
	if err != nil {
		return nil, nil, err
	}
	if strings.HasSuffix(path, ".xz") {
		r, err := xz.NewReader(bytes.NewReader(image))
		if err != nil {
			return nil, nil, err
		}
		if image, err = io.ReadAll(r); err != nil {
			return nil, nil, err
		}
	}
	f, err := elf.NewFile(bytes.NewReader(image))
	if err != nil {
		return nil, nil, err
	}
	section := f.Section(".modinfo")
	if section == nil {
		return nil, nil, errors.New("no section .modinfo")
	}
	info, err := section.Data()
	if err != nil {
		return nil, nil, err
	}
	for field := range bytes.SplitSeq(info, []byte{0}) {
		if list, ok := strings.CutPrefix(string(field), "depends="); ok && list != "" {
			deps = strings.Split(list, ",")
		}
	}
	return image, deps, nil
}
