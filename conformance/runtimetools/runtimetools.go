// Package runtimetools runs the validation programs of github.com/opencontainers/runtime-tools against OCI runtimes and
// sets the outcomes side by side.
//
// The suite is fetched through the Go module proxy, whose checksum database vouches for it, and built in a directory of
// its own: it is no dependency of this module. Its programs run as root, make containers, and are trusted like tests. They are of
// the suite's age: where one is itself wrong, Remarks says so and by which words of the specification.
package runtimetools

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Module and Version are what is built.
const (
	Module  = "github.com/opencontainers/runtime-tools"
	Version = "v0.9.1-0.20251114084447-edf4cb3d2116"
)

// longest is how long a program may take; some wait tens of seconds for a state that never comes.
const longest = 40 * time.Second

// Build fetches the suite and builds its programs under dir, where they must be run.
func Build(ctx context.Context, dir string) error {
	list := exec.CommandContext(ctx, "go", "mod", "download", "-json", Module+"@"+Version)
	list.Dir = dir // outside any module
	list.Env = append(os.Environ(), "GO111MODULE=on", "GOWORK=off", "GOFLAGS=")
	out, err := list.Output()
	if err != nil {
		return fmt.Errorf("cannot fetch %s %s: %w: %s", Module, Version, err, out)
	}
	var module struct{ Dir string }
	if err := json.Unmarshal(out, &module); err != nil {
		return fmt.Errorf("cannot fetch %s %s: %w", Module, Version, err)
	}
	source := filepath.Join(dir, "suite")
	if err := copySource(source, module.Dir); err != nil {
		return fmt.Errorf("cannot copy %s: %w", Module, err)
	}
	build := exec.CommandContext(ctx, "go", "build", "-mod=mod", "-o", source+"/bin/", "./validation/...", "./cmd/runtimetest")
	build.Dir = source
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot build %s %s: %w: %s", Module, Version, err, out)
	}
	return os.Rename(filepath.Join(source, "bin/runtimetest"), filepath.Join(source, "runtimetest"))
}

// copySource copies the module, whose files are read-only where Go keeps them, without the incomplete vendor directory.
func copySource(to, from string) error {
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		return err
	}
	err := filepath.WalkDir(to, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chmod(path, 0o755)
	})
	return errors.Join(err, os.RemoveAll(filepath.Join(to, "vendor")), os.MkdirAll(filepath.Join(to, "bin"), 0o755))
}

// Outcome is what one program said of one runtime.
type Outcome struct {
	OK, NotOK int    // TAP lines, those with a SKIP directive left out
	Ended     bool   // the program ended by itself, with status 0
	Detail    string // its last words on standard error
}

// Verdict is pass, fail, or empty where the program asserted nothing.
func (o Outcome) Verdict() string {
	switch {
	case !o.Ended || o.NotOK > 0:
		return "fail"
	case o.OK == 0:
		return "empty"
	}
	return "pass"
}

// Programs are the names of the suite's programs, in order.
func Programs(dir string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(dir, "suite/bin"))
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

// Run runs one program against the runtime at that path.
func Run(ctx context.Context, dir, program, runtime string) Outcome {
	ctx, stop := context.WithTimeout(ctx, longest)
	defer stop()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, filepath.Join(dir, "suite/bin", program))
	cmd.Dir, cmd.Stdout, cmd.Stderr = filepath.Join(dir, "suite"), &out, &errs
	cmd.Env = append(os.Environ(), "RUNTIME="+runtime)
	// In a mount namespace of its own, private: linux_ns_itype has no mount namespace for its container, and a runtime that
	// goes along mounts /proc, /dev and /sys where it was called, there to stay.
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	cmd.WaitDelay = time.Second
	o := parse(out.String)(cmd.Run())
	lines := strings.Split(strings.TrimSpace(errs.String()), "\n")
	o.Detail = lines[len(lines)-1]
	return o
}

// parse counts the lines of TAP once the program has ended.
func parse(output func() string) func(error) Outcome {
	return func(err error) Outcome {
		o := Outcome{Ended: err == nil}
		for line := range strings.Lines(output()) {
			switch {
			case strings.Contains(strings.ToUpper(line), "# SKIP"):
			case strings.HasPrefix(line, "not ok"):
				o.NotOK++
			case strings.HasPrefix(line, "ok"):
				o.OK++
			}
		}
		return o
	}
}

// WriteTable writes the outcomes as Markdown: a row for each program, a column for each runtime.
func WriteTable(w io.Writer, programs, runtimes []string, outcome func(program, runtime string) Outcome) error {
	var b strings.Builder
	fmt.Fprintf(&b, "| program | %s | remark |\n|---|%s---|\n", strings.Join(runtimes, " | "), strings.Repeat("---|", len(runtimes)))
	for _, p := range programs {
		fmt.Fprintf(&b, "| %s |", p)
		failed := false
		for _, r := range runtimes {
			o := outcome(p, r)
			failed = failed || o.Verdict() != "pass"
			fmt.Fprintf(&b, " %s %d/%d |", o.Verdict(), o.OK, o.OK+o.NotOK)
		}
		remark := ""
		if failed {
			remark = Remarks[p]
		}
		fmt.Fprintf(&b, " %s |\n", remark)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
