package conformance

import (
	"bytes"
	"os"
	"path/filepath"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-oci/berth/conformance/probe"
)

// runtime.md: the lifecycle and the five operations.
var lifecycleChecks = []Check{
	{Name: "lifecycle/create/program-not-run", Run: createDoesNotRun,
		Clause: must("runtime.md", "runtimeLifecycle", "the user-specified program (from process) MUST NOT be run at this time")},
	{Name: "lifecycle/create/later-changes-ignored", Run: createKeepsConfig,
		Clause: must("runtime.md", "runtimeLifecycle", "Any updates to config.json after this step MUST NOT affect the container")},
	{Name: "lifecycle/create/process-absent", Run: createWithoutProcess, Strict: true,
		Clause: must("config.md", "configProcess", "process (object, OPTIONAL) specifies the container process. This property is REQUIRED when start is called")},
	{Name: "lifecycle/create/without-arguments", Run: func(t *T) { t.refusedVerb("create") }, Unprivileged: true,
		Clause: must("runtime.md", "runtimeCreate", "This operation MUST generate an error if it is not provided a path to the bundle and the container ID to associate with the container")},
	{Name: "lifecycle/create/missing-bundle", Run: createMissingBundle, Unprivileged: true,
		Clause: must("runtime.md", "runtimeCreate", "This operation MUST generate an error if it is not provided a path to the bundle")},
	{Name: "lifecycle/create/missing-config", Run: createMissingConfig,
		Clause: must("bundle.md", "containerFormat01", "This REQUIRED file MUST reside in the root of the bundle directory and MUST be named config.json")},
	{Name: "lifecycle/create/duplicate-id", Run: createDuplicate,
		Clause: must("runtime.md", "runtimeCreate", "If the ID provided is not unique across all containers within the scope of the runtime, or is not valid in any other way, the implementation MUST generate an error and a new container MUST NOT be created")},
	{Name: "lifecycle/create/id-with-slash", Run: func(t *T) { t.refusedID("a/b") },
		Clause: must("runtime.md", "runtimeCreate", "or is not valid in any other way, the implementation MUST generate an error and a new container MUST NOT be created")},
	{Name: "lifecycle/create/id-parent-directory", Run: func(t *T) { t.refusedID("..") },
		Clause: must("runtime.md", "runtimeCreate", "or is not valid in any other way, the implementation MUST generate an error and a new container MUST NOT be created")},
	{Name: "lifecycle/create/id-traversal", Run: func(t *T) { t.refusedID("../escaped") },
		Clause: must("runtime.md", "runtimeCreate", "or is not valid in any other way, the implementation MUST generate an error and a new container MUST NOT be created")},
	{Name: "lifecycle/create/failure-leaves-no-container", Run: createFailureLeavesNothing,
		Clause: must("runtime.md", "runtimeErrors", "generating an error MUST leave the state of the environment as if the operation were never attempted")},
	{Name: "lifecycle/create/failure-leaves-no-cgroup", Run: createFailureLeavesNoCgroup,
		Clause: must("runtime.md", "runtimeErrors", "generating an error MUST leave the state of the environment as if the operation were never attempted")},
	{Name: "lifecycle/create/relative-bundle", Run: createRelativeBundle,
		Clause: must("runtime.md", "runtimeCreate", "This operation MUST create a new container")},

	{Name: "lifecycle/start/runs-program", Run: startRuns,
		Clause: must("runtime.md", "runtimeStart", "This operation MUST run the user-specified program as specified by process")},
	{Name: "lifecycle/start/without-id", Run: func(t *T) { t.refusedVerb("start") }, Unprivileged: true,
		Clause: must("runtime.md", "runtimeStart", "This operation MUST generate an error if it is not provided the container ID")},
	{Name: "lifecycle/start/unknown-id", Run: func(t *T) { t.refusedVerb("start", "conform-no-such-container") },
		Clause: must("runtime.md", "runtimeStart", "Attempting to start a container that is not created MUST have no effect on the container and MUST generate an error")},
	{Name: "lifecycle/start/running", Run: startRunning,
		Clause: must("runtime.md", "runtimeStart", "Attempting to start a container that is not created MUST have no effect on the container and MUST generate an error")},
	{Name: "lifecycle/start/stopped", Run: startStopped,
		Clause: must("runtime.md", "runtimeStart", "Attempting to start a container that is not created MUST have no effect on the container and MUST generate an error")},
	{Name: "lifecycle/start/process-absent", Run: startWithoutProcess, Strict: true,
		Clause: must("runtime.md", "runtimeStart", "This operation MUST generate an error if process was not set")},
	{Name: "lifecycle/start/missing-program", Run: startMissingProgram,
		Clause: must("runtime.md", "runtimeLifecycle", "The runtime MUST run the user-specified program, as specified by process")},

	{Name: "lifecycle/kill/without-id", Run: func(t *T) { t.refusedVerb("kill") }, Unprivileged: true,
		Clause: must("runtime.md", "runtimeKill", "This operation MUST generate an error if it is not provided the container ID")},
	{Name: "lifecycle/kill/unknown-id", Run: func(t *T) { t.refusedVerb("kill", "conform-no-such-container", "KILL") },
		Clause: must("runtime.md", "runtimeKill", "Attempting to send a signal to a container that is neither created nor running MUST have no effect on the container and MUST generate an error")},
	{Name: "lifecycle/kill/created", Run: killCreated,
		Clause: must("runtime.md", "runtimeKill", "This operation MUST send the specified signal to the container process")},
	{Name: "lifecycle/kill/running-by-name", Run: func(t *T) { t.signalArrives("TERM", 15) },
		Clause: must("runtime.md", "runtimeKill", "This operation MUST send the specified signal to the container process")},
	{Name: "lifecycle/kill/running-by-long-name", Run: func(t *T) { t.signalArrives("SIGUSR1", 10) },
		Clause: must("runtime.md", "runtimeKill", "This operation MUST send the specified signal to the container process")},
	{Name: "lifecycle/kill/running-by-number", Run: func(t *T) { t.signalArrives("12", 12) },
		Clause: must("runtime.md", "runtimeKill", "This operation MUST send the specified signal to the container process")},
	{Name: "lifecycle/kill/running-sigkill", Run: killRunning,
		Clause: must("runtime.md", "runtimeKill", "This operation MUST send the specified signal to the container process")},
	{Name: "lifecycle/kill/stopped", Run: killStopped,
		Clause: must("runtime.md", "runtimeKill", "Attempting to send a signal to a container that is neither created nor running MUST have no effect on the container and MUST generate an error")},
	{Name: "lifecycle/kill/invalid-signal", Run: killInvalid,
		Clause: must("runtime.md", "runtimeKill", "This operation MUST send the specified signal to the container process")},

	{Name: "lifecycle/delete/without-id", Run: func(t *T) { t.refusedVerb("delete") }, Unprivileged: true,
		Clause: must("runtime.md", "runtimeDelete", "This operation MUST generate an error if it is not provided the container ID")},
	{Name: "lifecycle/delete/unknown-id", Run: func(t *T) { t.refusedVerb("delete", "conform-no-such-container") },
		Clause: must("runtime.md", "runtimeDelete", "Attempting to delete a container that is not stopped MUST have no effect on the container and MUST generate an error")},
	{Name: "lifecycle/delete/created", Run: deleteCreated, Strict: true,
		Clause: must("runtime.md", "runtimeDelete", "Attempting to delete a container that is not stopped MUST have no effect on the container and MUST generate an error")},
	{Name: "lifecycle/delete/running", Run: deleteRunning,
		Clause: must("runtime.md", "runtimeDelete", "Attempting to delete a container that is not stopped MUST have no effect on the container and MUST generate an error")},
	{Name: "lifecycle/delete/stopped", Run: deleteStopped,
		Clause: must("runtime.md", "runtimeLifecycle", "The container MUST be destroyed by undoing the steps performed during create phase (step 2)")},
	{Name: "lifecycle/delete/twice", Run: deleteTwice,
		Clause: must("runtime.md", "runtimeDelete", "Attempting to delete a container that is not stopped MUST have no effect on the container and MUST generate an error")},
	{Name: "lifecycle/delete/id-is-free-again", Run: deleteFreesID,
		Clause: must("runtime.md", "runtimeDelete", "Once a container is deleted its ID MAY be used by a subsequent container")},
	{Name: "lifecycle/delete/removes-cgroups", Run: deleteRemovesCgroups,
		Clause: must("runtime.md", "runtimeDelete", "Deleting a container MUST delete the resources that were created during the create step")},
	{Name: "lifecycle/delete/removes-state", Run: deleteRemovesState,
		Clause: must("runtime.md", "runtimeDelete", "Deleting a container MUST delete the resources that were created during the create step")},
	{Name: "lifecycle/delete/keeps-bundle", Run: deleteKeepsBundle,
		Clause: must("runtime.md", "runtimeDelete", "Note that resources associated with the container, but not created by this container, MUST NOT be deleted")},
	{Name: "lifecycle/delete/keeps-found-cgroup", Run: deleteKeepsFoundCgroup, Strict: true, Needs: []Need{needAnyCgroup},
		Clause: must("runtime.md", "runtimeDelete", "Note that resources associated with the container, but not created by this container, MUST NOT be deleted")},
	{Name: "lifecycle/delete/keeps-joined-namespace", Run: deleteKeepsNamespace,
		Clause: must("runtime.md", "runtimeDelete", "Note that resources associated with the container, but not created by this container, MUST NOT be deleted")},
	{Name: "lifecycle/file-descriptors", Run: noExtraDescriptors,
		Clause: must("runtime-linux.md", "runtimeLinuxFileDescriptors", "By default, only the stdin, stdout and stderr file descriptors are kept open for the application by the runtime")},
}

