package container

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-oci/berth/runtime/internal/spec"
)

// TestBundleIsReadOnce: whatever becomes of the bundle after create, start, exec, update, delete and the hooks do what it said then. A
// further process without the filter of the first would be a way out.
func TestBundleIsReadOnce(t *testing.T) {
	for name, spoil := range map[string]func(s *scene, dir string){
		"untouched": func(*scene, string) {},
		"changed": func(s *scene, dir string) {
			c, err := spec.Load(dir)
			s.must(err)
			c.Linux.Seccomp, c.Process.Env, c.Process.Cwd = nil, []string{"A=changed"}, "/proc"
			exe, err := os.Executable()
			s.must(err)
			evil := []specs.Hook{{Path: exe, Args: []string{"probe", "write", filepath.Join(s.canary, "evil")}}}
			c.Hooks = &specs.Hooks{StartContainer: []specs.Hook{{Path: "/no/such"}}, Poststart: evil, Poststop: evil}
			writeConfig(s.T, dir, c)
		},
		"broken":  func(s *scene, dir string) { s.must(os.WriteFile(filepath.Join(dir, "config.json"), []byte("{"), 0644)) },
		"removed": func(s *scene, dir string) { s.must(os.Remove(filepath.Join(dir, "config.json"))) },
		"a pipe": func(s *scene, dir string) {
			s.must(os.Remove(filepath.Join(dir, "config.json")))
			s.must(syscall.Mkfifo(filepath.Join(dir, "config.json"), 0644))
		},
		"gone": func(s *scene, dir string) {
			s.must(os.Rename(dir, dir+"-elsewhere"))
			s.Cleanup(func() { s.must(os.Rename(dir+"-elsewhere", dir)) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			asRoot(t)
			s := newScene(t)
			seen := t.TempDir()
			exe, err := os.Executable()
			s.must(err)
			hook := func(name string) []specs.Hook {
				return []specs.Hook{{Path: exe, Args: []string{"probe", "write", filepath.Join(seen, name)}}}
			}
			dir, root := s.bundle(func(c *specs.Spec) {
				c.Linux.Seccomp = on("getpid", specs.ActErrno, 77)
				c.Process.Env = []string{"A=create"}
				c.Mounts = append(c.Mounts, specs.Mount{Destination: "/seen", Source: seen, Type: "bind", Options: []string{"bind"}})
				c.Hooks = &specs.Hooks{Poststart: hook("poststart"), Poststop: hook("poststop"),
					StartContainer: []specs.Hook{{Path: "/probe", Args: []string{"probe", "write", "/seen/startContainer"}}}}
			}, "sleep")
			s.must(os.WriteFile(filepath.Join(root, "caller"), caller("", syscall.SYS_GETPID), 0755))
			id := unique(t)
			s.must(s.runtime.Create(id, CreateOptions{Bundle: dir}))
			defer s.runtime.Delete(id, true)
			spoil(s, dir)
			s.must(s.runtime.Start(id))
			if _, status, err := s.exec(id, ExecOptions{Args: []string{"/caller"}}); err != nil || status != 77 {
				t.Errorf("exec is not under the filter of create: %d, %v", status, err)
			}
			out, status, err := s.exec(id, ExecOptions{Args: []string{"/probe", "cat", "/proc/self/environ"}})
			if err != nil || status != 0 || !strings.Contains(out, "A=create") {
				t.Errorf("exec has the environment %q: %d, %v", out, status, err)
			}
			if err := s.runtime.Update(id, []byte(`{"pids": {"limit": 50}}`)); err != nil {
				t.Errorf("update: %v", err)
			}
			s.must(s.runtime.Kill(id, int(syscall.SIGKILL), false))
			await(t, s.runtime, id, Stopped)
			s.must(s.runtime.Delete(id, false))
			var ran []string
			entries, err := os.ReadDir(seen)
			s.must(err)
			for _, e := range entries {
				ran = append(ran, e.Name())
			}
			if want := []string{"poststart", "poststop", "startContainer"}; !slices.Equal(ran, want) {
				t.Errorf("the hooks that ran are %v, want %v", ran, want)
			}
			s.untouched(name)
		})
	}
}

// TestKeptConfigIsOnlyTheOwners: a config in the state directory that somebody else could have written is no basis for a process.
func TestKeptConfigIsOnlyTheOwners(t *testing.T) {
	asRoot(t)
	s := newScene(t)
	dir, _ := s.bundle(nil, "sleep")
	id := s.started(dir)
	kept := filepath.Join(s.runtime.Root, id, "config")
	st, err := os.Stat(kept)
	s.must(err)
	if st.Mode() != 0600 {
		t.Errorf("its mode is %v", st.Mode())
	}
	for what, spoil := range map[string]func(){
		"writable": func() { s.must(os.Chmod(kept, 0666)) },
		"foreign":  func() { s.must(os.Chmod(kept, 0600)); s.must(os.Chown(kept, 65534, 65534)) },
		"link":     func() { s.must(os.Remove(kept)); s.must(os.Symlink(filepath.Join(dir, "config.json"), kept)) },
		"pipe":     func() { s.must(os.Remove(kept)); s.must(syscall.Mkfifo(kept, 0600)) },
		"none":     func() { s.must(os.Remove(kept)) },
	} {
		before, err := os.ReadFile(filepath.Join(dir, "config.json"))
		s.must(err)
		spoil()
		if _, _, err := s.exec(id, ExecOptions{Args: []string{"/probe", "exit", "0"}}); err == nil || !strings.Contains(err.Error(), kept) {
			t.Errorf("%s: %v", what, err)
		}
		s.must(os.RemoveAll(kept))
		s.must(os.WriteFile(kept, before, 0600))
	}
	if _, status, err := s.exec(id, ExecOptions{Args: []string{"/probe", "exit", "0"}}); err != nil || status != 0 {
		t.Errorf("with the file in order: %d, %v", status, err)
	}
}
