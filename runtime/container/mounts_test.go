package container

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-oci/berth/runtime/internal/host"
)

// inside is a container that sleeps, seen through /proc/PID/root.
type inside struct {
	*Runtime
	id, root string
	pid      int
}

func sleeping(t *testing.T, change func(*specs.Spec)) inside {
	t.Helper()
	asRoot(t)
	if f := host.Probe().Features; !f.NewMount || !f.MountSetattr || !f.Openat2 {
		t.Skip("needs Linux 5.12: mounts of a running container")
	}
	r, id := runtimeFor(t), unique(t)
	dir := bundle(t, func(c *specs.Spec) {
		c.Root.Readonly = false
		if change != nil {
			change(c)
		}
	}, "sleep")
	if err := r.Create(id, CreateOptions{Bundle: dir}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Delete(id, true); err != nil {
			t.Error(err)
		}
		reap()
	})
	if err := r.Start(id); err != nil {
		t.Fatal(err)
	}
	pid := state(t, r, id, Running).Pid
	return inside{r, id, fmt.Sprintf("/proc/%d/root", pid), pid}
}

// mountsAt are the container's mounts at a path, as "options type".
func (c inside) mountsAt(t *testing.T, path string) (all []string) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", c.pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); f[4] == path {
			all = append(all, f[5]+" "+f[slices.Index(f, "-")+1])
		}
	}
	return all
}

func mountJSON(t *testing.T, mounts ...specs.Mount) []byte {
	t.Helper()
	text, err := json.Marshal(mounts)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// source is a folder of the host with a file that says "outside".
func source(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte("outside"), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

func hostMounts(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestMountsComeAndGo(t *testing.T) {
	for name, change := range map[string]func(*specs.Spec){
		"root": nil,
		"user namespace": func(c *specs.Spec) {
			c.Linux.Namespaces = append(c.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
			c.Linux.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 0, Size: 1}, {ContainerID: 1, HostID: 200000, Size: 100}}
			c.Linux.GIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 0, Size: 1}, {ContainerID: 1, HostID: 300000, Size: 100}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := sleeping(t, change)
			src, before := source(t), hostMounts(t)
			list := mountJSON(t,
				specs.Mount{Destination: "/data/deep", Source: src, Type: "bind", Options: []string{"rbind", "ro", "nosuid"}},
				specs.Mount{Destination: "/data/deep/file", Source: filepath.Join(src, "file"), Options: []string{"bind"}},
				specs.Mount{Destination: "/scratch", Source: "tmpfs", Type: "tmpfs", Options: []string{"size=64k", "noexec"}})
			if err := c.AddMounts(c.id, list); err != nil {
				t.Fatal(err)
			}
			for _, path := range []string{"/data/deep/file"} {
				if b, err := os.ReadFile(c.root + path); err != nil || string(b) != "outside" {
					t.Errorf("%s holds %q, %v", path, b, err)
				}
			}
			for path, want := range map[string]string{"/data/deep": "ro,nosuid", "/scratch": "noexec"} {
				if at := c.mountsAt(t, path); len(at) != 1 || !strings.Contains(at[0], want) {
					t.Errorf("mounts on %s: %q, want one with %s", path, at, want)
				}
			}
			if err := os.WriteFile(c.root+"/data/deep/new", nil, 0o600); !errors.Is(err, syscall.EROFS) {
				t.Errorf("writing to a read-only mount: %v", err)
			}
			if err := c.RemoveMounts(c.id, list); err != nil {
				t.Fatal(err)
			}
			for _, path := range []string{"/data/deep", "/data/deep/file", "/scratch"} {
				if at := c.mountsAt(t, path); at != nil {
					t.Errorf("%s is a mount still: %q", path, at)
				}
			}
			if after := hostMounts(t); after != before {
				t.Errorf("the host's mounts changed from\n%s\nto\n%s", before, after)
			}
		})
	}
}

func TestFailedMountLeavesNoneOfTheList(t *testing.T) {
	c := sleeping(t, nil)
	err := c.AddMounts(c.id, mountJSON(t, specs.Mount{Destination: "/one", Type: "tmpfs", Source: "tmpfs"},
		specs.Mount{Destination: "/two", Type: "tmpfs", Source: "tmpfs"},
		specs.Mount{Destination: "/probe", Source: source(t), Options: []string{"bind"}})) // a folder on a file
	if err == nil || !strings.Contains(err.Error(), `on /probe`) || !errors.Is(err, syscall.EINVAL) {
		t.Errorf("the error is %v", err)
	}
	for _, path := range []string{"/one", "/two", "/probe"} {
		if at := c.mountsAt(t, path); at != nil {
			t.Errorf("%s is a mount: %q", path, at)
		}
	}
}

