// Package vmtest runs Go test packages inside virtual machines and reports their tests as if they had run here.
//
// A test package is compiled for the guest's architecture, carried into the guest with its testdata, run as root, and
// its passes, failures and skips come back as subtests: a test that skipped in the guest is a counted skip, with its
// reason. Where virtual machines cannot be had, the whole is one counted skip.
package vmtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/berth-oci/berth/conformance/vm"
)

// DefaultTimeout bounds the run of a test package in a guest: emulated machines are some ten times slower.
const DefaultTimeout = 10 * time.Minute

// Package is a Go test package to run in a guest.
type Package struct {
	Path    string             // import path, or ./directory below the module's root
	Run     string             // regular expression of -test.run; by default all tests
	Args    []string           // more arguments, such as -test.short
	Tags    string             // build tags, comma separated
	Env     []string           // added to the environment of a root shell
	Files   map[string]vm.File // carried along, by absolute path in the guest
	Timeout time.Duration      // by default DefaultTimeout
}

// Boot boots a machine that lasts as long as the test. It skips the test where the machine cannot be had, and in short
// mode.
func Boot(t testing.TB, m vm.Machine) *vm.Guest {
	t.Helper()
	if testing.Short() {
		t.Skip("virtual machines take seconds to boot: not in short mode")
	}
	g, err := m.Boot(t.Context())
	Check(t, err)
	for _, err := range g.Failed {
		t.Logf("booted again: %v", err)
	}
	for _, w := range g.Facts.Warnings {
		t.Logf("%s: %s", m, w)
	}
	t.Cleanup(func() { _ = g.Close() })
	return g
}

// Check skips the test when err says that a virtual machine or package cannot be had here, and fails it for any other
// error.
func Check(t testing.TB, err error) {
	t.Helper()
	if vm.IsUnavailable(err) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// RunPackage boots a machine and runs all tests of one package in it.
func RunPackage(t *testing.T, m vm.Machine, path string) {
	t.Helper()
	Package{Path: path}.RunIn(t, m)
}

// attempts is how often a package is begun when the machine itself breaks down: emulation panics a guest's kernel now and
// then, in places that have nothing to do with what runs there.
const attempts = 3

// RunIn boots a machine and runs the package in it. After a kernel panic it does so again in a new machine, and says so.
func (p Package) RunIn(t *testing.T, m vm.Machine) {
	t.Helper()
	for n := 1; ; n++ {
		g := Boot(t, m)
		r := p.runGuest(t, g)
		if n == attempts || !vm.Panicked(r.err) {
			r.report(t)
			return
		}
		t.Logf("attempt %d of %d: %v", n, attempts, r.err)
		_ = g.Close()
	}
}

// RunGuest runs the package in a guest that is up.
func (p Package) RunGuest(t *testing.T, g *vm.Guest) {
	t.Helper()
	p.runGuest(t, g).report(t)
}

// outcome is one run of a package in a guest.
type outcome struct {
	c      compiled
	res    vm.Result
	events []event
	raw    string
	err    error // the machine's or the parser's
}

// report replays the guest's tests as subtests.
func (o outcome) report(t *testing.T) {
	t.Helper()
	if o.err != nil {
		t.Errorf("%v\nits last words:\n%s", o.err, lastLines(o.raw, 40))
	}
	grow(o.events).replay(t)
	if o.err == nil && o.res.ExitCode != 0 && !t.Failed() {
		t.Errorf("%s exited with %d (signal %v) though no test failed:\n%s", o.c.importPath, o.res.ExitCode, o.res.Signal, lastLines(o.raw, 40))
	}
}

func (p Package) runGuest(t *testing.T, g *vm.Guest) (o outcome) {
	t.Helper()
	if p.Timeout == 0 {
		p.Timeout = DefaultTimeout
	}
	var err error
	o.c, err = p.compile(t.Context(), t.TempDir(), goarch(g.Facts.Arch))
	if errors.Is(err, errNoTests) {
		t.Skip(err)
	}
	Check(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), p.Timeout+time.Minute) // the test's own alarm comes first and tells more
	defer cancel()
	var raw bytes.Buffer
	var perr error
	o.res, err = g.Run(ctx, p.job(o.c, &raw))
	o.raw = raw.String()
	o.events, perr = parse(t.Context(), o.c.importPath, raw.Bytes())
	o.err = errors.Join(err, perr)
	return o
}

func (p Package) job(c compiled, output io.Writer) vm.Job {
	dir := path.Join("/src", c.relative)
	binary := path.Join(dir, path.Base(c.importPath)+".test")
	files := map[string]vm.File{binary: {Host: c.binary}}
	if _, err := os.Stat(filepath.Join(c.dir, "testdata")); err == nil {
		files[path.Join(dir, "testdata")] = vm.File{Host: filepath.Join(c.dir, "testdata")}
	}
	for name, f := range p.Files {
		files[name] = f
	}
	command := []string{binary, "-test.v=test2json", "-test.paniconexit0", "-test.timeout=" + p.Timeout.String()}
	if p.Run != "" {
		command = append(command, "-test.run="+p.Run)
	}
	return vm.Job{Command: append(command, p.Args...), Dir: dir, Env: p.Env, Files: files, Stdout: output, Stderr: output}
}

// compiled is a test package as the host's toolchain made it.
type compiled struct {
	importPath string
	dir        string // of its source
	relative   string // dir, below the module's root
	binary     string
}

var errNoTests = errors.New("the package has no tests for the guest")

func (p Package) compile(ctx context.Context, tmp, arch string) (c compiled, err error) {
	env := append(os.Environ(), "GOOS=linux", "GOARCH="+arch, "CGO_ENABLED=0")
	root, err := goTool(ctx, ".", env, "list", "-m", "-f", "{{.Dir}}")
	if err != nil {
		return c, err
	}
	root, _, _ = strings.Cut(root, "\n")
	list, err := goTool(ctx, root, env, "list", "-tags="+p.Tags, "-f", "{{.ImportPath}}\n{{.Dir}}", p.Path)
	if err != nil {
		return c, err
	}
	c.importPath, c.dir, _ = strings.Cut(list, "\n")
	if c.relative, err = filepath.Rel(root, c.dir); err != nil {
		return c, err
	}
	c.binary = filepath.Join(tmp, "package.test")
	if _, err := goTool(ctx, root, env, "test", "-c", "-tags="+p.Tags, "-o", c.binary, p.Path); err != nil {
		return c, err
	}
	if _, err := os.Stat(c.binary); err != nil {
		return c, fmt.Errorf("cannot test %s: %w", c.importPath, errNoTests)
	}
	return c, nil
}

func goTool(ctx context.Context, dir string, env []string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Env = dir, env
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if errors.Is(err, exec.ErrNotFound) {
		return "", &vm.Unavailable{What: "a test package for a virtual machine", Err: err, Remedy: "a Go toolchain must be in the path"}
	}
	if err != nil {
		return "", fmt.Errorf("go %s: %w\n%s", args[0], err, errs.String())
	}
	return strings.TrimSpace(string(out)), nil
}

// goarch translates the kernel's name of an architecture.
func goarch(machine string) string {
	switch machine {
	case "x86_64":
		return "amd64"
	case "aarch64":
		return "arm64"
	}
	return machine
}

func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
