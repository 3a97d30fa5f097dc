package engines

import (
	"context"
	"fmt"
	"path/filepath"
)

// containerd is driven by its own client, without Kubernetes' interface.
func (e *Engine) containerd(ctx context.Context, runtime string) error {
	client, err := program("ctr", "containerd")
	if err != nil {
		return err
	}
	socket, err := e.serveContainerd(ctx)
	if err != nil {
		return err
	}
	e.command = []string{client, "--address", socket}
	e.wipe = [][]string{{"task", "delete", "--force", "life"}, {"container", "rm", "life"}}
	image, err := e.archive(ociArchive)
	if err != nil {
		return err
	}
	e.steps = ctrSteps(runtime, "/"+e.group)
	return e.must(ctx, "image", "import", "--snapshotter", "native", image)
}

// serveContainerd starts a containerd and returns the path of its socket.
func (e *Engine) serveContainerd(ctx context.Context) (string, error) {
	path, err := program("containerd", "containerd")
	if err != nil {
		return "", err
	}
	if e.Version == "" {
		if e.Version, err = firstLine(ctx, path, "--version"); err != nil {
			return "", err
		}
	}
	socket := filepath.Join(e.dir, "c.sock")
	config, err := e.file("containerd.toml", fmt.Appendf(nil, `version = 2
root = "%[1]s/croot"
state = "%[1]s/cstate"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs"]
[grpc]
address = "%[2]s"
[ttrpc]
address = "%[2]s.ttrpc"
`, e.dir, socket))
	if err != nil {
		return "", err
	}
	return socket, e.serve(ctx, "containerd", socket, path, "--config", config)
}

// ctrSteps is a container's life in ctr's words. ctr gives no exit status above the client's own but that of the task.
func ctrSteps(runtime, group string) []Step {
	run := func(options []string, more ...string) []string {
		line := append([]string{"run", "--runtime", "io.containerd.runc.v2", "--runc-binary", runtime, "--snapshotter", "native"}, options...)
		return append(append(line, imageName), more...)
	}
	once := func(id string, options ...string) []string {
		return append([]string{"--rm", "--cgroup=" + group + "/" + id}, options...)
	}
	return []Step{
		{Name: "run prints", Args: run(once("a"), "a", "echo", "from", "within"), Want: "from within"},
		{Name: "run hands on the exit status", Args: run(once("b"), "b", "sh", "-c", "exit 7"), Code: 7},
		{Name: "a missing program is named", Args: run(once("c"), "c", "nosuch"), Code: 1, Want: `exec: "nosuch": executable file not found in`},
		{Name: "a read-only root refuses", Args: run(once("d", "--read-only"), "d", "touch", "/x"), Code: 1, Want: "Read-only file system"},
		{Name: "containerd's seccomp profile is in force", Args: run(once("e", "--seccomp"), "e", "grep", "Seccomp:", "/proc/self/status"), Want: "2"},
		{Name: "run detached", Args: run([]string{"--detach", "--cgroup=" + group + "/life"}, "life", "sh", "-c", patient)},
		{Name: "exec prints", Args: []string{"task", "exec", "--exec-id=one", "life", "echo", "from", "exec"}, Want: "from exec"},
		{Name: "exec hands on the exit status", Args: []string{"task", "exec", "--exec-id=two", "life", "sh", "-c", "exit 9"}, Code: 9},
		{Name: "exec as a user", Args: []string{"task", "exec", "--exec-id=three", "--user=1000", "life", "id", "-u"}, Want: "1000"},
		{Name: "exec of a missing program tells so", Args: []string{"task", "exec", "--exec-id=four", "life", "nosuch"}, Code: 1, Want: "executable file not found in"},
		{Name: "it runs", Args: []string{"task", "ls"}, Want: "RUNNING"},
		{Name: "processes", Args: []string{"task", "ps", "life"}, Want: "PID"},
		{Name: "metrics", Args: []string{"task", "metrics", "life"}, Want: "memory"},
		{Name: "pause", Args: []string{"task", "pause", "life"}},
		{Name: "it is paused", Args: []string{"task", "ls"}, Want: "PAUSED"},
		{Name: "resume", Args: []string{"task", "resume", "life"}},
		{Name: "it runs again", Args: []string{"task", "ls"}, Want: "RUNNING"},
		{Name: "kill", Args: []string{"task", "kill", "--signal=SIGTERM", "life"}},
		{Name: "it has stopped", Args: []string{"task", "ls"}, Want: "STOPPED", Until: true},
		{Name: "the signal reached the program", Args: []string{"task", "delete", "life"}, Want: "exit code 3"},
		{Name: "the task is gone", Args: []string{"task", "ls"}, Never: "life"},
		{Name: "the container is removed", Args: []string{"container", "rm", "life"}},
		{Name: "the container is gone", Args: []string{"container", "ls"}, Never: "life"},
	}
}
