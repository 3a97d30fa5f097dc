// Package engines runs containers through the engines people use — Podman, Docker's engine, containerd — with any OCI
// runtime beneath them.
//
//	engine, err := engines.Start(ctx, "podman", "/usr/bin/crun")
//	defer engine.Close()
//	for _, step := range engine.Steps() { err := engine.Do(ctx, step) … }
//
// The parties: the test, which trusts this package; the engine, an ordinary program of the machine that is given storage,
// state, socket and configuration of its own below one temporary directory, so that it neither reads nor changes what
// else the machine runs under that engine; and the runtime, of which nothing is assumed but its command line. No registry is asked:
// the image is made here from a static busybox. There is no network for the containers and none is set up.
//
// An engine needs root. Where it, or busybox, is missing, Start's error is an *Absent, for tests to count as a skip.
package engines

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Names of the engines that Start knows.
var Names = []string{"podman", "docker", "containerd"}

// Absent says what this machine lacks for an engine.
type Absent struct{ What string }

func (a *Absent) Error() string { return "not on this machine: " + a.What }

// Engine is an engine that is ready for commands.
type Engine struct {
	Name    string
	Version string // the first line of what it says

	dir     string   // everything of the engine's; short, since sockets are below it
	group   string   // the parent of its containers' cgroups, by a name that nobody else uses
	command []string // what every command line begins with
	env     []string
	daemons []*daemon // in the order they were started
	wipe    [][]string
	steps   []Step
}

// Start makes an engine ready whose containers are run by the runtime at that path, and gives it the image. The caller
// owes a Close.
func Start(ctx context.Context, name, runtime string) (*Engine, error) {
	if os.Geteuid() != 0 {
		return nil, &Absent{"root's privileges"}
	}
	runtime, err := filepath.Abs(runtime)
	if err != nil {
		return nil, err
	}
	begin, ok := map[string]func(*Engine, context.Context, string) error{
		"podman": (*Engine).podman, "docker": (*Engine).docker, "containerd": (*Engine).containerd,
	}[name]
	if !ok {
		return nil, fmt.Errorf("cannot start %s: the engines are %s", name, strings.Join(Names, ", "))
	}
	dir, err := os.MkdirTemp("", "engine-")
	if err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", name, err)
	}
	e := &Engine{Name: name, dir: dir, group: filepath.Base(dir), env: os.Environ()}
	if err := begin(e, ctx, runtime); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot start %s: %w", name, err), e.Close())
	}
	return e, nil
}

// Steps are the commands that a container's life takes with this engine, in order: each relies on those before it.
func (e *Engine) Steps() []Step { return e.steps }

// Close removes what containers are left, ends the engine, and removes all it wrote.
func (e *Engine) Close() error {
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	for _, args := range e.wipe {
		e.run(ctx, args) // most find nothing to do, and say so by failing
	}
	var errs []error
	for _, d := range slices.Backward(e.daemons) {
		errs = append(errs, d.stop())
	}
	errs = append(errs, removeGroups(e.group))
	if err := unmountBelow(e.dir); err != nil { // what is mounted there may be the machine's: then nothing is removed
		return errors.Join(append(errs, fmt.Errorf("cannot remove %s: %w", e.dir, err))...)
	}
	return errors.Join(append(errs, os.RemoveAll(e.dir))...)
}

// program finds a program of Debian's package, in the directories where packages put them and nowhere else.
func program(name, pkg string) (string, error) {
	for _, dir := range []string{"/usr/bin", "/usr/sbin", "/bin", "/sbin"} {
		if path := filepath.Join(dir, name); exec.Command("test", "-x", path).Run() == nil {
			return path, nil
		}
	}
	return "", &Absent{fmt.Sprintf("%s; install Debian's package %s", name, pkg)}
}

// file writes a file of the engine's and returns its path.
func (e *Engine) file(name string, content []byte) (string, error) {
	path := filepath.Join(e.dir, name)
	return path, os.WriteFile(path, content, 0o600)
}

// firstLine of what a program prints, for versions.
func firstLine(ctx context.Context, path string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, path, args...).Output()
	line, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimSpace(line), err
}

// unmountBelow detaches what an engine that failed left mounted below dir, the last mount first.
func unmountBelow(dir string) error {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	var errs []error
	for _, line := range slices.Backward(strings.Split(string(text), "\n")) {
		if f := strings.Fields(line); len(f) > 4 && strings.HasPrefix(f[4], dir+"/") {
			errs = append(errs, syscall.Unmount(f[4], syscall.MNT_DETACH))
		}
	}
	return errors.Join(errs...)
}

// removeGroups removes the empty cgroups under that name, which engines leave when their last container is gone. A
// cgroup with a process in it stays, and is an error.
func removeGroups(name string) error {
	tops, err := filepath.Glob("/sys/fs/cgroup/*/" + name)
	if err != nil {
		return err
	}
	var errs []error
	for _, top := range append(tops, "/sys/fs/cgroup/"+name) {
		var dirs []string
		filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				dirs = append(dirs, path)
			}
			return nil
		})
		for _, dir := range slices.Backward(dirs) {
			if err := syscall.Rmdir(dir); err != nil && err != syscall.ENOENT {
				errs = append(errs, fmt.Errorf("cannot remove cgroup %s: %w", dir, err))
			}
		}
	}
	return errors.Join(errs...)
}
