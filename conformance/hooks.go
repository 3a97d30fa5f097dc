package conformance

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-oci/berth/conformance/probe"
)

// hookKinds in the order of the lifecycle.
var hookKinds = []string{"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"}

// hookAnchors are the sections of config.md.
var hookAnchors = map[string]string{
	"prestart": "configHooksPrestart", "createRuntime": "configHooksCreateRuntime", "createContainer": "configHooksCreateContainer",
	"startContainer": "configHooksStartContainer", "poststart": "configHooksPoststart", "poststop": "configHooksPoststop",
}

// config.md, section POSIX-platform Hooks.
var hookChecks = slices.Concat(perHook(), []Check{
	{Name: "hooks/order-of-all-kinds", Run: func(t *T) { hookOrder(t, hookKinds...) }, Strict: true,
		Clause: must("runtime.md", "runtimeLifecycle", "The startContainer hooks MUST be invoked by the runtime")},
	{Name: "hooks/order-prestart-first", Run: func(t *T) { hookOrder(t, "prestart", "createRuntime") },
		Clause: must("config.md", "configHooksPrestart", "The prestart hooks MUST be called before the createRuntime hooks")},
	{Name: "hooks/order-create-container-after-create-runtime", Run: func(t *T) { hookOrder(t, "createRuntime", "createContainer") },
		Clause: must("config.md", "configHooksCreateContainer", "The createContainer hooks MUST be called after the createRuntime hooks")},
	{Name: "hooks/order-listed", Run: hookListed,
		Clause: must("config.md", "configHooks", "Hooks MUST be called in the listed order")},
	{Name: "hooks/before-program", Run: hookBeforeProgram,
		Clause: must("config.md", "configHooksStartContainer", "The startContainer hooks MUST be called before the user-specified process is executed as part of the start operation")},
	{Name: "hooks/args-and-env", Run: hookArguments,
		Clause: must("config.md", "configHooks", "args (array of strings, OPTIONAL) with the same semantics as IEEE Std 1003.1-2008 execv's argv")},
	{Name: "hooks/env-not-inherited", Run: hookEnvironment,
		Clause: must("config.md", "configHooks", "env (array of strings, OPTIONAL) with the same semantics as IEEE Std 1003.1-2008's environ")},
	{Name: "hooks/path-relative", Run: hookRelative,
		Clause: must("config.md", "configHooks", "This specification extends the IEEE standard in that path MUST be absolute")},
	{Name: "hooks/path-missing", Run: hookMissing,
		Clause: must("runtime.md", "runtimeLifecycle", "If any createRuntime hook fails, the runtime MUST generate an error, stop the container, and continue the lifecycle at step 12")},
	{Name: "hooks/timeout-zero", Run: func(t *T) { hookTimeout(t, 0) }, Strict: true,
		Clause: must("config.md", "configHooks", "If set, timeout MUST be greater than zero")},
	{Name: "hooks/timeout-negative", Run: func(t *T) { hookTimeout(t, -1) }, Strict: true,
		Clause: must("config.md", "configHooks", "If set, timeout MUST be greater than zero")},
	{Name: "hooks/timeout-aborts", Run: hookTimeoutAborts,
		Clause: must("config.md", "configHooks", "timeout (int, OPTIONAL) is the number of seconds before aborting the hook")},
	{Name: "hooks/fail/prestart", Run: func(t *T) { hookFailsCreate(t, "prestart") },
		Clause: must("runtime.md", "runtimeLifecycle", "If any prestart hook fails, the runtime MUST generate an error, stop the container, and continue the lifecycle at step 12")},
	{Name: "hooks/fail/createRuntime", Run: func(t *T) { hookFailsCreate(t, "createRuntime") },
		Clause: must("runtime.md", "runtimeLifecycle", "If any createRuntime hook fails, the runtime MUST generate an error, stop the container, and continue the lifecycle at step 12")},
	{Name: "hooks/fail/createContainer", Run: func(t *T) { hookFailsCreate(t, "createContainer") },
		Clause: must("runtime.md", "runtimeLifecycle", "If any createContainer hook fails, the runtime MUST generate an error, stop the container, and continue the lifecycle at step 12")},
	{Name: "hooks/fail/startContainer", Run: func(t *T) { hookFailsStart(t, "startContainer") }, Strict: true,
		Clause: must("runtime.md", "runtimeLifecycle", "If any startContainer hook fails, the runtime MUST generate an error, stop the container, and continue the lifecycle at step 12")},
	{Name: "hooks/fail/poststart", Run: func(t *T) { hookFailsStart(t, "poststart") }, Strict: true,
		Clause: must("runtime.md", "runtimeLifecycle", "If any poststart hook fails, the runtime MUST generate an error, stop the container, and continue the lifecycle at step 12")},
	{Name: "hooks/fail/poststop-rest-still-run", Run: hookPoststopFails, Strict: true,
		Clause: must("runtime.md", "runtimeLifecycle", "If any poststop hook fails, the runtime MUST log a warning, but the remaining hooks and lifecycle continue as if the hook had succeeded")},
	{Name: "hooks/fail/poststop-runs-after-failed-create", Run: hookPoststopAfterFailure, Strict: true,
		Clause: must("runtime.md", "runtimeLifecycle", "The poststop hooks MUST be invoked by the runtime")},
	{Name: "hooks/create-container/mounts-are-made", Run: hookSeesMounts,
		Clause: must("config.md", "configHooksCreateContainer", "For example, on Linux this would happen before the pivot_root operation is executed but after the mount namespace was created and setup")},
	{Name: "hooks/poststart/program-was-executed", Run: hookPoststartLate, Strict: true,
		Clause: must("config.md", "configHooksPoststart", "The poststart hooks MUST be called after the user-specified process is executed but before the start operation returns")},
	{Name: "hooks/poststop/container-is-gone", Run: hookPoststopLate,
		Clause: must("config.md", "configHooksPoststop", "The poststop hooks MUST be called after the container is deleted but before the delete operation returns")},
})

