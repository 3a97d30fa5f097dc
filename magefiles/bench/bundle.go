package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

// bundles are the folders that the runtimes get, all with the same root file system.
type bundles struct {
	dir, true, trueSeccomp, sleep, sleepSeccomp, limited string
}

// ociVersion is that of the bundles: the newest that the peers of Debian 12 accept.
const ociVersion = "1.0.2"

func writeBundles(dir, specifier string, seccomp []byte) (bundles, error) {
	b := bundles{dir, filepath.Join(dir, "true"), filepath.Join(dir, "true-seccomp"), filepath.Join(dir, "sleep"),
		filepath.Join(dir, "sleep-seccomp"), filepath.Join(dir, "limited")}
	sleep := []string{"sleep", "1000000"}
	for _, w := range []struct {
		dir     string
		args    []string
		seccomp []byte
	}{
		{b.true, []string{"/bin/true"}, nil}, {b.trueSeccomp, []string{"/bin/true"}, seccomp}, {b.sleep, sleep, nil},
		{b.sleepSeccomp, sleep, seccomp}, {b.limited, []string{"/bin/true"}, nil},
	} {
		if err := writeBundle(w.dir, specifier, w.args...); err != nil {
			return b, err
		}
		if w.seccomp == nil {
			continue
		}
		err := edit(w.dir, func(config map[string]any) error {
			return set(config, json.RawMessage(w.seccomp), "linux", "seccomp")
		})
		if err != nil {
			return b, err
		}
	}
	return b, nil
}

// limit sets the memory limit of the limited bundle, in bytes.
func (b bundles) limit(n int64) error {
	return edit(b.limited, func(config map[string]any) error { return set(config, n, "linux", "resources", "memory", "limit") })
}

// writeBundle lays out the bundle that a runtime's spec verb describes, with busybox for its root file system.
func writeBundle(dir, specifier string, args ...string) error {
	bin := filepath.Join(dir, "rootfs", "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return err
	}
	busybox, err := os.ReadFile("/bin/busybox")
	if err != nil {
		return fmt.Errorf("%w\nhint: apt install busybox-static", err)
	}
	for _, name := range []string{"true", "sleep"} {
		if err := os.WriteFile(filepath.Join(bin, name), busybox, 0o755); err != nil {
			return err
		}
	}
	cmd := exec.Command(specifier, "spec")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("spec: %w\n%s", err, out)
	}
	return edit(dir, func(config map[string]any) error {
		config["ociVersion"] = ociVersion
		return errors.Join(set(config, false, "process", "terminal"), set(config, args, "process", "args"))
	})
}

// edit changes a bundle's configuration.
func edit(dir string, change func(config map[string]any) error) error {
	path := filepath.Join(dir, "config.json")
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var config map[string]any
	if err := json.Unmarshal(text, &config); err != nil {
		return err
	}
	if err := change(config); err != nil {
		return err
	}
	if text, err = json.Marshal(config); err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o644)
}

// set puts a value at a path of names. The first name must be there: a configuration without it is not what was expected.
func set(config map[string]any, value any, path ...string) error {
	at, ok := config[path[0]].(map[string]any)
	if !ok {
		return fmt.Errorf("the example configuration has no %q", path[0])
	}
	for _, name := range path[1 : len(path)-1] {
		next, ok := at[name].(map[string]any)
		if !ok {
			next = map[string]any{}
			at[name] = next
		}
		at = next
	}
	at[path[len(path)-1]] = value
	return nil
}

// privately calls f on a thread in a mount namespace of its own, in which a v2 hierarchy beside v1's is out of sight where it has
// controllers: crun takes no such tree. f must start its processes itself, not on another goroutine.
func privately(f func(hidden string) error) error {
	const unified = "/sys/fs/cgroup/unified"
	if os.Geteuid() != 0 {
		return errors.New("it needs root")
	}
	controllers, _ := os.ReadFile(unified + "/cgroup.controllers")
	if strings.TrimSpace(string(controllers)) == "" {
		return f("")
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		err := syscall.Unshare(syscall.CLONE_NEWNS)
		if err == nil {
			err = syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, "")
		}
		if err == nil {
			err = syscall.Unmount(unified, syscall.MNT_DETACH)
		}
		if err == nil {
			err = f(unified)
		}
		done <- err
	}()
	return <-done
}
