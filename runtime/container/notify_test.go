package container

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// serviceManager stands in for systemd: it sets NOTIFY_SOCKET and returns what is sent there, once the sender is done with it.
func serviceManager(t *testing.T) (messages func() []string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "manager") // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "notify")
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err == nil {
		err = syscall.Bind(fd, &syscall.SockaddrUnix{Name: path})
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("NOTIFY_SOCKET", path)
	received := make(chan []string, 1)
	go func() {
		var all []string
		for {
			data, control := make([]byte, 4096), make([]byte, 64)
			n, k, _, _, err := syscall.Recvmsg(fd, data, control, syscall.MSG_CMSG_CLOEXEC)
			if err != nil || n == 0 {
				syscall.Close(fd)
				received <- all
				return
			}
			all = append(all, string(data[:n]))
			list, _ := syscall.ParseSocketControlMessage(control[:k])
			for _, m := range list {
				fds, _ := syscall.ParseUnixRights(&m)
				for _, fd := range fds {
					syscall.Close(fd) // so the barrier falls
				}
			}
		}
	}()
	return func() []string {
		s, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
		if err == nil {
			err = syscall.Sendto(s, nil, 0, &syscall.SockaddrUnix{Name: path}) // the end
			syscall.Close(s)
		}
		if err != nil {
			t.Fatal(err)
		}
		return <-received
	}
}

// notifyProgram is the program in the container: it sends its arguments, one message each, but does what those that begin with
// a comma say.
func notifyProgram(args []string) int {
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return 1
	}
	for _, a := range args {
		switch a {
		case ",sleep":
			probe([]string{"sleep"})
		case ",await-signal":
			c := make(chan os.Signal, 1)
			signal.Notify(c, syscall.SIGUSR1)
			if os.WriteFile("/waits", nil, 0o600) != nil {
				return 3
			}
			<-c
		case ",replace-socket":
			if err := os.WriteFile("/run/notify/own", nil, 0o600); err != syscall.EROFS && !strings.Contains(fmt.Sprint(err), "read-only") {
				return 4
			}
		default:
			if syscall.Sendto(fd, []byte(a), 0, &syscall.SockaddrUnix{Name: os.Getenv("NOTIFY_SOCKET")}) != nil {
				return 5
			}
		}
	}
	return 6
}

// evil is what a program may try beside the one word that counts.
const evil = "STATUS=all yours\nMAINPID=1\nREADY=1\nFDSTORE=1"

func wantReady(t *testing.T, got []string, pid int) {
	t.Helper()
	if want := []string{"READY=1\nMAINPID=" + strconv.Itoa(pid), "BARRIER=1"}; !slices.Equal(got, want) {
		t.Errorf("the manager got %q, want %q", got, want)
	}
}

func TestDetachedRunTellsTheManagerThatTheProgramIsReady(t *testing.T) {
	asRoot(t)
	for name, change := range map[string]func(*specs.Spec){
		"root": nil,
		"another user in a user namespace": func(c *specs.Spec) {
			c.Root.Readonly = false
			c.Linux.Namespaces = append(c.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
			c.Linux.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 0, Size: 1}, {ContainerID: 1, HostID: 200000, Size: 100}}
			c.Linux.GIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 0, Size: 1}, {ContainerID: 1, HostID: 300000, Size: 100}}
			c.Process.User = specs.User{UID: 5, GID: 6}
		},
	} {
		t.Run(name, func(t *testing.T) {
			messages := serviceManager(t)
			r, id := runtimeFor(t), unique(t)
			dir := bundle(t, change, "notify", "STATUS=begins", "READY=0", ",replace-socket", evil, ",sleep")
			if _, err := r.Run(id, RunOptions{CreateOptions: CreateOptions{Bundle: dir}, Detach: true}); err != nil {
				t.Fatal(err)
			}
			s := state(t, r, id, Running)
			wantReady(t, messages(), s.Pid)
			if err := r.Delete(id, true); err != nil {
				t.Error(err)
			}
			reap()
		})
	}
}

