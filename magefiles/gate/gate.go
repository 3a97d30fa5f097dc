// Package gate decides whether a tree of this module is fit to land: it formats nothing and mends nothing, it only runs
// the toolchain's own checks over the tree and counts what they say.
//
// The parties: the person or machine that asks (through `go tool mage test`), the Go toolchain, which is trusted, and the
// tree, which is not. A skip is a counted result with its reason, so that a machine that lacks root or a Debian tool says
// which proofs it did not give; a run in which no test was executed fails.
package gate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Gate is one tree and where to say what was found there.
type Gate struct {
	Dir string    // the module's root
	Out io.Writer // one line per step, then the summary
}

// step is one check over the whole tree.
type step struct {
	name string
	run  func(context.Context) error
}

// Test runs every check and every test, prints how many passed, failed and were skipped for which reason, and how much
// of the code they covered. It returns an error where anything failed or nothing was executed.
func (g Gate) Test(ctx context.Context) error {
	if err := g.Lint(ctx); err != nil {
		return err
	}
	return g.Coverage(ctx)
}

// Coverage is Test without the checks that come before the tests.
func (g Gate) Coverage(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "coverage-")
	if err != nil {
		return fmt.Errorf("cannot measure coverage: %w", err)
	}
	defer os.RemoveAll(dir)
	defer syscall.Umask(syscall.Umask(0o022)) // tests lay out files for other users
	tally, err := g.runTests(ctx, dir)
	if err != nil {
		return err
	}
	g.reportCoverage(ctx, dir)
	tally.report(g.Out)
	return tally.verdict()
}

// Lint runs the checks that execute none of the tree's code: gofmt, vet and staticcheck. All of them run, so that one
// run shows every finding.
func (g Gate) Lint(ctx context.Context) error {
	var errs []error
	for _, s := range g.lints() {
		start := time.Now()
		err := s.run(ctx)
		g.say(s.name, err, time.Since(start))
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (g Gate) lints() []step {
	return []step{
		{"gofmt", g.gofmt},
		{"go vet", func(ctx context.Context) error { return g.goRun(ctx, "vet", "./...") }},
		{"go vet magefiles", func(ctx context.Context) error { return g.goRun(ctx, "vet", "-tags=mage", "./magefiles/...") }},
		{"go vet arm64", func(ctx context.Context) error { return g.goRunArch(ctx, "arm64", "vet", "./...") }},
		{"staticcheck", func(ctx context.Context) error { return g.goRun(ctx, "tool", "staticcheck", "./...") }},
	}
}

func (g Gate) say(name string, err error, took time.Duration) {
	verdict := "ok"
	if err != nil {
		verdict = "FAIL"
	}
	fmt.Fprintf(g.Out, "%-4s  %-18s %6.1fs\n", verdict, name, took.Seconds())
}

// gofmt lists the files of the tree that gofmt would change. Files under testdata are data and may be as they like.
func (g Gate) gofmt(ctx context.Context) error {
	files, err := g.goFiles()
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fmt.Errorf("cannot check the format: no Go file under %s", g.Dir)
	}
	out, err := g.command(ctx, gofmtPath(ctx), append([]string{"-l"}, files...)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("cannot run gofmt: %w\n%s", err, out)
	}
	if len(out) > 0 {
		return fmt.Errorf("cannot accept the format of these files (run gofmt -w on them):\n%s", out)
	}
	return nil
}

// gofmtPath prefers the gofmt that belongs to the Go in use over another one on PATH, and finds it where only the go
// command is on PATH.
func gofmtPath(ctx context.Context) string {
	root, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err == nil {
		path := filepath.Join(strings.TrimSpace(string(root)), "bin", "gofmt")
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return "gofmt"
}

func (g Gate) goFiles() ([]string, error) {
	var files []string
	err := filepath.WalkDir(g.Dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != g.Dir && (d.Name() == "testdata" || d.Name() == "dist" || strings.HasPrefix(d.Name(), ".")) {
			return filepath.SkipDir
		}
		if !d.IsDir() && strings.HasSuffix(path, ".go") {
			files = append(files, path)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("cannot list the Go files: %w", err)
	}
	return files, nil
}

func (g Gate) goRun(ctx context.Context, args ...string) error {
	return g.goRunArch(ctx, "", args...)
}

func (g Gate) goRunArch(ctx context.Context, arch string, args ...string) error {
	cmd := g.command(ctx, "go", args...)
	if arch != "" {
		cmd.Env = append(cmd.Env, "GOARCH="+arch)
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("cannot pass go %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// command runs without cgo: the module is pure Go, and a machine without a C compiler must give the same verdict.
func (g Gate) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = g.Dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	return cmd
}