// refusedVerb expects an operation with these arguments to fail.
func (t *T) refusedVerb(verb string, args ...string) {
	_, err := t.run(command{verb: verb, args: args, dir: t.Dir})
	if err == nil {
		t.Errorf("%s %q succeeded", verb, args)
	}
}

func (t *T) refusedID(id string) {
	c := t.Container(t.Config())
	c.ID = id
	if err := c.Create(); err == nil {
		t.Errorf("create accepted the id %q", id)
	}
}

func createDoesNotRun(t *T) {
	c := t.Container(t.Config(creating("/ran")))
	c.MustCreate()
	time.Sleep(50 * time.Millisecond) // a program that was run by mistake gets the time to show it
	if _, err := os.Stat(c.Host("/ran")); err == nil {
		t.Fatalf("the program ran before start")
	}
	c.MustStart()
	c.Wait()
	if _, err := os.Stat(c.Host("/ran")); err != nil {
		t.Errorf("the program did not run after start: %v", err)
	}
}

func createKeepsConfig(t *T) {
	c := t.Container(t.Config(facts(), creating("/first")))
	c.MustCreate()
	changed := t.Config(facts(), creating("/second"))
	changed.Process.Env = append(changed.Process.Env, "CHANGED=1")
	c.WriteConfig(changed)
	c.MustStart()
	c.Wait()
	if _, err := os.Stat(c.Host("/second")); err == nil {
		t.Errorf("the program of the changed config.json was run")
	}
	if _, err := os.Stat(c.Host("/first")); err != nil {
		t.Errorf("the program of the config.json at create was not run: %v", err)
	}
}