// perHook makes the checks that every kind of hook must meet alike.
func perHook() []Check {
	phase := map[string]string{
		"prestart":        "The prestart hooks MUST be called as part of the create operation after the runtime environment has been created",
		"createRuntime":   "The createRuntime hooks MUST be called as part of the create operation after the runtime environment has been created",
		"createContainer": "The createContainer hooks MUST be called as part of the create operation after the runtime environment has been created",
		"startContainer":  "The startContainer hooks MUST be called before the user-specified process is executed as part of the start operation",
		"poststart":       "The poststart hooks MUST be called after the user-specified process is executed but before the start operation returns",
		"poststop":        "The poststop hooks MUST be called after the container is deleted but before the delete operation returns",
	}
	var checks []Check
	for _, kind := range hookKinds {
		where := "runtime"
		if kind == "createContainer" || kind == "startContainer" {
			where = "container"
		}
		checks = append(checks,
			Check{Name: "hooks/" + kind + "/phase", Strict: kind == "poststart", Run: func(t *T) { hookPhase(t, kind) }, Clause: must("config.md", hookAnchors[kind], phase[kind])},
			Check{Name: "hooks/" + kind + "/namespace", Run: func(t *T) { hookNamespace(t, kind, where) },
				Clause: must("config.md", hookAnchors[kind], fmt.Sprintf("The %s hooks MUST be executed in the %s namespace", kind, where))},
			Check{Name: "hooks/" + kind + "/state-on-stdin", Strict: true, Run: func(t *T) { hookState(t, kind) },
				Clause: must("config.md", "configHooks", "The state of the container MUST be passed to hooks over stdin so that they may do work appropriate to the current state of the container")},
		)
	}
	return checks
}

// hookList returns the list of a kind.
func hookList(config *specs.Spec, kind string) *[]specs.Hook {
	if config.Hooks == nil {
		config.Hooks = &specs.Hooks{}
	}
	h := config.Hooks
	//lint:ignore SA1019 deprecated, and still to be supported by every runtime
	prestart := &h.Prestart
	return map[string]*[]specs.Hook{
		"prestart":      prestart,
		"createRuntime": &h.CreateRuntime, "createContainer": &h.CreateContainer, "startContainer": &h.StartContainer,
		"poststart": &h.Poststart, "poststop": &h.Poststop,
	}[kind]
}

// hookPath is the path of the probe as hooks of a kind find it.
func (t *T) hookPath(kind string) string {
	if kind == "startContainer" {
		return probe.Path
	}
	return t.options.Probe
}

// hookedContainer is a container with a log that hooks and program write to.
type hookedContainer struct {
	*Container
	config *specs.Spec
	log    string
}

