package vm

import (
	"context"
	"crypto/sha256"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"

	"github.com/berth-oci/berth/conformance/vm/wire"
)

// agentSource is the guest's first program as source: wherever this package was linked into, a Go toolchain can build
// it for the guest's architecture.
//
//go:embed init/*.go wire/*.go
var agentSource embed.FS

// buildAgent returns the path of the agent built for arch.
func buildAgent(ctx context.Context, arch string) (string, error) {
	files, sum, err := agentFiles()
	if err != nil {
		return "", err
	}
	dir, err := cached(filepath.Join("agents", arch+"-"+sum), func(dir string) error {
		return compileAgent(ctx, arch, dir, files)
	})
	return filepath.Join(dir, "init"), err
}

// agentFiles returns the agent's sources by path, and a name for them and the toolchain's version.
func agentFiles() (files map[string][]byte, sum string, err error) {
	files = map[string][]byte{}
	hash := sha256.New()
	fmt.Fprintln(hash, runtime.Version())
	err = fs.WalkDir(agentSource, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, "_test.go") {
			return err
		}
		data, err := agentSource.ReadFile(path)
		files[path] = data
		fmt.Fprintf(hash, "%s %d\n%s", path, len(data), data)
		return err
	})
	return files, fmt.Sprintf("%x", hash.Sum(nil)[:8]), err
}

func compileAgent(ctx context.Context, arch, dir string, files map[string][]byte) error {
	here := strings.TrimSuffix(reflect.TypeFor[wire.Conn]().PkgPath(), "/wire") // import path of this package
	src, err := os.MkdirTemp("", "vm-agent-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(src)
	files["go.mod"] = []byte("module " + here + "\n\ngo 1.24\n")
	for name, data := range files {
		path := filepath.Join(src, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			return err
		}
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", filepath.Join(dir, "init"), "./init")
	cmd.Dir = src
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH="+arch, "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off", "GOTOOLCHAIN=local", "GO111MODULE=on")
	out, err := cmd.CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		return &Unavailable{What: "the agent of a virtual machine", Err: err, Remedy: "a Go toolchain must be in the path"}
	}
	if err != nil {
		return fmt.Errorf("cannot build the agent of a virtual machine: %w\n%s", err, tail(string(out), 10))
	}
	return nil
}

// output runs a program and returns what it prints.
func output(ctx context.Context, program string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, program, args...).Output()
	if errors.Is(err, exec.ErrNotFound) {
		return "", needs(program, err)
	}
	if err != nil {
		return "", fmt.Errorf("cannot run %s: %w", program, err)
	}
	return strings.TrimSpace(string(out)), nil
}