// TestStartWaitsUntilTheProgramIsReady also wants the container to be free for other commands meanwhile.
func TestStartWaitsUntilTheProgramIsReady(t *testing.T) {
	asRoot(t)
	messages := serviceManager(t)
	r, id := runtimeFor(t), unique(t)
	dir := bundle(t, func(c *specs.Spec) { c.Root.Readonly = false }, "notify", ",await-signal", evil, ",sleep")
	if err := r.Create(id, CreateOptions{Bundle: dir}); err != nil {
		t.Fatal(err)
	}
	s := state(t, r, id, Created)
	started := make(chan error, 1)
	go func() { started <- r.Start(id) }()
	for {
		if _, err := os.Stat(filepath.Join(dir, "rootfs", "waits")); err == nil {
			break
		}
		select {
		case err := <-started:
			t.Fatalf("start did not wait: %v", err)
		default:
		}
	}
	select {
	case err := <-started:
		t.Fatalf("start did not wait: %v", err)
	default:
	}
	if err := r.Kill(id, int(syscall.SIGUSR1), false); err != nil {
		t.Fatal(err)
	}
	if err := <-started; err != nil {
		t.Error(err)
	}
	wantReady(t, messages(), s.Pid)
	if err := r.Delete(id, true); err != nil {
		t.Error(err)
	}
	reap()
}

func TestForegroundRunStaysTheMainProcess(t *testing.T) {
	asRoot(t)
	messages := serviceManager(t)
	r := runtimeFor(t)
	dir := bundle(t, nil, "notify", evil)
	if status, err := r.Run(unique(t), RunOptions{CreateOptions: CreateOptions{Bundle: dir}}); err != nil || status != 6 {
		t.Fatalf("exit status %d, %v", status, err)
	}
	wantReady(t, messages(), os.Getpid())
}

func TestProgramThatIsNeverReadyHoldsNobodyUp(t *testing.T) {
	asRoot(t)
	messages := serviceManager(t)
	r, id := runtimeFor(t), unique(t)
	dir := bundle(t, nil, "notify", "STATUS=ends")
	if err := r.Create(id, CreateOptions{Bundle: dir}); err != nil {
		t.Fatal(err)
	}
	if err := r.Start(id); err != nil {
		t.Error(err)
	}
	if got := messages(); got != nil {
		t.Errorf("the manager got %q", got)
	}
	await(t, r, id, Stopped)
	if err := r.Delete(id, false); err != nil {
		t.Error(err)
	}
}

func TestManagerThatIsGoneIsAWarning(t *testing.T) {
	asRoot(t)
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "gone"))
	r, warnings := kept(t)
	id := unique(t)
	if _, err := r.Run(id, RunOptions{CreateOptions: CreateOptions{Bundle: bundle(t, nil, "notify", evil, ",sleep")}, Detach: true}); err != nil {
		t.Fatal(err)
	}
	state(t, r, id, Running)
	if len(*warnings) != 1 || !strings.Contains((*warnings)[0], "cannot tell the service manager") {
		t.Errorf("warnings: %q", *warnings)
	}
	if err := r.Delete(id, true); err != nil {
		t.Error(err)
	}
	reap()
}

func TestNotifySocketIsOnlyWhereSomebodyWaits(t *testing.T) {
	asRoot(t)
	own := "NOTIFY_SOCKET=/own/socket"
	for name, c := range map[string]struct {
		manager string
		env     []string
		want    string // of the program's environment
		mounted bool
	}{
		"nobody waits":                 {},
		"a manager waits":              {manager: "/run/manager", want: "NOTIFY_SOCKET=/run/notify/notify.sock", mounted: true},
		"the engine has its own proxy": {manager: "/run/manager", env: []string{own}, want: own},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("NOTIFY_SOCKET", c.manager)
			f := factsOf(t, func(s *specs.Spec) { s.Process.Env = append(s.Process.Env, c.env...) })
			i := slices.IndexFunc(f.Env, func(e string) bool { return strings.HasPrefix(e, "NOTIFY_SOCKET=") })
			if got := strings.Join(f.Env[max(i, 0):max(i, 0)+min(i+1, 1)], ""); got != c.want {
				t.Errorf("the program has %q, want %q", got, c.want)
			}
			mounted := slices.ContainsFunc(f.Mounts, func(m string) bool { return strings.HasPrefix(m, "/run/notify ") })
			if mounted != c.mounted {
				t.Errorf("/run/notify is mounted: %v", mounted)
			}
		})
	}
}