func (t *T) hooked(ops ...probe.Op) *hookedContainer {
	config := t.Config(append([]probe.Op{{Do: "log", Path: "/hooks.log"}, {Do: "label", Data: "program"}}, ops...)...)
	h := &hookedContainer{Container: t.Container(config), config: config}
	h.log = h.Host("/hooks.log")
	return h
}

// add appends a hook that logs its label and performs ops, and rewrites config.json.
func (h *hookedContainer) add(kind, label string, ops ...probe.Op) *specs.Hook {
	log := h.log
	if kind == "startContainer" {
		log = "/hooks.log"
	}
	all := append([]probe.Op{{Do: "log", Path: log}, {Do: "label", Data: label}}, ops...)
	list := hookList(h.config, kind)
	*list = append(*list, specs.Hook{Path: h.t.hookPath(kind), Args: probe.Args(all...)})
	h.WriteConfig(h.config)
	return &(*list)[len(*list)-1]
}

// labels lists who has written to the log, in order.
func (h *hookedContainer) labels() []string {
	var found []string
	for _, result := range h.results() {
		if result.Do == "label" {
			found = append(found, result.Label)
		}
	}
	return found
}

func (h *hookedContainer) results() []probe.Result { return probe.Parse(readAll(h.log)) }

func hookPhase(t *T, kind string) {
	h := t.hooked()
	h.add(kind, kind)
	before := func(moment string, want bool) {
		if ran := slices.Contains(h.labels(), kind); ran != want {
			t.Errorf("%s: the %s hook has run: %v, want %v", moment, kind, ran, want)
		}
	}
	duringCreate := kind == "prestart" || kind == "createRuntime" || kind == "createContainer"
	h.MustCreate()
	before("after create", duringCreate)
	h.MustStart()
	before("after start", kind != "poststop")
	h.Wait()
	h.MustDelete()
	before("after delete", true)
}

func hookNamespace(t *T, kind, where string) {
	h := t.hooked()
	h.add(kind, kind, facts())
	h.MustCreate()
	inside, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/mnt", h.pid))
	t.Must(err, "read the container's mount namespace")
	h.MustStart()
	h.Wait()
	h.MustDelete()
	for _, result := range h.results() {
		if result.Facts == nil {
			continue
		}
		got, own := result.Facts.Namespaces["mnt"], t.ownNamespace("mount")
		want := own
		if where == "container" {
			want = inside
		}
		Equal(t, "the mount namespace of the "+kind+" hook", got, want)
		return
	}
	t.Errorf("the %s hook did not report", kind)
}

// hookStatus is the status that a hook of each kind meets.
var hookStatus = map[string][]string{
	"prestart": {"creating"}, "createRuntime": {"creating"}, "createContainer": {"creating"},
	"startContainer": {"created"}, "poststart": {"running", "stopped"}, "poststop": {"stopped"},
}

func hookState(t *T, kind string) {
	h := t.hooked()
	h.config.Annotations = map[string]string{"org.example.hook": "seen"}
	h.add(kind, kind, probe.Op{Do: "stdin"})
	h.Life()
	h.MustDelete()
	text := t.Find(h.results(), "stdin", "").Stdin
	var state specs.State
	if err := json.Unmarshal([]byte(text), &state); err != nil {
		t.Fatalf("the %s hook read %q on standard input: %v", kind, text, err)
	}
	Equal(t, "id", state.ID, h.ID)
	Equal(t, "bundle", state.Bundle, h.Bundle)
	Equal(t, "the annotation", state.Annotations["org.example.hook"], "seen")
	if !slices.Contains(hookStatus[kind], string(state.Status)) {
		t.Errorf("the status is %q, want %s", state.Status, strings.Join(hookStatus[kind], " or "))
	}
	if kind != "poststop" && state.Pid <= 0 {
		t.Errorf("the pid is %d", state.Pid)
	}
	if kind == "startContainer" || kind == "createContainer" {
		Equal(t, "the pid as seen by the container", state.Pid, 1)
	}
}

// hookOrder sets hooks of all kinds and looks at the order of some of them.
func hookOrder(t *T, kinds ...string) {
	h := t.hooked()
	for i := len(hookKinds) - 1; i >= 0; i-- {
		h.add(hookKinds[i], hookKinds[i])
	}
	h.Life()
	h.MustDelete()
	got := h.labels()
	got = slices.DeleteFunc(got, func(label string) bool { return !slices.Contains(kinds, label) })
	EqualLists(t, "the order of hooks", got, kinds)
}