func createWithoutProcess(t *T) {
	config := t.Config()
	config.Process = nil
	c := t.Container(config)
	if err := c.Create(); err != nil {
		t.Fatalf("create refused a configuration without process: %v", err)
	}
	Equal(t, "the status", c.Status(), "created")
}

func startWithoutProcess(t *T) {
	config := t.Config()
	config.Process = nil
	c := t.Container(config)
	if err := c.Create(); err != nil {
		t.Fatalf("start could not be tried: create refused a configuration without process: %v", err)
	}
	if err := c.Start(); err == nil {
		t.Errorf("start succeeded although process was not set")
	}
}

func createMissingBundle(t *T) {
	_, err := t.run(command{verb: "create", args: []string{"--bundle", t.path("missing"), "conform-missing-bundle"}})
	if err == nil {
		t.Errorf("create succeeded with a bundle that does not exist")
	}
}

func createMissingConfig(t *T) {
	c := t.Container(t.Config())
	t.Must(os.Remove(filepath.Join(c.Bundle, "config.json")), "remove config.json")
	if err := c.Create(); err == nil {
		t.Errorf("create succeeded with a bundle that holds no config.json")
	}
}

func createDuplicate(t *T) {
	first := t.Container(t.Config(facts()))
	first.MustCreate()
	before, err := first.State()
	t.Must(err, "query the state")
	second := t.Container(t.Config())
	own := second.ID
	second.ID = first.ID
	if err := second.Create(); err == nil {
		t.Errorf("create accepted the id of an existing container")
	}
	second.ID = own
	after, err := first.State()
	t.Must(err, "query the first container's state after the refused create")
	Equal(t, "the first container's pid", after.Pid, before.Pid)
	Equal(t, "the first container's bundle", after.Bundle, before.Bundle)
	first.MustStart()
	first.Wait()
	first.Facts()
}

