package container

import (
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-oci/berth/runtime/internal/spec"
)

// TestMain makes the test binary the program of the containers too: it is static, so it runs in an empty root filesystem.
func TestMain(m *testing.M) {
	switch filepath.Base(os.Args[0]) {
	case victimName, bystanderName:
		os.Exit(victim(os.Args[1]))
	case "probe":
		syscall.Exit(probe(os.Args[1:])) // past what an instrumented binary would print at its end
	}
	os.Exit(m.Run())
}

// probe is the program inside: one verb an argument.
func probe(args []string) int {
	switch args[0] {
	case "exit":
		n, _ := strconv.Atoi(args[1])
		return n
	case "sleep":
		time.Sleep(time.Minute)
	case "trap":
		c := make(chan os.Signal, 1)
		signal.Notify(c, syscall.SIGTERM)
		fmt.Println("ready")
		<-c
		return 42
	case "cat":
		for _, name := range args[1:] {
			b, err := os.ReadFile(name)
			if err != nil {
				fmt.Println(err)
				return 1
			}
			os.Stdout.Write(b)
		}
	case "write":
		if err := os.WriteFile(args[1], []byte("x"), 0644); err != nil {
			fmt.Println(err)
			return 1
		}
	case "notify":
		return notifyProgram(args[1:])
	case "kill-victim":
		return killVictim()
	case "facts":
		json.NewEncoder(os.Stdout).Encode(facts())
	default:
		return attacker(args)
	}
	return 0
}

// fact is what a process finds out about itself.
type fact struct {
	UID, GID   int
	Groups     []int
	Cwd, Host  string
	Env        []string
	Status     map[string]string // lines of /proc/self/status
	FDs        []string          // what each descriptor refers to
	Namespaces map[string]string
	Mounts     []string // "destination type"
	Umask      int
}

func facts() fact {
	f := fact{UID: os.Getuid(), GID: os.Getgid(), Env: os.Environ(), Status: map[string]string{}, Namespaces: map[string]string{}}
	f.Groups, _ = os.Getgroups()
	f.Cwd, _ = os.Getwd()
	f.Host, _ = os.Hostname()
	f.Umask = syscall.Umask(0)
	status, _ := os.ReadFile("/proc/self/status")
	for _, line := range strings.Split(string(status), "\n") {
		if k, v, ok := strings.Cut(line, ":"); ok {
			f.Status[k] = strings.TrimSpace(v)
		}
	}
	links, _ := os.ReadDir("/proc/self/fd")
	for _, l := range links {
		if target, err := os.Readlink("/proc/self/fd/" + l.Name()); err == nil {
			f.FDs = append(f.FDs, l.Name()+" "+target)
		}
	}
	namespaces, _ := os.ReadDir("/proc/self/ns")
	for _, n := range namespaces {
		f.Namespaces[n.Name()], _ = os.Readlink("/proc/self/ns/" + n.Name())
	}
	mounts, _ := os.ReadFile("/proc/self/mounts")
	for _, line := range strings.Split(string(mounts), "\n") {
		if w := strings.Fields(line); len(w) > 2 {
			f.Mounts = append(f.Mounts, w[1]+" "+w[2])
		}
	}
	return f
}

// bundle makes a bundle whose root filesystem holds nothing but the probe, and whose config is the one that spec writes,
// changed.
func bundle(t *testing.T, change func(*specs.Spec), args ...string) string {
	t.Helper()
	dir := t.TempDir()
	root := filepath.Join(dir, "rootfs")
	if err := os.Mkdir(root, 0755); err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Link(exe, filepath.Join(root, "probe")); err != nil {
		b, err := os.ReadFile(exe)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, "probe"), b, 0755); err != nil {
			t.Fatal(err)
		}
	}
	c := spec.Example(false, 0, 0)
	c.Process.Terminal = false
	c.Process.Args = append([]string{"/probe"}, args...)
	if change != nil {
		change(c)
	}
	writeConfig(t, dir, c)
	return dir
}

func writeConfig(t *testing.T, dir string, c *specs.Spec) {
	t.Helper()
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), b, 0644); err != nil {
		t.Fatal(err)
	}
}

// asRoot skips, counted, where containers without a user namespace cannot be made.
func asRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: containers without a user namespace")
	}
}

// runtimeFor gives a runtime with a state directory of the test's own, which must be empty in the end.
func runtimeFor(t *testing.T) *Runtime {
	t.Helper()
	r := &Runtime{Root: filepath.Join(t.TempDir(), "state"), Warn: func(m string) { t.Log(m) }}
	t.Cleanup(func() {
		left, _ := os.ReadDir(r.Root)
		for _, e := range left {
			t.Errorf("container %s is left", e.Name())
			r.Delete(e.Name(), true)
		}
	})
	return r
}

// unique is a container id that no other test has.
func unique(t *testing.T) string {
	return fmt.Sprintf("berth-test-%d-%d", os.Getpid(), time.Now().UnixNano())
}

// output runs a container and returns what it printed and its exit status.
func output(t *testing.T, dir string) (string, int) {
	t.Helper()
	r := runtimeFor(t)
	f, err := os.CreateTemp(t.TempDir(), "out")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	status, err := r.Run(unique(t), RunOptions{CreateOptions: CreateOptions{Bundle: dir, Stdio: Stdio{Out: f}}})
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(b), status
}

// factsOf runs a container that tells about itself.
func factsOf(t *testing.T, change func(*specs.Spec)) fact {
	t.Helper()
	out, status := output(t, bundle(t, change, "facts"))
	var f fact
	if err := json.Unmarshal([]byte(out), &f); err != nil || status != 0 {
		t.Fatalf("exit %d, output %q: %v", status, out, err)
	}
	return f
}