func hookListed(t *T) {
	h := t.hooked()
	for _, kind := range hookKinds {
		for i := range 3 {
			h.add(kind, fmt.Sprintf("%s-%d", kind, i))
		}
	}
	h.Life()
	h.MustDelete()
	for _, kind := range hookKinds {
		got := slices.DeleteFunc(h.labels(), func(label string) bool { return !strings.HasPrefix(label, kind+"-") })
		EqualLists(t, "the order of hooks", got, []string{kind + "-0", kind + "-1", kind + "-2"})
	}
}

func hookBeforeProgram(t *T) {
	h := t.hooked()
	h.add("startContainer", "hook", probe.Op{Do: "sleep", Nums: []uint64{50}}, probe.Op{Do: "label", Data: "hook ends"})
	h.Life()
	EqualLists(t, "the log", h.labels(), []string{"hook", "hook ends", "program"})
}

func hookArguments(t *T) {
	h := t.hooked()
	hook := h.add("createRuntime", "hook", facts())
	hook.Args = append(hook.Args, "two words", "")
	hook.Env = []string{"HOOK_VARIABLE=a b=c", "EMPTY="}
	want := slices.Clone(hook.Args)
	h.WriteConfig(h.config)
	h.Life()
	got := t.Find(h.results(), "facts", "").Facts
	EqualLists(t, "the arguments of the hook", got.Args, want)
	EqualLists(t, "the environment of the hook", got.Env, []string{"HOOK_VARIABLE=a b=c", "EMPTY="})
}

func hookEnvironment(t *T) {
	for _, kind := range []string{"createRuntime", "createContainer", "startContainer"} {
		h := t.hooked()
		hook := h.add(kind, "hook", facts())
		hook.Env = []string{"ONLY=this"}
		h.WriteConfig(h.config)
		h.Env = []string{"CONFORMANCE_CANARY=leaked"}
		h.Life()
		EqualLists(t, "the environment of the "+kind+" hook", t.Find(h.results(), "facts", "").Facts.Env, []string{"ONLY=this"})
	}
}

func hookRelative(t *T) {
	h := t.hooked()
	h.add("createRuntime", "hook").Path = probe.Name
	h.WriteConfig(h.config)
	if h.Create() == nil {
		t.Errorf("create accepted a hook with a relative path")
	}
}

func hookMissing(t *T) {
	h := t.hooked()
	h.add("createRuntime", "hook").Path = "/no/such/hook"
	h.WriteConfig(h.config)
	if h.Create() == nil {
		t.Errorf("create succeeded although its hook could not be executed")
	}
	if state, err := h.State(); err == nil {
		t.Errorf("the container exists after its hook failed, status %q", state.Status)
	}
}

func hookTimeout(t *T, seconds int) {
	h := t.hooked()
	h.add("createRuntime", "hook").Timeout = &seconds
	h.WriteConfig(h.config)
	if h.Create() == nil {
		t.Errorf("create accepted a hook with the timeout %d", seconds)
	}
}

func hookTimeoutAborts(t *T) {
	h := t.hooked()
	limit := 1
	h.add("createRuntime", "hook", probe.Op{Do: "sleep", Nums: []uint64{15000}}, probe.Op{Do: "label", Data: "finished"}).Timeout = &limit
	h.WriteConfig(h.config)
	if h.Create() == nil {
		t.Errorf("create succeeded although its hook ran into its timeout")
	}
	if slices.Contains(h.labels(), "finished") {
		t.Errorf("the hook went on to its end")
	}
	if left := t.processesWith(h.log); len(left) > 0 {
		t.Errorf("the aborted hook still runs: %v", left)
	}
}

// processesWith lists processes that have the text in their command line.
func (t *T) processesWith(text string) []string {
	time.Sleep(20 * time.Millisecond) // an end by signal is not instant
	var found []string
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		line := string(readAll("/proc/" + entry.Name() + "/cmdline"))
		if strings.HasPrefix(line, probe.Path) && contains(line, text) {
			found = append(found, entry.Name())
		}
	}
	return found
}

