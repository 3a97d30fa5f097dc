// Package peers finds the container runtimes to compare another with, and fetches newer ones from Debian.
//
// A peer that the machine has is of the machine's Debian release, and may be too old for the machine: crun 1.8.1 of
// Debian 12 refuses a hybrid cgroup tree. Newer builds want a newer C library. So a peer of another suite is laid out with
// all it depends on in the user's cache directory and is run with the dynamic loader and libraries of its own; the
// machine's packages are neither read nor changed. Debian's archive is trusted through apt, which checks its signatures.
package peers

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/berth-oci/berth/conformance/vm"
)

// Peer is a runtime that can be run here.
type Peer struct {
	Name    string
	Version string   // the first line it prints for --version
	Command []string // what a command line begins with: quickest to start
	Path    string   // one program that does the same, where only a path can be given; a script for fetched peers
}

// Installed is the peer of that name in PATH.
func Installed(ctx context.Context, name string) (Peer, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return Peer{}, fmt.Errorf("cannot find %s: %w", name, err)
	}
	return named(ctx, Peer{Name: name, Command: []string{path}, Path: path})
}

// Fetched is the peer of that name as a Debian suite has it, with libraries of its own. Where Debian's archive cannot be
// reached the error is a *vm.Unavailable.
func Fetched(ctx context.Context, name, suite string) (Peer, error) {
	arch, ok := architectures[runtime.GOARCH]
	if !ok {
		return Peer{}, fmt.Errorf("cannot fetch %s for %s: no loader is known", name, runtime.GOARCH)
	}
	tree, err := vm.Tree(ctx, suite, runtime.GOARCH, name)
	if err != nil {
		return Peer{}, fmt.Errorf("cannot fetch %s of %s: %w", name, suite, err)
	}
	binary := filepath.Join(tree, "usr/bin", name)
	if _, err := os.Stat(binary); err != nil {
		binary = filepath.Join(tree, "usr/sbin", name)
	}
	lib := filepath.Join(tree, "usr/lib", arch.triplet)
	command := []string{filepath.Join(lib, arch.loader), "--library-path", lib, binary}
	path, err := script(tree, name, command)
	if err != nil {
		return Peer{}, fmt.Errorf("cannot prepare %s: %w", name, err)
	}
	return named(ctx, Peer{Name: name, Command: command, Path: path})
}

// architectures by Go's name: where Debian's libraries are and what loads them.
var architectures = map[string]struct{ triplet, loader string }{
	"amd64": {"x86_64-linux-gnu", "ld-linux-x86-64.so.2"},
	"arm64": {"aarch64-linux-gnu", "ld-linux-aarch64.so.1"},
}

// script writes the command as a program beside the tree, which itself is not to be changed.
func script(tree, name string, command []string) (string, error) {
	var line strings.Builder
	for _, word := range command {
		line.WriteString("'" + strings.ReplaceAll(word, "'", `'\''`) + "' ")
	}
	path := tree + "." + name
	tmp, err := os.CreateTemp(filepath.Dir(path), ".peer-")
	if err != nil {
		return "", err
	}
	defer os.Remove(tmp.Name())
	if _, err := fmt.Fprintf(tmp, "#!/bin/sh\nexec %s\"$@\"\n", line.String()); err != nil {
		return "", err
	}
	if err := tmp.Chmod(0o755); err != nil {
		return "", err
	}
	if err := tmp.Close(); err != nil {
		return "", err
	}
	return path, os.Rename(tmp.Name(), path)
}

// named asks the peer for its version, which proves that it starts.
func named(ctx context.Context, p Peer) (Peer, error) {
	out, err := exec.CommandContext(ctx, p.Path, "--version").Output()
	if err != nil {
		return Peer{}, fmt.Errorf("cannot run %s --version: %w", p.Path, err)
	}
	p.Version, _, _ = strings.Cut(string(out), "\n")
	return p, nil
}
