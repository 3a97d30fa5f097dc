package vm

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
)

// cpioWriter writes an initial file system in the format "newc" of the kernel's
// Documentation/driver-api/early-userspace/buffer-format.rst. The same entries give the same bytes: owners are root,
// times are zero, inodes are counted.
type cpioWriter struct {
	w    io.Writer
	n    int64
	ino  int
	err  error
	dirs map[string]bool
}

func newCpio(w io.Writer) *cpioWriter { return &cpioWriter{w: w, dirs: map[string]bool{".": true}} }

// entry writes one file. size bytes are read from data; rdev is the device's number, for devices.
func (c *cpioWriter) entry(name string, mode uint32, rdev [2]int, size int64, data io.Reader) {
	if c.err != nil {
		return
	}
	if c.err = fits(size); c.err != nil {
		return
	}
	c.ino++
	c.printf("070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%s\x00",
		c.ino, mode, 0, 0, 1, 0, size, 0, 0, rdev[0], rdev[1], len(name)+1, 0, name)
	c.pad()
	if data != nil && c.err == nil {
		var n int64
		n, c.err = io.Copy(c.w, io.LimitReader(data, size))
		c.n += n
		if c.err == nil && n != size {
			c.err = fmt.Errorf("cannot write %s: it shrank from %d to %d bytes", name, size, n)
		}
	}
	c.pad()
}

// fits refuses what the format's 32 bits cannot say.
func fits(size int64) error {
	if size >= 1<<32 {
		return fmt.Errorf("a file of %d bytes does not fit an initial file system", size)
	}
	return nil
}

func (c *cpioWriter) printf(format string, args ...any) {
	if c.err == nil {
		var n int
		n, c.err = fmt.Fprintf(c.w, format, args...)
		c.n += int64(n)
	}
}

func (c *cpioWriter) pad() {
	if rest := c.n % 4; rest != 0 {
		c.printf("%s", "\x00\x00\x00"[:4-rest])
	}
}

// dir writes a directory and those above it, each once.
func (c *cpioWriter) dir(name string) { c.dirMode(name, 0o755) }

func (c *cpioWriter) dirMode(name string, perm uint32) {
	name = relative(name)
	if c.dirs[name] {
		return
	}
	c.dir(path.Dir(name))
	c.dirs[name] = true
	c.entry(name, syscall.S_IFDIR|perm, [2]int{}, 0, nil)
}

func (c *cpioWriter) file(name string, perm uint32, size int64, data io.Reader) {
	name = relative(name)
	c.dir(path.Dir(name))
	c.entry(name, syscall.S_IFREG|perm, [2]int{}, size, data)
}

func (c *cpioWriter) symlink(name, target string) {
	name = relative(name)
	c.dir(path.Dir(name))
	c.entry(name, syscall.S_IFLNK|0o777, [2]int{}, int64(len(target)), strings.NewReader(target))
}

func (c *cpioWriter) device(name string, mode uint32, major, minor int) {
	name = relative(name)
	c.dir(path.Dir(name))
	c.entry(name, mode, [2]int{major, minor}, 0, nil)
}

// tree writes everything below a directory of the host, sorted, under the same names.
func (c *cpioWriter) tree(root string) {
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == root {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		return c.host(rel, p, d)
	})
	if c.err == nil {
		c.err = err
	}
}

func (c *cpioWriter) host(name, p string, d fs.DirEntry) error {
	info, err := d.Info()
	if err != nil {
		return err
	}
	perm := info.Sys().(*syscall.Stat_t).Mode & 0o7777
	switch {
	case d.IsDir():
		c.dirMode(name, perm)
	case d.Type() == fs.ModeSymlink:
		target, err := os.Readlink(p)
		if err != nil {
			return err
		}
		c.symlink(name, target)
	case d.Type().IsRegular():
		f, err := os.Open(p)
		if err != nil {
			return err
		}
		defer f.Close()
		c.file(name, perm, info.Size(), f)
	}
	return c.err
}

// close ends the archive. The kernel reads several in a row, so more may follow.
func (c *cpioWriter) close() error {
	c.entry("TRAILER!!!", 0, [2]int{}, 0, nil)
	return c.err
}

func relative(name string) string { return path.Join(".", path.Clean("/" + name)[1:]) }