func hookFailsCreate(t *T, kind string) {
	h := t.hooked()
	h.add(kind, "failing", probe.Op{Do: "exit", Nums: []uint64{3}})
	h.add(kind, "second")
	if h.Create() == nil {
		t.Errorf("create succeeded although its %s hook failed", kind)
	}
	if slices.Contains(h.labels(), "second") {
		t.Errorf("the next hook ran after a failed one")
	}
	if state, err := h.State(); err == nil {
		t.Errorf("the container exists after its %s hook failed, status %q", kind, state.Status)
	}
}

func hookFailsStart(t *T, kind string) {
	h := t.hooked(waiting())
	h.add(kind, "failing", probe.Op{Do: "exit", Nums: []uint64{3}})
	h.MustCreate()
	if h.Start() == nil {
		t.Errorf("start succeeded although its %s hook failed", kind)
	}
	if !h.exited(3 * time.Second) {
		t.Errorf("the container process was not stopped after its %s hook failed", kind)
	}
	if kind == "startContainer" && slices.Contains(h.labels(), "program") {
		t.Errorf("the program ran although a startContainer hook failed")
	}
	if state, err := h.State(); err == nil {
		t.Errorf("the container was not destroyed (step 12) after its %s hook failed, status %q", kind, state.Status)
	}
}

func hookPoststopFails(t *T) {
	h := t.hooked()
	h.add("poststop", "failing", probe.Op{Do: "exit", Nums: []uint64{3}})
	h.add("poststop", "second")
	h.Life()
	if err := h.Delete(); err != nil {
		t.Errorf("delete failed because of a poststop hook: %v", err)
	}
	if !slices.Contains(h.labels(), "second") {
		t.Errorf("the hook after a failing one did not run")
	}
	if _, err := h.State(); err == nil {
		t.Errorf("the container still exists after delete")
	}
}

func hookPoststopAfterFailure(t *T) {
	h := t.hooked()
	h.add("createRuntime", "failing", probe.Op{Do: "exit", Nums: []uint64{3}})
	h.add("poststop", "poststop")
	if h.Create() == nil {
		t.Fatalf("create succeeded although its createRuntime hook failed")
	}
	if !slices.Contains(h.labels(), "poststop") {
		t.Errorf("the poststop hook did not run after a failed create (lifecycle, steps 4, 12 and 13)")
	}
}

func hookSeesMounts(t *T) {
	h := t.hooked()
	withMount(h.config, "tmpfs", "tmpfs", "/mounted")
	h.add("createContainer", "hook", facts())
	h.Life()
	for _, mount := range t.Find(h.results(), "facts", "").Facts.Mounts {
		if mount.Type == "tmpfs" && strings.HasSuffix(mount.Point, "/mounted") {
			return
		}
	}
	t.Errorf("a createContainer hook does not see the mounts of the configuration")
}

// hookPoststartLate asks, inside the hook, what the container process has
// become: its executable must be the program.
func hookPoststartLate(t *T) {
	h := t.hooked(waiting())
	pidFile := h.Bundle + ".pid"
	h.add("poststart", "hook", probe.Op{Do: "cmdline", Path: pidFile})
	t.Must(h.Create("--pid-file", pidFile), "create the container")
	h.MustStart()
	line := t.Find(h.results(), "cmdline", "").Text
	if !contains(line, "/ready") {
		t.Errorf("when the poststart hook ran, the container process was still %q", line)
	}
}

func hookPoststopLate(t *T) {
	h := t.hooked()
	dirs := t.Env.hierarchies()
	var ops []probe.Op
	for _, dir := range dirs {
		ops = append(ops, statOf(dir+"/"+h.ID))
	}
	h.add("poststop", "hook", ops...)
	h.Life()
	pid := h.pid
	h.MustDelete()
	for _, result := range h.results() {
		if result.Do == "stat" && result.OK() {
			t.Errorf("when the poststop hook ran, the cgroup %s still existed", result.Path)
		}
	}
	if unix.Kill(pid, 0) == nil && h.Alive() {
		t.Errorf("the container process still exists after delete")
	}
}

// hierarchies lists the mount points of the cgroup hierarchies.
func (e *Env) hierarchies() []string {
	var found []string
	for _, dir := range e.Controllers {
		if !slices.Contains(found, dir) {
			found = append(found, dir)
		}
	}
	slices.Sort(found)
	return found
}
