package vm

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// CacheVariable names the environment variable that moves the cache of kernels and packages.
const CacheVariable = "CONFORMANCE_VM_CACHE"

// cacheDir returns the directory under which everything that was fetched or built is kept. It may be removed at any
// time when no test runs; what is needed again is fetched again, and that is the way to newer kernels.
func cacheDir() (string, error) {
	dir := os.Getenv(CacheVariable)
	if dir == "" {
		user, err := os.UserCacheDir()
		if err != nil { // no home: a directory of the user's own in the temp directory
			user = filepath.Join(os.TempDir(), fmt.Sprintf("cache-%d", os.Getuid()))
		}
		dir = filepath.Join(user, "conformance-vm")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("cannot make the cache of virtual machines: %w", err)
	}
	return dir, nil
}

// cached returns the directory of that name in the cache, and makes it first with fill when it is absent. It appears
// whole or not at all, and of several processes that want it one fills it and the others wait.
func cached(name string, fill func(dir string) error) (string, error) {
	root, err := cacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(root, name)
	if isDir(dir) {
		return dir, nil
	}
	unlock, err := lock(dir)
	if err != nil {
		return "", err
	}
	defer unlock()
	if isDir(dir) {
		return dir, nil
	}
	tmp := dir + ".partial"
	if err := remake(tmp); err != nil {
		return "", err
	}
	if err := fill(tmp); err != nil {
		return "", err
	}
	return dir, os.Rename(tmp, dir)
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

func remake(dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return os.MkdirAll(dir, 0o755)
}

// lock holds dir for this process. The kernel releases it should the process die.
func lock(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(dir+".lock", os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		f.Close()
		return nil, fmt.Errorf("cannot lock %s: %w", f.Name(), err)
	}
	return func() { f.Close() }, nil
}
