package conformance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
	"unsafe"

	"github.com/berth-oci/berth/conformance/probe"
)

// Runtime is the program under test.
type Runtime struct {
	// Path of the executable; a bare name is looked up in PATH.
	Path string `json:"path"`
	// Args are global arguments, placed before the operation's name.
	Args []string `json:"args,omitempty"`
	// Root is the directory that working directories are made in; empty means the system's temporary directory.
	Root string `json:"root,omitempty"`
}

func (r *Runtime) resolve() error {
	path, err := exec.LookPath(r.Path)
	if err != nil {
		return fmt.Errorf("cannot find the runtime %q: %w", r.Path, err)
	}
	if r.Path, err = filepath.Abs(path); err != nil {
		return fmt.Errorf("cannot find the runtime %q: %w", r.Path, err)
	}
	if r.Root == "" {
		r.Root = os.TempDir()
	}
	return nil
}

// CommandError tells that the runtime refused an operation.
type CommandError struct {
	Verb   string
	Code   int    // exit code, -1 for a signal
	Stderr string // what it said
}

// Error shows the runtime's own words, shortened to what a reader needs.
func (e *CommandError) Error() string {
	said := strings.TrimSpace(e.Stderr)
	if len(said) > 500 {
		said = said[:500] + "…"
	}
	return fmt.Sprintf("%s exited with %d: %s", e.Verb, e.Code, said)
}

// errHung tells that an operation did not come back in time.
var errHung = errors.New("did not return in time")

// command is one invocation of the runtime.
type command struct {
	verb   string
	args   []string // after the verb
	stdout *os.File // nil: collected
	stderr *os.File // nil: collected
	enter  []string // namespace files to join first
	env    []string // added to the environment
	dir    string
}

// run executes the command. Output goes to files, never to pipes: a process
// that the runtime left behind cannot keep the check waiting.
func (t *T) run(c command) (stdout string, err error) {
	ctx, cancel := context.WithTimeout(t.ctx, t.options.Timeout)
	defer cancel()
	out, err := t.capture(c.stdout)
	if err != nil {
		return "", err
	}
	defer out.release()
	complaint, err := t.capture(c.stderr)
	if err != nil {
		return "", err
	}
	defer complaint.release()

	argv := t.argv(c)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	if len(c.enter) > 0 {
		cmd.Path, cmd.Args = t.options.Probe, enterArgs(c.enter, argv)
	}
	cmd.Stdout, cmd.Stderr, cmd.Dir = out.file, complaint.file, c.dir
	cmd.Env = append(os.Environ(), c.env...)
	cmd.WaitDelay = time.Second
	err = cmd.Run()
	if ctx.Err() == context.DeadlineExceeded {
		return "", fmt.Errorf("%s %w (%v)", c.verb, errHung, t.options.Timeout)
	}
	if err == nil {
		return out.text(), nil
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return out.text(), &CommandError{Verb: c.verb, Code: exit.ExitCode(), Stderr: complaint.text()}
	}
	return "", fmt.Errorf("cannot execute %s: %w", argv[0], err)
}

func (t *T) argv(c command) []string {
	argv := append([]string{t.Runtime.Path}, t.Runtime.Args...)
	argv = append(argv, "--root", t.path("state"), c.verb)
	return append(argv, c.args...)
}

// enterArgs wraps an invocation so that it starts inside other namespaces.
func enterArgs(namespaces, argv []string) []string {
	inside := append(append([]string{}, namespaces...), "--")
	return probe.Args(probe.Op{Do: "enter", Path: argv[0], Args: append(inside, argv...)})
}

// captured is a file for one stream of a command.
type captured struct {
	file *os.File
	from int64 // where this command's output begins
	own  bool
}

func (t *T) capture(given *os.File) (captured, error) {
	if given != nil {
		at, err := given.Seek(0, io.SeekEnd)
		return captured{file: given, from: at}, err
	}
	file, err := os.CreateTemp(t.Dir, "output-")
	return captured{file: file, own: true}, err
}

func (c captured) text() string {
	text, _ := io.ReadAll(io.NewSectionReader(c.file, c.from, 1<<20))
	return string(text)
}

func (c captured) release() {
	if c.own {
		c.file.Close()
		os.Remove(c.file.Name())
	}
}

// placeProbe copies the probe into the working directory, from where it is
// linked into each root filesystem.
func placeProbe(path, base string) (string, error) {
	if path == "" {
		self, err := os.Executable()
		if err != nil {
			return "", fmt.Errorf("cannot find the probe: %w", err)
		}
		path = self
	}
	static, err := probe.Static(path)
	if err != nil {
		return "", fmt.Errorf("cannot use the probe: %w", err)
	}
	if !static {
		return "", fmt.Errorf("cannot use %s as the probe: it is dynamically linked and would not start inside a container; build with CGO_ENABLED=0 or name another probe", path)
	}
	target := filepath.Join(base, probe.Name)
	if err := copyFile(path, target, 0o755); err != nil {
		return "", fmt.Errorf("cannot place the probe: %w", err)
	}
	return target, nil
}

func copyFile(from, to string, mode os.FileMode) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	return errors.Join(err, target.Chmod(mode), target.Close())
}

func uintptrOf(value *int) uintptr { return uintptr(unsafe.Pointer(value)) }