// TestAddedProcIsTheContainersOwn: a proc filesystem shows the PID namespace of who mounts it.
func TestAddedProcIsTheContainersOwn(t *testing.T) {
	c := sleeping(t, nil)
	if err := c.AddMounts(c.id, mountJSON(t, specs.Mount{Destination: "/own", Type: "proc", Source: "proc"})); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(c.root + "/own")
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, e := range entries {
		if n, err := strconv.Atoi(e.Name()); err == nil {
			pids = append(pids, n)
		}
	}
	if !slices.Equal(pids, []int{1}) {
		t.Errorf("it shows the processes %v", pids)
	}
}

// TestAttack04EvilTargetsOfAddedMounts lets the container put links where something is to be mounted or unmounted.
func TestAttack04EvilTargetsOfAddedMounts(t *testing.T) {
	c := sleeping(t, func(c *specs.Spec) { c.Linux.MaskedPaths = []string{"/proc/keys"} })
	canary := source(t)
	for name, target := range map[string]string{
		"to-host": canary, "up": strings.Repeat("../", 20) + canary, "to-proc": "/proc/sys/kernel", "to-keys": "/proc",
		"dev/link": "/", "magic": "/proc/1/root", "dangling": "/nowhere/at/all",
	} {
		if err := os.Symlink(target, filepath.Join(c.root, name)); err != nil {
			t.Fatal(err)
		}
	}
	before := hostMounts(t)
	tmpfs := func(path string) []byte {
		return mountJSON(t, specs.Mount{Destination: path, Type: "tmpfs", Source: "tmpfs"})
	}
	for _, path := range []string{"/to-proc", "/proc/sys", "/dev/link/x", "/magic/x", "/proc", "/", "/dangling"} {
		if err := c.AddMounts(c.id, tmpfs(path)); err == nil {
			t.Errorf("a mount on %s was added: %q", path, c.mountsAt(t, path))
		}
	}
	for _, path := range []string{"/to-host", "/up"} { // leads to a path of that name inside, which is not there
		if err := c.AddMounts(c.id, tmpfs(path+"/sub")); err == nil {
			t.Errorf("%s was followed", path)
		}
	}
	for _, path := range []string{"/proc/keys", "/to-keys/keys", "/magic/proc/keys", "/"} {
		if err := c.RemoveMounts(c.id, tmpfs(path)); err == nil {
			t.Errorf("%s was unmounted", path)
		}
	}
	if len(c.mountsAt(t, "/proc/keys")) != 1 {
		t.Error("the mask of /proc/keys is gone")
	}
	if names, err := os.ReadDir(canary); err != nil || len(names) != 1 {
		t.Errorf("the host's folder holds %v, %v", names, err)
	}
	if after := hostMounts(t); after != before {
		t.Errorf("the host's mounts changed from\n%s\nto\n%s", before, after)
	}
}

func TestMountsNeedALivingContainer(t *testing.T) {
	c := sleeping(t, nil)
	list := mountJSON(t, specs.Mount{Destination: "/one", Type: "tmpfs", Source: "tmpfs"})
	if err := c.Pause(c.id); err != nil {
		t.Fatal(err)
	}
	if err := c.AddMounts(c.id, list); err != nil {
		t.Errorf("of a paused container: %v", err)
	}
	if err := c.RemoveMounts(c.id, list); err != nil {
		t.Errorf("of a paused container: %v", err)
	}
	if err := c.RemoveMounts(c.id, list); !errors.Is(err, syscall.EINVAL) || !strings.Contains(err.Error(), "nothing is mounted there") {
		t.Errorf("what is not mounted: %v", err)
	}
	for text, want := range map[string]string{
		`{"mounts": 1}`: "mounts", `{}`: "mounts: is missing", `[{"destination": "/x"}]`: "mounts[0].type", "[": "", `[{"destination":"/x","type":"tmpfs","options":["tmpcopyup"]}]`: "mounts[0]",
		`[{"destination":"/x","source":"/not/there","options":["bind"]}]`: "/not/there",
	} {
		if err := c.AddMounts(c.id, []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if err := c.Resume(c.id); err != nil {
		t.Fatal(err)
	}
	kill9(t, c.Runtime, c.id)
	if err := c.AddMounts(c.id, list); !errors.Is(err, ErrNotRunning) {
		t.Errorf("of a stopped container: %v", err)
	}
	if err := c.AddMounts("none", list); !errors.Is(err, ErrNotExist) {
		t.Errorf("of no container: %v", err)
	}
}
