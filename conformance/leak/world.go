package leak

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Paths in the world; /run is a fresh tmpfs there.
const (
	bundles   = "/run/conformance"
	runtimeAt = bundles + "/runtime"
	probeAt   = bundles + "/probe"
	stateAt   = "/run/state"
)

// worldMain is the first process of the world: it furnishes it, plays the
// scenarios and prints the results as JSON.
func worldMain(text string) int {
	var work order
	if err := json.Unmarshal([]byte(text), &work); err != nil {
		fmt.Fprintf(os.Stderr, "cannot read the order: %v\n", err)
		return 2
	}
	if err := furnish(work); err != nil {
		fmt.Fprintf(os.Stderr, "cannot furnish the world: %v\n", err)
		return 2
	}
	var results []ScenarioResult
	chosen, err := choose(work.Filter)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	for i, scenario := range chosen {
		results = append(results, play(work, i, scenario))
	}
	if err := json.NewEncoder(os.Stdout).Encode(results); err != nil {
		return 2
	}
	return 0
}

// furnish makes the mounts of the world. The runtime and the probe are opened
// before anything is covered, since they may lie in a place that will be.
func furnish(work order) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("cannot make mounts private: %w", err)
	}
	files := map[string]*os.File{}
	for target, path := range map[string]string{runtimeAt: work.Runtime.Path, probeAt: work.Probe} {
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		defer file.Close()
		files[target] = file
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("cannot mount /proc: %w", err)
	}
	for _, place := range places {
		if err := unix.Mount("tmpfs", place, "tmpfs", 0, "mode=1777"); err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("cannot mount %s: %w", place, err)
		}
	}
	if err := os.MkdirAll(stateAt, 0o711); err != nil {
		return err
	}
	if err := os.Mkdir(bundles, 0o755); err != nil {
		return err
	}
	for target, file := range files {
		if err := copyTo(target, file); err != nil {
			return err
		}
	}
	return nil
}

func copyTo(path string, source *os.File) error {
	target, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	return errors.Join(err, target.Close())
}

// play takes a snapshot, lets the scenario happen, and waits for the world to
// be as it was: the kernel takes namespaces, cgroups and keyrings down in its own
// time, so what is gone within a few seconds is no leak.
func play(work order, number int, scenario scenario) ScenarioResult {
	result := ScenarioResult{Name: scenario.name}
	life := &life{work: work, id: fmt.Sprintf("%s-%d", work.Mark, number)}
	if err := life.bundle(); err != nil {
		result.Problem = err.Error()
		return result
	}
	before := Take(work.Mark)
	if err := scenario.play(life); err != nil {
		result.Problem = err.Error()
	}
	deadline := time.Now().Add(patience)
	for {
		reap()
		result.Findings = New(scenario.name, before, Take(work.Mark))
		if len(result.Findings) == 0 || time.Now().After(deadline) {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	life.clear()
	return result
}

// patience is how long the kernel may take to finish what was asked of it.
const patience = 3 * time.Second

// reap collects the zombies that fall to the first process of a pid namespace.
func reap() {
	for {
		pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil)
		if pid <= 0 && !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// removeMarked removes cgroups that a leaking runtime left on the machine;
// the rest of the world is gone with its first process.
func removeMarked(mark string) {
	for range 50 {
		left := 0
		for _, dir := range cgroups(mark) {
			left++
			_ = removeTree(dir)
		}
		if left == 0 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// removeTree removes a cgroup and those in it, innermost first.
func removeTree(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.IsDir() {
			_ = removeTree(filepath.Join(dir, entry.Name()))
		}
	}
	return unix.Rmdir(strings.TrimSuffix(dir, "/"))
}
