package engines

import (
	"context"
	"path/filepath"
)

// docker is Docker's engine with a containerd of its own.
func (e *Engine) docker(ctx context.Context, runtime string) error {
	daemon, err := program("dockerd", "docker.io")
	if err != nil {
		return err
	}
	client, err := program("docker", "docker.io")
	if err != nil {
		return err
	}
	if e.Version, err = firstLine(ctx, daemon, "--version"); err != nil {
		return err
	}
	below, err := e.serveContainerd(ctx)
	if err != nil {
		return err
	}
	settings, err := e.file("daemon.json", []byte("{}"))
	if err != nil {
		return err
	}
	socket := filepath.Join(e.dir, "docker.sock")
	err = e.serve(ctx, "dockerd", socket, daemon, "--config-file", settings, "-H", "unix://"+socket, "--containerd", below,
		"--data-root", filepath.Join(e.dir, "data"), "--exec-root", filepath.Join(e.dir, "exec"), "-p", filepath.Join(e.dir, "docker.pid"),
		"--add-runtime", "tried="+runtime, "--default-runtime", "tried", "--storage-driver", "vfs",
		"--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--cgroup-parent=/"+e.group)
	if err != nil {
		return err
	}
	e.command = []string{client, "--config", e.dir, "-H", "unix://" + socket}
	e.wipe = [][]string{{"rm", "--force", "life", "logged"}}
	image, err := e.archive(nil)
	if err != nil {
		return err
	}
	e.steps = append(dockerLike("unpause", "--network=none"), Step{
		Name: "the runtime is the one to try", Args: []string{"info", "--format", "{{.DefaultRuntime}}"}, Want: "tried",
	})
	return e.must(ctx, "import", "--change", "ENV PATH=/bin", image, imageName)
}

// patient ends with status 3 when it is asked to, so that a stop by signal and one by force differ.
const patient = `trap "exit 3" TERM; echo up; while :; do sleep 0.1; done`

// dockerLike is a container's life in the words that Docker and Podman share.
func dockerLike(resume string, options ...string) []Step {
	run := func(more ...string) []string { return append(append([]string{"run"}, options...), more...) }
	once := func(more ...string) []string { return append(run("--rm"), more...) }
	limit := "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null; :"
	return []Step{
		{Name: "run prints", Args: once(imageName, "echo", "from", "within"), Want: "from within"},
		{Name: "run hands on the exit status", Args: once(imageName, "sh", "-c", "exit 7"), Code: 7},
		{Name: "a missing program is status 127", Args: once(imageName, "nosuch"), Code: 127, Want: "executable file not found in"},
		{Name: "a missing path is status 127", Args: once(imageName, "/bin/nosuch"), Code: 127, Want: "no such file or directory"},
		{Name: "a program that may not be executed is status 126", Args: once(imageName, "/etc/passwd"), Code: 126, Want: "permission denied"},
		{Name: "run in a terminal", Args: once("-t", imageName, "sh", "-c", "test -t 0 && test -t 1 && echo terminal"), Want: "terminal"},
		{Name: "a read-only root refuses", Args: once("--read-only", imageName, "touch", "/x"), Code: 1, Want: "Read-only file system"},
		{Name: "another user", Args: once("--user=app", imageName, "id"), Want: "uid=1000(app) gid=1000"},
		{Name: "no capabilities", Args: once("--cap-drop=all", imageName, "grep", "CapEff", "/proc/self/status"), Want: "0000000000000000"},
		{Name: "the engine's seccomp profile is in force", Args: once(imageName, "grep", "Seccomp:", "/proc/self/status"), Want: "2"},
		{Name: "no new privileges", Args: once("--security-opt=no-new-privileges", imageName, "grep", "NoNewPrivs", "/proc/self/status"), Want: "1"},
		{Name: "memory is limited", Args: once("--memory=32m", imageName, "sh", "-c", limit), Want: "33554432"},
		{Name: "processes are limited", Args: once("--pids-limit=57", imageName, "sh", "-c", limit), Want: "57\n"},
		{Name: "a mount is bound", Args: once("--volume=/etc/debian_version:/version:ro", imageName, "sh", "-c", "cat /version && ! touch /version"), Want: "Read-only"},
		{Name: "a tmpfs is mounted", Args: once("--tmpfs=/tmp", imageName, "grep", " /tmp tmpfs", "/proc/mounts"), Want: "tmpfs"},
		{Name: "the host name is set", Args: once("--hostname=quay", imageName, "cat", "/proc/sys/kernel/hostname"), Want: "quay"},

		{Name: "run detached", Args: run("-d", "--name=life", imageName, "sh", "-c", patient)},
		{Name: "logs", Args: []string{"logs", "life"}, Want: "up", Until: true},
		{Name: "exec prints", Args: []string{"exec", "life", "echo", "from", "exec"}, Want: "from exec"},
		{Name: "exec hands on the exit status", Args: []string{"exec", "life", "sh", "-c", "exit 9"}, Code: 9},
		{Name: "exec in a terminal", Args: []string{"exec", "-t", "life", "sh", "-c", "test -t 0 && echo terminal"}, Want: "terminal"},
		{Name: "exec as a user with a directory and a variable", Args: []string{"exec", "--user=app", "--workdir=/tmp", "--env=A=b", "life", "sh", "-c", "id -u; pwd; echo $A"}, Want: "1000\n/tmp\nb\n"},
		{Name: "top", Args: []string{"top", "life"}, Want: "trap"},
		{Name: "stats", Args: []string{"stats", "--no-stream", "life"}, Want: "life"},
		{Name: "pause", Args: []string{"pause", "life"}},
		{Name: "it is paused", Args: []string{"inspect", "-f", "{{.State.Status}}", "life"}, Want: "paused"},
		{Name: "resume", Args: []string{resume, "life"}},
		{Name: "exec after the pause", Args: []string{"exec", "life", "echo", "again"}, Want: "again"},
		{Name: "stop", Args: []string{"stop", "-t", "30", "life"}},
		{Name: "the signal reached the program", Args: []string{"inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "life"}, Want: "exited 3"},
		{Name: "start again", Args: []string{"start", "life"}},
		{Name: "kill", Args: []string{"kill", "life"}},
		{Name: "wait", Args: []string{"wait", "life"}, Want: "137"},
		{Name: "remove", Args: []string{"rm", "life"}},
		{Name: "it is gone", Args: []string{"ps", "--all"}, Never: "life"},

		{Name: "run to the end", Args: run("--name=logged", imageName, "echo", "kept"), Want: "kept"},
		{Name: "the log outlasts the program", Args: []string{"logs", "logged"}, Want: "kept"},
		{Name: "remove the ended", Args: []string{"rm", "logged"}},
	}
}
