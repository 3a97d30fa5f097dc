package container

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-oci/berth/runtime/internal/host"
)

// shares is a scene on a machine whose resctrl filesystem is a folder of the test's: it shows what is made and written where. What the kernel
// makes of it no machine of the tests can tell.
func shares(t *testing.T) (s *scene, root string) {
	asRoot(t)
	s = newScene(t)
	root = t.TempDir()
	s.runtime.pretend = func(h host.Host) host.Host {
		h.Resctrl = root
		return h
	}
	s.plant("file", "", filepath.Join(root, "tasks"))
	return s, root
}

func (s *scene) class(root, name, schemata string) string {
	dir := filepath.Join(root, name)
	s.must(os.MkdirAll(dir, 0755))
	s.must(os.WriteFile(filepath.Join(dir, "schemata"), []byte(schemata), 0644))
	return dir
}

func (s *scene) content(name string) string {
	s.Helper()
	b, err := os.ReadFile(name)
	s.must(err)
	return string(b)
}

// TestIntelRdtClasses: which directory the container's process is put into, what is written there, and what is left after delete
// (config-linux.md "IntelRdt").
func TestIntelRdtClasses(t *testing.T) {
	const ready = "    L3:0=7f0;1=01f\n    MB:0=20;1=70\n"
	for name, c := range map[string]struct {
		rdt      specs.LinuxIntelRdt
		class    string // "ID": the container's own
		schemata string // as it is afterwards, empty: not written
		stays    bool
	}{
		"own":                {specs.LinuxIntelRdt{L3CacheSchema: "L3:0=f", MemBwSchema: "MB:0=20", Schemata: []string{"L2:0=1", "L2:1=3"}}, "ID", "L3:0=f\nMB:0=20\nL2:0=1\nL2:1=3\n", false},
		"own, nothing said":  {specs.LinuxIntelRdt{}, "ID", "", false},
		"named and new":      {specs.LinuxIntelRdt{ClosID: "gold", Schemata: []string{"L3:0=f"}}, "gold", "L3:0=f\n", true},
		"named and there":    {specs.LinuxIntelRdt{ClosID: "ready"}, "ready", ready, true},
		"named and alike":    {specs.LinuxIntelRdt{ClosID: "ready", L3CacheSchema: "L3:1=1f;0=7f0", MemBwSchema: "MB:1=70"}, "ready", "L3:1=1f;0=7f0\nMB:1=70\n", true},
		"the default":        {specs.LinuxIntelRdt{ClosID: "/"}, ".", "", true},
		"counted":            {specs.LinuxIntelRdt{EnableMonitoring: true}, "ID", "", false},
		"counted in a class": {specs.LinuxIntelRdt{ClosID: "ready", EnableMonitoring: true}, "ready", ready, true},
	} {
		t.Run(name, func(t *testing.T) {
			s, root := shares(t)
			s.class(root, "ready", ready)
			dir, _ := s.bundle(func(spec *specs.Spec) { spec.Linux.IntelRdt = &c.rdt }, "sleep")
			id := s.started(dir)
			class := filepath.Join(root, strings.ReplaceAll(c.class, "ID", id))
			want := strconv.Itoa(state(t, s.runtime, id, Running).Pid)
			tasks := []string{filepath.Join(class, "tasks")}
			if c.rdt.EnableMonitoring {
				tasks = append(tasks, filepath.Join(class, "mon_groups", id, "tasks"))
			}
			for _, file := range tasks {
				if got := s.content(file); got != want {
					t.Errorf("%s holds %q, want %s", file, got, want)
				}
			}
			if b, _ := os.ReadFile(filepath.Join(class, "schemata")); string(b) != c.schemata {
				t.Errorf("the schemata are %q, want %q", b, c.schemata)
			}
			pidFile := filepath.Join(t.TempDir(), "pid")
			_, status, err := s.exec(id, ExecOptions{Args: []string{"/probe", "exit", "4"}, PidFile: pidFile})
			if err != nil || status != 4 {
				t.Fatalf("exec: %d, %v", status, err)
			}
			for _, file := range tasks {
				if got := s.content(file); got != s.content(pidFile) {
					t.Errorf("%s holds %q, not exec's process", file, got)
				}
			}
			s.must(s.runtime.Delete(id, true))
			if _, err := os.Stat(class); (err == nil) != c.stays {
				t.Errorf("the class after delete: %v", err)
			}
			if _, err := os.Stat(filepath.Join(class, "mon_groups", id)); err == nil {
				t.Error("the monitoring group is left")
			}
		})
	}
}