// unmountable is a configuration that every runtime must refuse at create,
// late: after namespaces and most mounts have been made.
func (t *T) unmountable() *specs.Spec {
	config := t.Config()
	config.Mounts = append(config.Mounts, specs.Mount{Destination: "/tmp", Type: "no-such-filesystem", Source: "none"})
	return config
}

func createFailureLeavesNothing(t *T) {
	c := t.Container(t.unmountable())
	if err := c.Create(); err == nil {
		t.Fatalf("create accepted a mount of a filesystem that does not exist")
	}
	if state, err := c.State(); err == nil {
		t.Fatalf("the container exists after a failed create, status %q", state.Status)
	}
	good := t.Config(facts())
	good.Linux.CgroupsPath = "/" + c.ID
	c.WriteConfig(good)
	if err := c.Create(); err != nil {
		t.Fatalf("the id cannot be used after a failed create: %v", err)
	}
	c.MustStart()
	c.Wait()
	c.Facts()
}

func createFailureLeavesNoCgroup(t *T) {
	c := t.Container(t.unmountable())
	if err := c.Create(); err == nil {
		t.Fatalf("create accepted a mount of a filesystem that does not exist")
	}
	if left := t.Env.cgroupsOf(c.ID); len(left) > 0 {
		t.Errorf("left after a failed create: %v", left)
	}
}

func createRelativeBundle(t *T) {
	c := t.Container(t.Config())
	_, err := t.run(command{verb: "create", args: []string{"--bundle", filepath.Base(c.Bundle), c.ID}, dir: t.Dir, stdout: c.stdout, stderr: c.stderr})
	t.Must(err, "create from a relative bundle path")
	state, err := c.State()
	t.Must(err, "query the state")
	t.Must(c.watch(state.Pid), "watch the container process")
	Equal(t, "the state's bundle", state.Bundle, c.Bundle)
}

func startRuns(t *T) {
	c := t.Container(t.Config(facts(), probe.Op{Do: "exit", Nums: []uint64{7}}))
	c.Life()
	got := c.Facts()
	Equal(t, "the program's first argument", got.Args[0], probe.Path)
	if status := c.Wait(); status.Known {
		Equal(t, "the exit code of the container process", status.Code, 7)
	}
}

func startRunning(t *T) {
	c := t.Container(t.Config(probe.Op{Do: "label", Data: "ran"}, waiting()))
	c.MustCreate()
	c.MustStart()
	c.AwaitFile("/ready")
	if err := c.Start(); err == nil {
		t.Errorf("start succeeded on a running container")
	}
	Equal(t, "the status after the refused start", c.Status(), "running")
	Equal(t, "how often the program ran", bytes.Count(readAll(c.stdout.Name()), []byte(`"label":"ran"`)), 1)
}

