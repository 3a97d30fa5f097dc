// Package leak finds out whether a runtime leaves anything behind.
//
// A leak check looks at everything a runtime could own before and after a
// container's life, and names what is new. On a machine where other work goes
// on, most of what is new belongs to others; so the check does not look at the
// machine. It makes a small world: a process that is the first of its own pid
// namespace, with its own mounts (fresh /tmp, /var/tmp, /run, /dev/shm), network
// and ipc namespace, and lets the runtime work in there. What is left in that world
// is the runtime's. Cgroups, keyrings and loop devices have no such walls; there
// the containers' ids, which hold a random mark, tell the owner.
//
// The runtime is not trusted: the world ends with its first process, and
// everything in it with the world.
package leak

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-oci/berth/conformance"
	"github.com/berth-oci/berth/conformance/probe"
)

// Options tune a check. The zero value tries every scenario.
type Options struct {
	// Probe is a static executable that imports package probe; empty means the running program.
	Probe string
	// Filter is a regular expression; scenarios whose name does not match are left out.
	Filter string
	// Timeout bounds one command of the runtime; 0 means 30 seconds.
	Timeout time.Duration
}

// Finding is one thing that was left behind.
type Finding struct {
	Scenario string `json:"scenario"`
	Kind     string `json:"kind"` // process mount cgroup link descriptor file keyring loop shm
	Name     string `json:"name"`
}

// String is the finding in one line.
func (f Finding) String() string {
	return fmt.Sprintf("%s: %s left behind: %s", f.Scenario, f.Kind, f.Name)
}

// Report is what a check found.
type Report struct {
	Runtime   conformance.Runtime `json:"runtime"`
	Scenarios []ScenarioResult    `json:"scenarios"`
}

// ScenarioResult is one life of a container and what it left. Problem tells
// why a scenario did not go as planned; what it left behind counts all the same.
type ScenarioResult struct {
	Name     string    `json:"name"`
	Findings []Finding `json:"findings,omitempty"`
	Problem  string    `json:"problem,omitempty"`
}

// Leaked returns all findings.
func (r Report) Leaked() []Finding {
	var found []Finding
	for _, scenario := range r.Scenarios {
		found = append(found, scenario.Findings...)
	}
	return found
}

// Problems returns the scenarios that did not go as planned, so that a check
// of a runtime that does nothing cannot pass as clean.
func (r Report) Problems() []string {
	var found []string
	for _, scenario := range r.Scenarios {
		if scenario.Problem != "" {
			found = append(found, scenario.Name+": "+scenario.Problem)
		}
	}
	return found
}

// ErrNotRoot tells that the check cannot make its world.
var ErrNotRoot = errors.New("the leak check needs root, to make namespaces of its own")

// worldName is the base name of argv[0] in the first process of the world.
const worldName = "conformance-leak"

// order is what the check tells the first process of its world.
type order struct {
	Runtime conformance.Runtime
	Probe   string
	Mark    string
	Filter  string
	Timeout time.Duration
}

func init() {
	if len(os.Args) == 2 && filepath.Base(os.Args[0]) == worldName {
		os.Exit(worldMain(os.Args[1]))
	}
}

// Check lets the runtime run through every scenario and reports what it left
// behind. The error tells that the check could not take place.
func Check(ctx context.Context, target conformance.Runtime, options Options) (Report, error) {
	if os.Geteuid() != 0 {
		return Report{}, ErrNotRoot
	}
	work, err := prepare(target, options)
	if err != nil {
		return Report{}, err
	}
	defer removeMarked(work.Mark)
	text, err := json.Marshal(work)
	if err != nil {
		return Report{}, err
	}
	output, err := inWorld(ctx, string(text))
	if err != nil {
		return Report{}, err
	}
	report := Report{Runtime: work.Runtime}
	if err := json.Unmarshal(output, &report.Scenarios); err != nil {
		return report, fmt.Errorf("cannot read the result of the leak check: %w", err)
	}
	return report, nil
}

func prepare(target conformance.Runtime, options Options) (order, error) {
	path, err := exec.LookPath(target.Path)
	if err == nil {
		target.Path, err = filepath.Abs(path)
	}
	if err != nil {
		return order{}, fmt.Errorf("cannot find the runtime %q: %w", target.Path, err)
	}
	if options.Probe == "" {
		if options.Probe, err = os.Executable(); err != nil {
			return order{}, fmt.Errorf("cannot find the probe: %w", err)
		}
	}
	if static, err := probe.Static(options.Probe); err != nil {
		return order{}, fmt.Errorf("cannot use the probe: %w", err)
	} else if !static {
		return order{}, fmt.Errorf("cannot use %s as the probe: it is dynamically linked; build with CGO_ENABLED=0 or name another probe", options.Probe)
	}
	if options.Timeout <= 0 {
		options.Timeout = 30 * time.Second
	}
	if chosen, err := choose(options.Filter); err != nil {
		return order{}, err
	} else if len(chosen) == 0 {
		return order{}, fmt.Errorf("cannot check for leaks: no scenario matches %q", options.Filter)
	}
	mark := make([]byte, 6)
	if _, err := rand.Read(mark); err != nil {
		return order{}, err
	}
	return order{Runtime: target, Probe: options.Probe, Mark: "leak" + hex.EncodeToString(mark), Filter: options.Filter, Timeout: options.Timeout}, nil
}

// inWorld starts this program again as the first process of a new world.
func inWorld(ctx context.Context, text string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Args = []string{worldName, text}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWIPC,
		Pdeathsig:  syscall.SIGKILL,
	}
	var output, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &output, &complaint, 10*time.Second
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("cannot complete the leak check: %w: %s", err, bytes.TrimSpace(complaint.Bytes()))
	}
	return output.Bytes(), nil
}

// choose returns the scenarios whose name matches a regular expression.
func choose(filter string) ([]scenario, error) {
	match, err := regexp.Compile(filter)
	if err != nil {
		return nil, fmt.Errorf("cannot choose scenarios: %w", err)
	}
	var chosen []scenario
	for _, each := range scenarios {
		if match.MatchString(each.name) {
			chosen = append(chosen, each)
		}
	}
	return chosen, nil
}
