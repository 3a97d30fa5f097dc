package leak

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-oci/berth/conformance/probe"
)

// A scenario is one life of a container. Its error tells that the life did
// not take the course it should.
type scenario struct {
	name string
	play func(*life) error
}

var scenarios = []scenario{
	{"create, start, exit, delete", ordinary},
	{"create, start, kill, delete", killed},
	{"create, kill, delete", killedCreated},
	{"create, delete by force", forced},
	{"create, start, delete by force", forcedRunning},
	{"create fails at a mount", failsAtMount},
	{"create fails at a hook", failsAtHook},
	{"create fails at its program", failsAtProgram},
	{"descendants outlive the program", descendants},
	{"id used again", again},
	{"50 containers at once", many},
}

// life is a container of a scenario.
type life struct {
	work   order
	id     string
	dir    string
	config *specs.Spec
}

// bundle writes a bundle whose program exits at once.
func (l *life) bundle() error {
	l.dir = filepath.Join(bundles, l.id)
	for _, dir := range []string{"proc", "dev", "sys", "tmp"} {
		if err := os.MkdirAll(filepath.Join(l.dir, "rootfs", dir), 0o755); err != nil {
			return err
		}
	}
	if err := os.Link(probeAt, filepath.Join(l.dir, "rootfs", probe.Path)); err != nil {
		return err
	}
	l.config = &specs.Spec{
		Version: "1.0.2",
		Root:    &specs.Root{Path: "rootfs"},
		Process: &specs.Process{Args: probe.Args(probe.Op{Do: "label", Data: "ran"}), Cwd: "/", Env: []string{"PATH=/"}},
		Mounts: []specs.Mount{
			{Destination: "/proc", Type: "proc", Source: "proc"},
			{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"mode=755"}},
			{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"newinstance", "ptmxmode=0666"}},
			{Destination: "/dev/shm", Type: "tmpfs", Source: "shm"},
			{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue"},
		},
		Linux: &specs.Linux{CgroupsPath: "/" + l.id, MaskedPaths: []string{"/proc/keys"}, ReadonlyPaths: []string{"/proc/sys"}},
	}
	for _, kind := range []specs.LinuxNamespaceType{specs.PIDNamespace, specs.NetworkNamespace, specs.IPCNamespace, specs.UTSNamespace, specs.MountNamespace} {
		l.config.Linux.Namespaces = append(l.config.Linux.Namespaces, specs.LinuxNamespace{Type: kind})
	}
	return l.write()
}

func (l *life) write() error {
	text, err := json.Marshal(l.config)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(l.dir, "config.json"), text, 0o644)
}

// program makes the container's program perform operations.
func (l *life) program(ops ...probe.Op) error {
	l.config.Process.Args = probe.Args(ops...)
	return l.write()
}

// do executes one operation of the runtime. Output goes to a file in the
// bundle, so that no descriptor is shared with what the runtime leaves running.
func (l *life) do(verb string, args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), l.work.Timeout)
	defer cancel()
	log, err := os.Create(filepath.Join(l.dir, "log"))
	if err != nil {
		return err
	}
	defer log.Close()
	argv := append(append([]string{}, l.work.Runtime.Args...), "--root", stateAt, verb)
	cmd := exec.CommandContext(ctx, runtimeAt, append(argv, args...)...)
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = log, log, time.Second
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", verb, err, strings.TrimSpace(string(read(log.Name()))))
	}
	return nil
}

func (l *life) create() error { return l.do("create", "--bundle", l.dir, l.id) }
func (l *life) start() error  { return l.do("start", l.id) }

func (l *life) createStart() error {
	if err := l.create(); err != nil {
		return err
	}
	return l.start()
}

// stopped waits until the runtime says that the container has stopped.
func (l *life) stopped() error {
	deadline := time.Now().Add(l.work.Timeout)
	for time.Now().Before(deadline) {
		reap() // a zombie may count as alive
		if err := l.do("state", l.id); err != nil {
			return err
		}
		if strings.Contains(string(read(filepath.Join(l.dir, "log"))), `"stopped"`) {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return errors.New("the container did not stop")
}

// clear removes what the scenario itself made, and the container where the
// scenario went wrong, so that one leak is not found again in the next.
func (l *life) clear() {
	_ = l.do("delete", "--force", l.id)
	_ = os.RemoveAll(l.dir)
}

func ordinary(l *life) error {
	if err := l.createStart(); err != nil {
		return err
	}
	if err := l.stopped(); err != nil {
		return err
	}
	return l.do("delete", l.id)
}

var pause = probe.Op{Do: "sleep", Nums: []uint64{600_000}}

func killed(l *life) error {
	return errors.Join(l.program(pause), l.createStart(), l.do("kill", l.id, "KILL"), l.stopped(), l.do("delete", l.id))
}

func killedCreated(l *life) error {
	return errors.Join(l.create(), l.do("kill", l.id, "KILL"), l.stopped(), l.do("delete", l.id))
}

func forced(l *life) error {
	return errors.Join(l.create(), l.do("delete", "--force", l.id))
}

func forcedRunning(l *life) error {
	return errors.Join(l.program(pause), l.createStart(), l.do("delete", "--force", l.id))
}

// refused expects create to fail.
func (l *life) refused() error {
	if err := errors.Join(l.write()); err != nil {
		return err
	}
	if l.create() == nil {
		return errors.New("create succeeded where it must fail")
	}
	return nil
}

func failsAtMount(l *life) error {
	l.config.Mounts = append(l.config.Mounts, specs.Mount{Destination: "/tmp", Type: "no-such-filesystem", Source: "none"})
	return l.refused()
}

func failsAtHook(l *life) error {
	l.config.Hooks = &specs.Hooks{CreateRuntime: []specs.Hook{{Path: probeAt, Args: probe.Args(probe.Op{Do: "exit", Nums: []uint64{3}})}}}
	return l.refused()
}

// failsAtProgram may fail at create or at start; after a failed start the
// container is there to be deleted.
func failsAtProgram(l *life) error {
	l.config.Process.Args = []string{"/no/such/program"}
	if err := l.write(); err != nil {
		return err
	}
	if l.create() != nil {
		return nil
	}
	if l.start() == nil {
		return errors.New("start succeeded where it must fail")
	}
	return l.do("delete", "--force", l.id)
}

func descendants(l *life) error {
	text, err := json.Marshal([]probe.Op{pause})
	if err != nil {
		return err
	}
	child := probe.Op{Do: "spawn", Path: probe.Path, Args: []string{string(text)}}
	if err := l.program(child, child, pause); err != nil {
		return err
	}
	return errors.Join(l.createStart(), l.do("kill", l.id, "KILL"), l.stopped(), l.do("delete", l.id))
}

func again(l *life) error {
	for range 3 {
		if err := ordinary(l); err != nil {
			return err
		}
	}
	return nil
}

// many lets 50 containers live at once, as fast as the runtime can.
func many(l *life) error {
	const lives, together = 50, 16
	errs, turn := make([]error, lives), make(chan struct{}, together)
	var all sync.WaitGroup
	for i := range lives {
		turn <- struct{}{}
		all.Go(func() {
			defer func() { <-turn }()
			one := &life{work: l.work, id: fmt.Sprintf("%s-%d", l.id, i)}
			defer os.RemoveAll(filepath.Join(bundles, one.id))
			errs[i] = errors.Join(one.bundle(), forcedRunning(one))
		})
	}
	all.Wait()
	return errors.Join(errs...)
}