// TestIntelRdtRefusals: what cannot be had is an error that names its property, and nothing is left or changed.
func TestIntelRdtRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		rdt   specs.LinuxIntelRdt
		names string
	}{
		"no such class":     {specs.LinuxIntelRdt{ClosID: "none"}, "linux.intelRdt.closID"},
		"another share":     {specs.LinuxIntelRdt{ClosID: "ready", L3CacheSchema: "L3:0=f"}, "schemata differ"},
		"another bandwidth": {specs.LinuxIntelRdt{ClosID: "ready", MemBwSchema: "MB:0=21"}, "schemata differ"},
		"unknown resource":  {specs.LinuxIntelRdt{ClosID: "ready", L3CacheSchema: "L3:7=f"}, "schemata differ"},
		"no line":           {specs.LinuxIntelRdt{ClosID: "ready", L3CacheSchema: "L3:0"}, "linux.intelRdt"},
		"group is there":    {specs.LinuxIntelRdt{ClosID: "ready", EnableMonitoring: true}, "linux.intelRdt.enableMonitoring"},
		"path":              {specs.LinuxIntelRdt{ClosID: "../x"}, "linux.intelRdt.closID"},
		"file system":       {specs.LinuxIntelRdt{}, "linux.intelRdt"},
	} {
		t.Run(name, func(t *testing.T) {
			s, root := shares(t)
			s.class(root, "ready", "L3:0=7f0\nMB:0=20\n")
			id := unique(t)
			if name == "group is there" {
				s.must(os.MkdirAll(filepath.Join(root, "ready/mon_groups", id), 0755))
			}
			if name == "file system" {
				s.runtime.pretend = func(h host.Host) host.Host {
					h.Resctrl = ""
					return h
				}
			}
			before := treeHash(t, root)
			dir, _ := s.bundle(func(spec *specs.Spec) { spec.Linux.IntelRdt = &c.rdt }, "sleep")
			if err := s.runtime.Create(id, CreateOptions{Bundle: dir}); err == nil || !strings.Contains(err.Error(), c.names) {
				t.Errorf("the error is %v, want it to say %q", err, c.names)
			}
			if now := treeHash(t, root); now != before {
				t.Error("the filesystem changed")
			}
		})
	}
}

// TestIntelRdtIsUndone: the class of a container that fails late is gone.
func TestIntelRdtIsUndone(t *testing.T) {
	s, root := shares(t)
	dir, _ := s.bundle(func(c *specs.Spec) {
		c.Linux.IntelRdt = &specs.LinuxIntelRdt{Schemata: []string{"L3:0=f"}, EnableMonitoring: true}
		c.Process.Args = []string{"/no/such"}
	})
	id := unique(t)
	if err := s.runtime.Create(id, CreateOptions{Bundle: dir}); err == nil {
		t.Error("it was created")
	}
	if left, _ := filepath.Glob(filepath.Join(root, "*")); len(left) != 1 {
		t.Errorf("left: %v", left)
	}
}

// TestIntelRdtSharesChange: update writes the lines into the container's class, monitored or not, and refuses what is no line of schemata and a
// container without a class; then nothing changes.
func TestIntelRdtSharesChange(t *testing.T) {
	for _, monitored := range []bool{false, true} {
		s, root := shares(t)
		dir, _ := s.bundle(func(c *specs.Spec) {
			c.Linux.IntelRdt = &specs.LinuxIntelRdt{L3CacheSchema: "L3:0=f", EnableMonitoring: monitored}
		}, "sleep")
		id := s.started(dir)
		s.must(s.runtime.Update(id, []byte("{}"), "L3:0=3", "MB:0=20"))
		file := filepath.Join(root, id, "schemata")
		if got := s.content(file); got != "L3:0=3\nMB:0=20\n" {
			t.Errorf("monitored %v: the schemata are %q", monitored, got)
		}
		before := treeHash(t, root)
		for _, line := range []string{"L3", "L3:0", "L3:0=xyz", "MB:0=7f", "L3:0=f\nMB:0=1"} {
			if err := s.runtime.Update(id, []byte(`{"pids":{"limit":7}}`), line); err == nil || !strings.Contains(err.Error(), "line of schemata") {
				t.Errorf("%q: %v", line, err)
			}
		}
		if treeHash(t, root) != before {
			t.Error("what was refused has changed the filesystem")
		}
		g, _, err := s.runtime.group(id)
		s.must(err)
		if pids, ok := g.Dir("pids"); !ok || s.content(filepath.Join(pids.Path, "pids.max")) != "max\n" {
			t.Error("what was refused has changed the limit of processes")
		}
		plain, _ := s.bundle(nil, "sleep")
		if err := s.runtime.Update(s.started(plain), []byte("{}"), "L3:0=3"); err == nil || !strings.Contains(err.Error(), "linux.intelRdt") {
			t.Errorf("a container without a class: %v", err)
		}
	}
}
