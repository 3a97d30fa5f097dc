package aptrepo

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// stagingName holds files that are not visible yet. It is within the
// repository because a rename must not cross file systems.
const stagingName = ".aptrepo-staging"

// Directory publishes into a local directory, made if it is not there. Modes
// do not depend on the umask: a web server must be able to read everything.
func Directory(root string) Destination {
	return &directory{Dir: Dir(root), staged: make(map[string]string), touched: make(map[string]bool)}
}

type directory struct {
	Dir
	staged  map[string]string // path → staged file
	touched map[string]bool   // directories to fsync
	made    []string          // directories made since Lock, outermost first
}

func (d *directory) local(path string) string {
	return filepath.Join(string(d.Dir), filepath.FromSlash(path))
}

// Lock takes the root directory itself, so that no lock file is left or served.
func (d *directory) Lock() (func(), error) {
	if err := d.mkdir(string(d.Dir)); err != nil {
		d.unmake()
		return nil, err
	}
	f, err := os.Open(string(d.Dir))
	if err != nil {
		return nil, err
	}
	if err := flock(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("cannot lock %s: %w", d.Dir, err)
	}
	if err := os.RemoveAll(d.local(stagingName)); err != nil {
		f.Close()
		return nil, fmt.Errorf("cannot clear what an earlier publish left: %w", err)
	}
	return func() { f.Close() }, nil
}

func flock(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return errors.New("another publish is running: wait for it to end")
	}
	return err
}

// mkdir makes a directory and its parents, remembering which are new.
func (d *directory) mkdir(dir string) error {
	err := os.Mkdir(dir, 0o755)
	switch {
	case errors.Is(err, fs.ErrExist):
		return nil
	case errors.Is(err, fs.ErrNotExist) && filepath.Dir(dir) != dir:
		if err := d.mkdir(filepath.Dir(dir)); err != nil {
			return err
		}
		return d.mkdir(dir)
	case err != nil:
		return err
	}
	d.made = append(d.made, dir)
	d.touched[filepath.Dir(dir)] = true
	return os.Chmod(dir, 0o755)
}

func (d *directory) Stage(path string, content io.Reader) error {
	if !cleanPath(path) {
		return fmt.Errorf("cannot write %q: not a path within the repository", path)
	}
	parent := filepath.Dir(d.local(path))
	for _, dir := range []string{d.local(stagingName), parent} {
		if err := d.mkdir(dir); err != nil {
			return err
		}
	}
	if err := writable(parent, d.local(path)); err != nil {
		return err
	}
	name := filepath.Join(d.local(stagingName), strconv.Itoa(len(d.staged)))
	d.staged[path] = name
	return writeFile(name, content)
}

// writable asks what a rename will need, before anything is visible.
func writable(parent, target string) error {
	const write, search = 2, 1
	if err := syscall.Access(parent, write|search); err != nil {
		return &fs.PathError{Op: "write to", Path: parent, Err: err}
	}
	if info, err := os.Lstat(target); err == nil && info.IsDir() {
		return &fs.PathError{Op: "replace", Path: target, Err: syscall.EISDIR}
	}
	return nil
}

func writeFile(name string, content io.Reader) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	return errors.Join(err, f.Chmod(0o644), f.Close())
}

func (d *directory) Commit(path string) error {
	name, found := d.staged[path]
	if !found {
		return fmt.Errorf("cannot publish %s: it was not staged", path)
	}
	if err := os.Rename(name, d.local(path)); err != nil {
		return err
	}
	delete(d.staged, path)
	d.touched[filepath.Dir(d.local(path))] = true
	return nil
}

// Sync writes out what is staged, several files at a time (a journal commits
// them together), and then the directories.
func (d *directory) Sync() error {
	names := slices.Sorted(maps.Values(d.staged))
	failures := make([]error, len(names))
	var wait sync.WaitGroup
	turns := make(chan struct{}, 16)
	for i, name := range names {
		turns <- struct{}{}
		wait.Go(func() {
			failures[i] = syncPath(name)
			<-turns
		})
	}
	wait.Wait()
	if err := errors.Join(failures...); err != nil {
		return err
	}
	for dir := range d.touched {
		if err := syncPath(dir); err != nil {
			return err
		}
		delete(d.touched, dir)
	}
	return nil
}

func syncPath(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Discard removes directories made for files that never came, too: a failed
// publish leaves no trace.
func (d *directory) Discard() error {
	clear(d.staged)
	err := os.RemoveAll(d.local(stagingName))
	d.unmake()
	return err
}

func (d *directory) unmake() {
	for _, dir := range slices.Backward(d.made) {
		_ = os.Remove(dir) // fails where something was published into it
	}
	d.made = nil
}

func (d *directory) Remove(path string) error {
	if !cleanPath(path) {
		return fmt.Errorf("cannot remove %q: not a path within the repository", path)
	}
	if err := os.Remove(d.local(path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// List returns the files below prefix, sorted; none where it is not there.
func (d *directory) List(prefix string) ([]string, error) { return d.Dir.List(prefix) }

// List returns the files below prefix, sorted; none where it is not there.
func (d Dir) List(prefix string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(filepath.Join(string(d), filepath.FromSlash(prefix)), func(p string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || e.IsDir() {
			return err
		}
		files = append(files, path.Join(prefix, filepath.ToSlash(strings.TrimPrefix(p, filepath.Join(string(d), prefix)))))
		return nil
	})
	return files, err
}
