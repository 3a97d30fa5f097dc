package conformance

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/semver"
	"golang.org/x/sys/unix"

	"github.com/berth-oci/berth/conformance/probe"
)

// Env is what the machine offers, probed once for a run.
type Env struct {
	Root         bool
	Kernel       string // release, uname(2)
	Machine      string
	Unified      bool              // cgroup v2 only
	Controllers  map[string]string // controller → directory of its hierarchy
	Filesystems  map[string]bool
	Namespaces   map[string]bool // types, as in /proc/self/ns
	Capabilities uint64          // this process's permitted set
	Declined     map[string]bool // features that the runtime under test declares unsupported
	kernel       [2]int
}

// A Need returns why a check cannot run on this machine, or "".
type Need func(*Env) string

// NewEnv looks at the machine.
func NewEnv() *Env {
	env := &Env{Root: os.Geteuid() == 0, Controllers: map[string]string{}, Filesystems: map[string]bool{}, Namespaces: map[string]bool{}}
	var uts unix.Utsname
	if unix.Uname(&uts) == nil {
		env.Kernel = unix.ByteSliceToString(uts.Release[:])
		env.Machine = unix.ByteSliceToString(uts.Machine[:])
		fmt.Sscanf(env.Kernel, "%d.%d", &env.kernel[0], &env.kernel[1])
	}
	env.findControllers()
	text, _ := os.ReadFile("/proc/filesystems")
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		env.Filesystems[fields[len(fields)-1]] = true
	}
	entries, _ := os.ReadDir("/proc/self/ns")
	for _, entry := range entries {
		env.Namespaces[entry.Name()] = true
	}
	env.Capabilities = permitted()
	return env
}

func permitted() uint64 {
	text, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(text)) {
		if value, found := strings.CutPrefix(line, "CapPrm:"); found {
			set, _ := strconv.ParseUint(strings.TrimSpace(value), 16, 64)
			return set
		}
	}
	return 0
}

// findControllers maps controllers to the directories of their hierarchies:
// cgroup v1 names them in the mount's options, cgroup v2 in cgroup.controllers.
func (e *Env) findControllers() {
	mounts, _ := probe.ReadMounts("/proc/self/mountinfo")
	v1 := false
	for _, mount := range mounts {
		switch mount.Type {
		case "cgroup":
			v1 = true
			for _, option := range mount.SuperOptions {
				if option != "rw" && option != "ro" {
					e.Controllers[option] = mount.Point
				}
			}
		case "cgroup2":
			e.Controllers[""] = mount.Point
			text, _ := os.ReadFile(filepath.Join(mount.Point, "cgroup.controllers"))
			for _, name := range strings.Fields(string(text)) {
				if e.Controllers[name] == "" {
					e.Controllers[name] = mount.Point
				}
			}
		}
	}
	e.Unified = !v1 && e.Controllers[""] != ""
}

// Describe is one line about the machine for a report.
func (e *Env) Describe() string {
	cgroups := "cgroup v1"
	if e.Unified {
		cgroups = "cgroup v2"
	} else if e.Controllers[""] != "" {
		cgroups = "cgroup v1 and v2 (hybrid)"
	}
	return fmt.Sprintf("Linux %s %s, %s", e.Kernel, e.Machine, cgroups)
}

// missing returns why a check cannot run, or "".
func (e *Env) missing(check Check, options *Options) string {
	if check.Since != "" && semver.Compare("v"+check.Since, "v"+options.Spec) > 0 {
		return fmt.Sprintf("the clause is of runtime-spec %s, the run is limited to %s", check.Since, options.Spec)
	}
	if !e.Root && !check.Unprivileged {
		return "needs root"
	}
	if e.Declined[check.Feature] {
		return fmt.Sprintf("the runtime declares %s unsupported, which it may (config.md, Valid values)", check.Feature)
	}
	for _, need := range check.Needs {
		if reason := need(e); reason != "" {
			return reason
		}
	}
	return ""
}

func needKernel(major, minor int) Need {
	return func(e *Env) string {
		if e.kernel[0] > major || e.kernel[0] == major && e.kernel[1] >= minor {
			return ""
		}
		return fmt.Sprintf("needs kernel %d.%d, this is %s", major, minor, e.Kernel)
	}
}

func needController(name string) Need {
	return func(e *Env) string {
		if e.Controllers[name] != "" {
			return ""
		}
		return fmt.Sprintf("needs the cgroup controller %q, which is not mounted", name)
	}
}

func needV1(e *Env) string {
	if e.Unified {
		return "needs cgroup v1"
	}
	return ""
}

func needUnified(e *Env) string {
	if e.Unified {
		return ""
	}
	return "needs cgroup v2 as the only hierarchy"
}

func needFilesystem(name string) Need {
	return func(e *Env) string {
		if e.Filesystems[name] {
			return ""
		}
		return fmt.Sprintf("needs the filesystem %s, which this kernel does not list", name)
	}
}

func needNamespace(name string) Need {
	return func(e *Env) string {
		if e.Namespaces[name] {
			return ""
		}
		return fmt.Sprintf("needs %s namespaces, which this kernel lacks", name)
	}
}

func needCapability(name string, number int) Need {
	return func(e *Env) string {
		if e.Capabilities&(1<<number) != 0 {
			return ""
		}
		return fmt.Sprintf("needs %s, which this process does not hold", name)
	}
}

func needFile(path string) Need {
	return func(*Env) string {
		if _, err := os.Stat(path); err == nil {
			return ""
		}
		return fmt.Sprintf("needs %s, which this machine lacks", path)
	}
}

func needMachine(names ...string) Need {
	return func(e *Env) string {
		for _, name := range names {
			if e.Machine == name {
				return ""
			}
		}
		return fmt.Sprintf("needs one of the machines %s, this is %s", strings.Join(names, ", "), e.Machine)
	}
}
