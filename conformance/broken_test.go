package conformance

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A broken runtime is runc behind a wrapper that spoils one thing: the
// configuration before create, or the answer of one operation.
type broken struct {
	check  string // that must find it
	config string // sed script for config.json
	state  string // sed script for the output of state
	shell  string // shell text in place of the runtime, for one operation
}

var brokenRuntimes = []broken{
	{check: "lifecycle/start/running", shell: `start) real "$@"; exit 0`},
	{check: "lifecycle/start/runs-program", shell: `start) exit 0`},
	{check: "lifecycle/kill/running-by-name", shell: `kill) exit 0`},
	{check: "lifecycle/kill/stopped", shell: `kill) real "$@"; exit 0`},
	{check: "lifecycle/delete/stopped", shell: `delete) case "$*" in *--force*) real "$@";; esac; exit 0`},
	{check: "lifecycle/delete/running", shell: `delete) real "$@" || for id; do :; done; real "$1" "$2" delete --force "$id"; exit 1`},
	{check: "lifecycle/delete/removes-cgroups", shell: `delete) real "$@"; code=$?; for id; do :; done; mkdir /sys/fs/cgroup/pids/$id 2>/dev/null || mkdir /sys/fs/cgroup/$id; exit $code`},
	{check: "lifecycle/create/duplicate-id", shell: `create) real "$@"; exit 0`},
	{check: "state/status-created", state: `s/"status": "created"/"status": "running"/`},
	{check: "state/status-stopped", state: `s/"status": "stopped"/"status": "running"/`},
	{check: "state/pid-created", state: `s/"pid": [0-9]*/"pid": 1/`},
	{check: "state/bundle", state: `s/"bundle": "[^"]*"/"bundle": "\/"/`},
	{check: "state/annotations", state: `s/"annotations"/"remarks"/`},
	{check: "state/schema", state: `s/"pid": \([0-9]*\)/"pid": "\1"/`},
	{check: "process/env", config: `s/EMPTY=/FULL=/`},
	{check: "process/args", config: `s/two words/two/`},
	{check: "process/cwd", config: `s/"cwd": "[^"]*"/"cwd": "\/"/`},
	{check: "process/rlimits", config: `s/"rlimits"/"dropped"/`},
	{check: "process/rlimits-hard", config: `s/"hard": [0-9]*/"hard": 4294967296/`},
	{check: "process/capabilities/bounding", config: `s/"CAP_CHOWN"/"CAP_SETPCAP"/`},
	{check: "process/capabilities/ambient", config: `s/"ambient"/"dropped"/`},
	{check: "process/no-new-privileges/set", config: `s/"noNewPrivileges"/"dropped"/`},
	{check: "process/no-new-privileges/set-id-program", config: `s/"noNewPrivileges"/"dropped"/`},
	{check: "process/oom-score-adj/set", config: `s/"oomScoreAdj"/"dropped"/`},
	{check: "user/ids", config: `s/"uid": [0-9]*/"uid": 0/`},
	{check: "user/additional-gids", config: `s/"additionalGids"/"dropped"/`},
	{check: "user/umask", config: `s/"umask"/"dropped"/`},
	{check: "hostname/set", config: `s/"hostname": "[^"]*"/"hostname": "other"/`},
	{check: "root/readonly/refuses-writes", config: `s/"readonly"/"dropped"/`},
	{check: "mounts/order", config: `s/"destination": "\/mnt\/volume"/"destination": "\/elsewhere"/`},
	{check: "mounts/bind/ro-refuses-writes", config: `s/"ro"/"rw"/`},
	{check: "mounts/option/noexec", config: `/\/mnt/,/]/s/"noexec"/"exec"/`},
	{check: "hooks/poststop/phase", config: `s/"poststop"/"dropped"/`},
	{check: "hooks/createRuntime/phase", config: `s/"createRuntime"/"poststop"/`},
	{check: "hooks/args-and-env", config: `s/HOOK_VARIABLE/OTHER/`},
	{check: "devices/given/character", config: `s/"devices"/"dropped"/`},
	{check: "devices/given/mode-and-owner", config: `s/"fileMode"/"dropped"/`},
	{check: "paths/masked/file", config: `s/"maskedPaths"/"dropped"/`},
	{check: "paths/readonly/directory", config: `s/"readonlyPaths"/"dropped"/`},
	{check: "sysctl/network", config: `s/"sysctl"/"dropped"/`},
	{check: "cgroups/pids/limit", config: `s/"pids"/"dropped"/`},
	{check: "cgroups/pids/limit-in-effect", config: `s/"pids"/"dropped"/`},
	{check: "cgroups/memory/limit", config: `s/"memory"/"dropped"/`},
	{check: "seccomp/errno", config: `s/"seccomp"/"dropped"/`},
	{check: "seccomp/operator/SCMP_CMP_GT", config: `s/SCMP_CMP_GT/SCMP_CMP_GE/`},
	{check: "namespaces/cgroup/new", config: `s/"type": "cgroup"/"type": "ipc", "path": "\/proc\/self\/ns\/ipc"/;s/"type": "ipc"$/"type": "mount"/`},
	{check: "namespaces/ipc/joined-by-path", config: `/"type": "ipc"/,/}/s/"path": "[^"]*"/"dropped": ""/`},
}

func (b broken) script(real string) string {
	script := "#!/bin/sh\nreal() { " + real + " \"$@\"; }\n" // called as: --root DIR VERB ...
	script += "verb=$3\n"
	if b.shell != "" {
		script += "case $verb in " + b.shell + ";; esac\n"
	}
	if b.config != "" {
		script += "[ $verb = create ] && sed -i '" + b.config + "' \"$5/config.json\"\n"
	}
	if b.state != "" {
		script += "[ $verb = state ] && { out=$(real \"$@\") || exit; echo \"$out\" | sed '" + b.state + "'; exit; }\n"
	}
	return script + "real \"$@\"\n"
}

// TestBrokenRuntimesAreCaught proves that checks can fail: the one named must
// pass for runc and fail for runc behind a wrapper that spoils its subject.
func TestBrokenRuntimesAreCaught(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("running containers needs root")
	}
	real, err := exec.LookPath("runc")
	if err != nil {
		t.Skip("runc is not installed")
	}
	var names []string
	for _, b := range brokenRuntimes {
		names = append(names, b.check)
	}
	sound := map[string]Result{}
	for _, result := range judge(t, Runtime{Path: real}, "^("+strings.Join(names, "|")+")$").Results {
		sound[result.Name] = result
	}
	for _, b := range brokenRuntimes {
		t.Run(b.check, func(t *testing.T) {
			if sound[b.check].Outcome == Skip {
				t.Skipf("the check does not run here: %v", sound[b.check].Reasons)
			}
			if sound[b.check].Outcome != Pass {
				t.Errorf("the check does not pass for the sound runtime: %v", sound[b.check].Reasons)
			}
			wrapper := filepath.Join(t.TempDir(), "broken")
			if err := os.WriteFile(wrapper, []byte(b.script(real)), 0o755); err != nil {
				t.Fatal(err)
			}
			spoilt := judge(t, Runtime{Path: wrapper}, "^"+b.check+"$")
			if len(spoilt.Failed()) != 1 {
				t.Errorf("the check does not find the broken runtime: it says %s", spoilt.Results[0].Outcome)
			}
		})
	}
}
