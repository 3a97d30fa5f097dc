package cgroup

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// probed is the machine's Host, or a counted skip where groups cannot be made.
func probed(t *testing.T) Host {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to make cgroups")
	}
	h, err := Probe()
	if err != nil {
		t.Fatal(err)
	}
	if len(h.Hierarchies) == 0 {
		t.Skip("no cgroup filesystem is mounted")
	}
	if err := syscall.Access(h.Hierarchies[0].Mountpoint, 2); err != nil {
		t.Skipf("%s is not writable: %v", h.Hierarchies[0].Mountpoint, err)
	}
	return h
}

// made makes a group of this test's own for the resources and removes it, with its processes, at the end.
func made(t *testing.T, r *specs.LinuxResources) (Layout, *Group) {
	t.Helper()
	l, g, err := tryMake(t, r)
	if err != nil {
		t.Fatal(err)
	}
	return l, g
}

func tryMake(t *testing.T, r *specs.LinuxResources) (Layout, *Group, error) {
	t.Helper()
	h := probed(t)
	name := fmt.Sprintf("/berth-test-%d/%s", os.Getpid(), strings.ReplaceAll(t.Name(), "/", "_"))
	l, err := Decide(Request{ID: t.Name(), CgroupsPath: name, Resources: r, Host: h})
	if err != nil {
		return l, nil, err
	}
	t.Cleanup(func() { clean(t, l.State()) })
	if err := l.Make(); err != nil {
		return l, nil, err
	}
	if err := l.Apply(); err != nil {
		return l, nil, err
	}
	g, err := Open(l.State())
	return l, g, err
}

func clean(t *testing.T, s State) {
	g, err := Open(s)
	if err != nil {
		t.Error(err)
		return
	}
	if err := g.KillAll(syscall.SIGKILL); err != nil {
		t.Error(err)
	}
	if err := g.Remove(); err != nil {
		t.Error(err)
	}
	for _, d := range s.Dirs {
		if _, err := os.Stat(d.Path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left behind", d.Path)
		}
		if _, err := os.Stat(filepath.Dir(d.Path)); d.Path != d.Mountpoint && !errors.Is(err, os.ErrNotExist) &&
			strings.Contains(filepath.Dir(d.Path), "berth-test") {
			t.Errorf("%s is left behind", filepath.Dir(d.Path))
		}
	}
}

// inside runs a shell script as a member of the group: it joins as a container's first process does. It returns once the
// process has joined.
func inside(t *testing.T, g *Group, script string) *exec.Cmd {
	t.Helper()
	join := ""
	for _, f := range g.Join().Tasks {
		join += fmt.Sprintf("echo 0 > %s || exit 99; ", f)
	}
	cmd := exec.Command("/bin/sh", "-c", join+"echo joined >&3; exec 3>&-; "+script)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if dir := g.Join().CloneInto; dir != "" {
		f, err := os.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(f.Fd())
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd.ExtraFiles = []*os.File{w}
	err = cmd.Start()
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Read(make([]byte, 16)); err != nil {
		t.Fatalf("cannot join the group: %v, %v", err, cmd.Wait())
	}
	return cmd
}

func TestMemberOfAllHierarchiesIsListedKilledAndRemoved(t *testing.T) {
	_, g := made(t, nil)
	cmd := inside(t, g, "sleep 1000 & sleep 1000 & wait")
	waitFor(t, "three processes", func() bool { p, _ := g.Procs(); return len(p) == 3 })
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(b), "/berth-test-"); n != len(g.dirs) {
		t.Errorf("member of %d of %d hierarchies:\n%s", n, len(g.dirs), b)
	}
	if err := g.KillAll(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if left, err := g.WaitEmpty(5 * time.Second); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 3000 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("no %s within 30 s", what)
}