func readAll(path string) []byte {
	text, _ := os.ReadFile(path)
	return text
}

func startStopped(t *T) {
	c := t.Container(t.Config(probe.Op{Do: "label", Data: "ran"}))
	c.Life()
	if err := c.Start(); err == nil {
		t.Errorf("start succeeded on a stopped container")
	}
	Equal(t, "the status after the refused start", c.Status(), "stopped")
	Equal(t, "how often the program ran", len(c.Output()), 1)
}

func startMissingProgram(t *T) {
	config := t.Config()
	config.Process.Args = []string{"/no/such/program"}
	c := t.Container(config)
	if c.Create() != nil {
		return
	}
	if err := c.Start(); err != nil {
		return
	}
	t.Errorf("create and start reported success for a program that does not exist")
}

func killCreated(t *T) {
	c := t.Container(t.Config(creating("/ran")))
	c.MustCreate()
	t.Must(c.Kill("KILL"), "kill a created container")
	c.Wait()
	Equal(t, "the status", c.Status(), "stopped")
	if _, err := os.Stat(c.Host("/ran")); err == nil {
		t.Errorf("the program ran")
	}
}

func (t *T) signalArrives(name string, number uint64) {
	c := t.Container(t.Config(waiting()))
	c.MustCreate()
	c.MustStart()
	c.AwaitFile("/ready")
	t.Must(c.Kill(name), "send the signal "+name)
	c.Wait()
	got := t.Find(c.Output(), "signals", "")
	Equal(t, "the signal that arrived", got.Num, number)
}

func killRunning(t *T) {
	c := t.Container(t.Config(waiting()))
	c.MustCreate()
	c.MustStart()
	c.AwaitFile("/ready")
	t.Must(c.Kill("KILL"), "send the signal KILL")
	if status := c.Wait(); status.Known {
		Equal(t, "the signal that ended the process", status.Signal, 9)
	}
	Equal(t, "the status", c.Status(), "stopped")
}

func killStopped(t *T) {
	c := t.Container(t.Config(facts()))
	c.Life()
	if err := c.Kill("KILL"); err == nil {
		t.Errorf("kill succeeded on a stopped container")
	}
	Equal(t, "the status", c.Status(), "stopped")
}

func killInvalid(t *T) {
	c := t.Container(t.Config(waiting()))
	c.MustCreate()
	c.MustStart()
	c.AwaitFile("/ready")
	for _, signal := range []string{"NOSUCHSIGNAL", "99999"} {
		if err := c.Kill(signal); err == nil {
			t.Errorf("kill accepted the signal %q", signal)
		}
	}
	Equal(t, "the status", c.Status(), "running")
}

func deleteCreated(t *T) {
	c := t.Container(t.Config(creating("/ran")))
	c.MustCreate()
	if err := c.Delete(); err == nil {
		t.Errorf("delete succeeded on a created container")
	}
	state, err := c.State()
	if err != nil {
		t.Fatalf("the container is gone after delete: %v", err)
	}
	Equal(t, "the status after delete", string(state.Status), "created")
	c.MustStart()
	c.Wait()
	if _, err := os.Stat(c.Host("/ran")); err != nil {
		t.Errorf("the program did not run after the refused delete: %v", err)
	}
}

func deleteRunning(t *T) {
	c := t.Container(t.Config(waiting()))
	c.MustCreate()
	c.MustStart()
	c.AwaitFile("/ready")
	if err := c.Delete(); err == nil {
		t.Errorf("delete succeeded on a running container")
	}
	Equal(t, "the status after the refused delete", c.Status(), "running")
	if !c.Alive() {
		t.Errorf("the container process is gone after the refused delete")
	}
}

func deleteStopped(t *T) {
	c := t.Container(t.Config(facts()))
	c.Life()
	c.MustDelete()
	if state, err := c.State(); err == nil {
		t.Errorf("the container still exists after delete, status %q", state.Status)
	}
}

