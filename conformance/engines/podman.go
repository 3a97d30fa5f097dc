package engines

import (
	"context"
	"fmt"
	"path/filepath"
)

// podman needs no daemon. Its locks are files, since the other kind lives in shared memory under one name for all.
func (e *Engine) podman(ctx context.Context, runtime string) error {
	path, err := program("podman", "podman")
	if err != nil {
		return err
	}
	if e.Version, err = firstLine(ctx, path, "--version"); err != nil {
		return err
	}
	engine, err := e.file("containers.conf", fmt.Appendf(nil, `[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
static_dir = "%[1]s/static"
tmp_dir = "%[1]s/tmp"
volume_path = "%[1]s/volumes"
`, e.dir))
	if err != nil {
		return err
	}
	storage, err := e.file("storage.conf", fmt.Appendf(nil, "[storage]\ndriver = \"vfs\"\nrunroot = \"%[1]s/run\"\ngraphroot = \"%[1]s/root\"\n", e.dir))
	if err != nil {
		return err
	}
	e.env = append(e.env, "CONTAINERS_CONF="+engine, "CONTAINERS_STORAGE_CONF="+storage)
	e.command = []string{path, "--root", filepath.Join(e.dir, "root"), "--runroot", filepath.Join(e.dir, "run"),
		"--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--events-backend", "file", "--runtime", runtime}
	e.wipe = [][]string{{"rm", "--all", "--force", "--time", "0"}}
	image, err := e.archive(nil)
	if err != nil {
		return err
	}
	e.steps = append(dockerLike("unpause", "--network=none", "--cgroup-parent=/"+e.group), podmanOnly(e.group)...)
	return e.must(ctx, "import", "--change", "ENV PATH=/bin", image, imageName)
}

// podmanOnly are steps that Docker's engine has no command for, or answers otherwise.
func podmanOnly(group string) []Step {
	return []Step{
		{Name: "a check of health runs", Args: []string{"run", "-d", "--name=healthy", "--network=none", "--cgroup-parent=/" + group,
			"--health-cmd=ls /bin/sh", "--health-interval=disable", imageName, "sleep", "1000"}},
		{Name: "the check of health passes", Args: []string{"healthcheck", "run", "healthy"}},
		{Name: "exec of a missing program tells so", Args: []string{"exec", "healthy", "nosuch"}, Code: 127, Want: "not found"},
		{Name: "exec of what may not be executed tells so", Args: []string{"exec", "healthy", "/etc/passwd"}, Code: 126, Want: "permission denied"},
		{Name: "the healthy container is removed by force", Args: []string{"rm", "--force", "--time=0", "healthy"}},
	}
}
