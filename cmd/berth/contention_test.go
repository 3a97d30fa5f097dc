package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// contested makes a bundle for containers whose cgroups lie below parent, and returns a way to call berth on its own state
// directory.
func contested(t *testing.T, cgroup string) (dir string, berth func(args ...string) error) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: the container is made in this machine's own cgroups")
	}
	dir = t.TempDir()
	if err := makeRootfs(filepath.Join(dir, "rootfs")); err != nil {
		t.Skipf("needs busybox: %v", err)
	}
	berth = func(args ...string) error {
		cmd := exec.Command("berth", append([]string{"--root", filepath.Join(dir, "state")}, args...)...)
		log, err := os.CreateTemp(dir, "log") // no pipe: a container keeps it open
		if err != nil {
			return err
		}
		defer log.Close()
		cmd.Dir, cmd.Stdout, cmd.Stderr = dir, log, log
		if err := cmd.Run(); err != nil {
			text, _ := os.ReadFile(log.Name())
			return fmt.Errorf("%v: %w: %s", args, err, text)
		}
		return nil
	}
	if err := berth("spec"); err != nil {
		t.Fatal(err)
	}
	patchConfig(t, dir, map[string]any{"process": map[string]any{"terminal": false, "args": []any{"sleep", "1000"}},
		"linux": map[string]any{"cgroupsPath": cgroup}})
	t.Cleanup(func() { nothingLeft(t, filepath.Join(dir, "state"), cgroup) })
	return dir, berth
}

// patchConfig merges the patch into the bundle's config.json.
func patchConfig(t *testing.T, dir string, patch map[string]any) {
	t.Helper()
	path := filepath.Join(dir, "config.json")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var config any
	if err := json.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	if text, err = json.Marshal(merge(config, patch)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// nothingLeft looks for containers, their mounts and their cgroups.
func nothingLeft(t *testing.T, state, cgroup string) {
	if ids, _ := os.ReadDir(state); len(ids) > 0 {
		t.Errorf("%d containers are left, the first %s", len(ids), ids[0].Name())
		removeContainers(t, state)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || strings.Contains(string(mounts), filepath.Dir(state)) {
		t.Errorf("mounts are left: %v", err)
	}
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); len(f) > 4 && strings.Contains(line, " - cgroup") {
			if _, err := os.Lstat(f[4] + cgroup); err == nil {
				t.Errorf("cgroup %s is left", f[4]+cgroup)
			}
		}
	}
}

// TestManyContainersAtOnceLeaveNothing has a bundle for each, below one directory of cgroups that all of them make and remove.
func TestManyContainersAtOnceLeaveNothing(t *testing.T) {
	const containers, atOnce = 200, 40
	parent := fmt.Sprintf("/berth-test-many-%d", os.Getpid())
	dir, berth := contested(t, parent)
	config, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	queue := make(chan int, containers)
	for i := range containers {
		queue <- i
	}
	close(queue)
	together(atOnce, func(int) {
		for i := range queue {
			id := fmt.Sprintf("many%d", i)
			bundle := filepath.Join(dir, id)
			text := strings.Replace(string(config), `"`+parent+`"`, `"`+parent+"/deep/"+id+`"`, 1)
			text = strings.Replace(text, `"path":"rootfs"`, `"path":"`+filepath.Join(dir, "rootfs")+`"`, 1)
			err := os.Mkdir(bundle, 0o700)
			if err == nil {
				err = os.WriteFile(filepath.Join(bundle, "config.json"), []byte(text), 0o600)
			}
			if err == nil {
				err = berth("create", "--bundle", bundle, id)
			}
			if err == nil && i%2 == 0 {
				err = errors.Join(berth("start", id), berth("exec", id, "true"))
			}
			if err == nil {
				err = berth("delete", "--force", id)
			}
			if err != nil {
				t.Error(err)
			}
		}
	})
}

func TestOfManyCreatesOfOneIDOneWins(t *testing.T) {
	_, berth := contested(t, fmt.Sprintf("/berth-test-contested-%d", os.Getpid()))
	for range 5 {
		const many = 8
		errs := make([]error, many)
		together(many, func(i int) { errs[i] = berth("create", "one") })
		won := 0
		for _, err := range errs {
			switch {
			case err == nil:
				won++
			case !strings.Contains(err.Error(), "already exists"):
				t.Errorf("refused with: %v", err)
			}
		}
		if won != 1 {
			t.Fatalf("%d of %d creates succeeded", won, many)
		}
		together(many, func(i int) { errs[i] = berth("start", "one") })
		won = 0
		for _, err := range errs {
			if err == nil {
				won++
			}
		}
		if won != 1 {
			t.Errorf("%d of %d starts succeeded", won, many)
		}
		if err := berth("exec", "one", "true"); err != nil {
			t.Error(err)
		}
		together(many, func(i int) { errs[i] = berth("delete", "--force", "one") })
		for _, err := range errs {
			if err != nil {
				t.Errorf("delete by force: %v", err)
			}
		}
	}
}

func TestCreateAgainstDeleteLeavesNothing(t *testing.T) {
	_, berth := contested(t, fmt.Sprintf("/berth-test-against-%d", os.Getpid()))
	for range 15 {
		together(4, func(i int) {
			if i%2 == 0 {
				_ = berth("create", "one") // wins, or comes too late or too early
			} else if err := berth("delete", "--force", "one"); err != nil {
				t.Error(err)
			}
		})
	}
	if err := berth("delete", "--force", "one"); err != nil {
		t.Error(err)
	}
	if err := berth("run", "--detach", "one"); err != nil {
		t.Error(err)
	}
	if err := berth("delete", "--force", "one"); err != nil {
		t.Error(err)
	}
}

// together calls do for 0 to n-1 at once.
func together(n int, do func(i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { do(i) })
	}
	all.Wait()
}