func deleteTwice(t *T) {
	c := t.Container(t.Config(facts()))
	c.Life()
	c.MustDelete()
	if err := c.Delete(); err == nil {
		t.Errorf("the second delete succeeded")
	}
}

func deleteFreesID(t *T) {
	c := t.Container(t.Config(facts()))
	c.Life()
	c.MustDelete()
	again := t.Container(t.Config(facts()))
	again.ID = c.ID
	again.Life()
	again.Facts()
	again.MustDelete()
}

func deleteRemovesCgroups(t *T) {
	c := t.Container(t.Config(waiting()))
	c.MustCreate()
	c.MustStart()
	c.AwaitFile("/ready")
	t.Must(c.Kill("KILL"), "kill the container")
	c.Wait()
	c.MustDelete()
	if left := t.Env.cgroupsOf(c.ID); len(left) > 0 {
		t.Errorf("left after delete: %v", left)
	}
}

// cgroupsOf returns the cgroups at the top of any hierarchy that carry the id.
func (e *Env) cgroupsOf(id string) []string {
	var found []string
	seen := map[string]bool{}
	for _, dir := range e.Controllers {
		if !seen[dir] {
			matches, _ := filepath.Glob(filepath.Join(dir, "*"+id+"*"))
			found = append(found, matches...)
		}
		seen[dir] = true
	}
	return found
}

func deleteRemovesState(t *T) {
	c := t.Container(t.Config(facts()))
	c.Life()
	c.MustDelete()
	_ = filepath.WalkDir(t.path("state"), func(path string, _ os.DirEntry, err error) error {
		if err == nil && filepath.Base(path) == c.ID {
			t.Errorf("left after delete: %s", path)
		}
		return nil
	})
}

func deleteKeepsBundle(t *T) {
	config := t.Config(facts())
	volume := t.path("volume")
	t.Must(os.Mkdir(volume, 0o755), "make a volume")
	t.Must(os.WriteFile(filepath.Join(volume, "kept"), []byte("content"), 0o644), "fill the volume")
	config.Mounts = append(config.Mounts, specs.Mount{Destination: "/volume", Type: "bind", Source: volume, Options: []string{"bind", "rw"}})
	c := t.Container(config)
	c.Life()
	c.MustDelete()
	for _, path := range []string{filepath.Join(c.Bundle, "config.json"), c.Host(probe.Path), filepath.Join(volume, "kept")} {
		if _, err := os.Stat(path); err != nil {
			t.Errorf("missing after delete: %v", err)
		}
	}
}

func needAnyCgroup(e *Env) string {
	if len(e.Controllers) == 0 {
		return "needs a cgroup hierarchy"
	}
	return ""
}

func deleteKeepsFoundCgroup(t *T) {
	c := t.Container(t.Config(facts()))
	hierarchy := t.Env.Controllers["pids"]
	if hierarchy == "" {
		hierarchy = t.Env.Controllers[""]
	}
	dir := filepath.Join(hierarchy, c.ID)
	t.Must(os.Mkdir(dir, 0o755), "make a cgroup before the container")
	c.Life()
	c.MustDelete()
	if _, err := os.Stat(dir); err != nil {
		t.Errorf("delete removed a cgroup that was there before create: %v", err)
	}
}

func deleteKeepsNamespace(t *T) {
	holder := t.Hold("uts", "ipc")
	config := t.Config(facts())
	config.Hostname = ""
	withNamespace(config, "uts", holder.Path("uts"))
	withNamespace(config, "ipc", holder.Path("ipc"))
	c := t.Container(config)
	c.Life()
	c.MustDelete()
	if !holder.Alive() {
		t.Errorf("the process that owns the joined namespaces is gone after delete")
	}
}

func noExtraDescriptors(t *T) {
	for fd, target := range t.Facts(t.Config(facts())).Fds {
		if fd > 2 {
			t.Errorf("descriptor %d (%s) is open in the program", fd, target)
		}
	}
}
