package conformance

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/semver"
)

// runtime.md, section State, and the state operation.
var stateChecks = []Check{
	{Name: "state/without-id", Run: func(t *T) { t.refusedVerb("state") }, Unprivileged: true,
		Clause: must("runtime.md", "runtimeQueryState", "This operation MUST generate an error if it is not provided the ID of a container")},
	{Name: "state/unknown-id", Run: func(t *T) { t.refusedVerb("state", "conform-no-such-container") },
		Clause: must("runtime.md", "runtimeQueryState", "Attempting to query a container that does not exist MUST generate an error")},
	{Name: "state/oci-version", Run: stateVersion,
		Clause: must("runtime.md", "runtimeState", "ociVersion (string, REQUIRED) is version of the Open Container Initiative Runtime Specification with which the state complies")},
	{Name: "state/id", Run: stateID,
		Clause: must("runtime.md", "runtimeState", "id (string, REQUIRED) is the container's ID")},
	{Name: "state/status-created", Run: func(t *T) { t.statusIs("created") },
		Clause: must("runtime.md", "runtimeState", "created: the runtime has finished the create operation (after step 2 in the lifecycle), and the container process has neither exited nor executed the user-specified program")},
	{Name: "state/status-running", Run: func(t *T) { t.statusIs("running") },
		Clause: must("runtime.md", "runtimeState", "running: the container process has executed the user-specified program but has not exited (after step 8 in the lifecycle)")},
	{Name: "state/status-stopped", Run: func(t *T) { t.statusIs("stopped") },
		Clause: must("runtime.md", "runtimeState", "stopped: the container process has exited (step 10 in the lifecycle)")},
	{Name: "state/pid-created", Run: func(t *T) { t.pidIsContainer(false) },
		Clause: must("runtime.md", "runtimeState", "pid (int, REQUIRED when status is created or running on Linux, OPTIONAL on other platforms) is the ID of the container process")},
	{Name: "state/pid-running", Run: func(t *T) { t.pidIsContainer(true) },
		Clause: must("runtime.md", "runtimeState", "pid (int, REQUIRED when status is created or running on Linux, OPTIONAL on other platforms) is the ID of the container process")},
	{Name: "state/bundle", Run: stateBundle,
		Clause: must("runtime.md", "runtimeState", "bundle (string, REQUIRED) is the absolute path to the container's bundle directory")},
	{Name: "state/annotations", Run: stateAnnotations,
		Clause: must("runtime.md", "runtimeState", "annotations (map, OPTIONAL) contains the list of annotations associated with the container")},
	{Name: "state/schema", Run: stateSchema,
		Clause: must("runtime.md", "runtimeState", "When serialized in JSON, the format MUST adhere to the JSON Schema schema/state-schema.json")},
	{Name: "state/stopped-still-known", Run: stateStoppedKnown,
		Clause: must("runtime.md", "runtimeQueryState", "This operation MUST return the state of a container as specified in the State section")},
	{Name: "state/killed-is-stopped", Run: stateKilled,
		Clause: must("runtime.md", "runtimeState", "stopped: the container process has exited (step 10 in the lifecycle)")},
}

// created makes a container that has been created and not started.
func (t *T) created() (*Container, State) {
	c := t.Container(t.Config(waiting()))
	c.MustCreate()
	state, err := c.State()
	t.Must(err, "query the state")
	return c, state
}

func stateVersion(t *T) {
	_, state := t.created()
	if !semver.IsValid("v" + state.Version) {
		t.Errorf("ociVersion %q is not in SemVer format", state.Version)
	}
}

func stateID(t *T) {
	c, state := t.created()
	Equal(t, "id", state.ID, c.ID)
}

func (t *T) statusIs(want string) {
	c, state := t.created()
	if want == "created" {
		Equal(t, "the status after create", string(state.Status), want)
		return
	}
	c.MustStart()
	c.AwaitFile("/ready")
	if want == "running" {
		Equal(t, "the status after start", c.Status(), want)
		return
	}
	t.Must(c.Kill("TERM"), "end the container")
	c.Wait()
	Equal(t, "the status after the process has exited", c.Status(), want)
}

// pidIsContainer compares what the kernel says about the named process with
// the container: its root must be the container's, its cgroup or namespaces not the host's.
func (t *T) pidIsContainer(started bool) {
	c, state := t.created()
	if started {
		c.MustStart()
		c.AwaitFile("/ready")
		var err error
		state, err = c.State()
		t.Must(err, "query the state")
	}
	if state.Pid <= 0 {
		t.Fatalf("pid is %d", state.Pid)
	}
	link, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", state.Pid))
	t.Must(err, "read the namespaces of the process that the state names")
	if link == t.ownNamespace("pid") {
		t.Errorf("the process %d is in the pid namespace of the runtime, not in the container's", state.Pid)
	}
	if !started {
		return
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", state.Pid))
	t.Must(err, "read the command line of the process that the state names")
	if !strings.Contains(string(text), "/ready") {
		t.Errorf("the process %d runs %q, not the program of the container", state.Pid, text)
	}
}

func stateBundle(t *T) {
	c, state := t.created()
	Equal(t, "bundle", filepath.Clean(state.Bundle), c.Bundle)
}

func stateAnnotations(t *T) {
	config := t.Config(waiting())
	config.Annotations = map[string]string{"org.example.first": "1", "org.example.empty": "", "org.example.text": "a \"b\"\n\u00e9"}
	c := t.Container(config)
	c.MustCreate()
	state, err := c.State()
	t.Must(err, "query the state")
	for key, want := range config.Annotations {
		got, found := state.Annotations[key]
		if !found {
			t.Errorf("the annotation %q is missing", key)
			continue
		}
		Equal(t, "the annotation "+key, got, want)
	}
}

// stateSchema holds the state against schema/state-schema.json, rule by rule.
func stateSchema(t *T) {
	_, state := t.created()
	var fields map[string]any
	t.Must(json.Unmarshal([]byte(state.Raw), &fields), "read the state as a JSON object")
	for _, name := range []string{"ociVersion", "id", "status", "bundle"} {
		if _, isString := fields[name].(string); !isString {
			t.Errorf("%s is %v, want a string", name, fields[name])
		}
	}
	if pid, isNumber := fields["pid"].(float64); !isNumber || pid != float64(int(pid)) || pid < 0 {
		t.Errorf("pid is %v, want an integer that is not negative", fields["pid"])
	}
	annotations, isMap := fields["annotations"].(map[string]any)
	if fields["annotations"] != nil && !isMap {
		t.Errorf("annotations is %v, want an object", fields["annotations"])
	}
	for key, value := range annotations {
		if _, isString := value.(string); !isString {
			t.Errorf("the annotation %q is %v, want a string", key, value)
		}
	}
}

func stateStoppedKnown(t *T) {
	c := t.Container(t.Config(facts()))
	c.Life()
	state, err := c.State()
	t.Must(err, "query the state of a stopped container")
	Equal(t, "id", state.ID, c.ID)
	Equal(t, "status", string(state.Status), "stopped")
	Equal(t, "bundle", filepath.Clean(state.Bundle), c.Bundle)
}

func stateKilled(t *T) {
	c, _ := t.created()
	c.MustStart()
	c.AwaitFile("/ready")
	t.Must(c.Kill("KILL"), "kill the container")
	c.Wait()
	Equal(t, "the status", c.Status(), "stopped")
}
