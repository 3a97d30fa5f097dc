package release

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Binary is one command built for one architecture.
type Binary struct {
	Command string // file name of the command, as it will stand in /usr/bin
	Arch    string // amd64 or arm64: Go and Debian agree on these names
	Path    string // where the file is
	SHA256  string // lower-case hexadecimal
	Size    int64  // bytes
}

// builder makes binaries from one source tree.
type builder struct {
	source string   // top of the module
	env    []string // of every go command
	v      Version
}

// newBuilder lays out what is to be built. A clean tree is built from an export of its commit, so that neither an ignored
// file nor the folder's name can get into a binary; a dirty one (only ever a snapshot) can only be built where it stands.
func newBuilder(ctx context.Context, repo string, v Version) (*builder, func(), error) {
	env, err := buildEnv(ctx, repo)
	if err != nil {
		return nil, nil, err
	}
	if v.Dirty {
		return &builder{repo, env, v}, func() {}, nil
	}
	dir, err := os.MkdirTemp("", "release-source-")
	if err != nil {
		return nil, nil, fmt.Errorf("cannot export commit %.12s: %w", v.Commit, err)
	}
	drop := func() { os.RemoveAll(dir) }
	if err := exportCommit(repo, v.Commit, dir); err != nil {
		drop()
		return nil, nil, err
	}
	return &builder{dir, env, v}, drop, nil
}

// kept are the settings of the go command that say where things are fetched from and cached. They change no byte of a
// binary, and a user behind a proxy needs them; every other setting of the user's is left out.
var kept = []string{"GOPROXY", "GOSUMDB", "GONOSUMDB", "GONOPROXY", "GOPRIVATE", "GOINSECURE", "GOAUTH", "GOVCS",
	"GOMODCACHE", "GOCACHE", "GOPATH", "GOTOOLCHAIN"}

// buildEnv is the environment in which the same commit gives the same bytes: no cgo, the oldest instruction set of each
// architecture (which Debian supports too), and neither GOFLAGS nor the user's go env file.
func buildEnv(ctx context.Context, repo string) ([]string, error) {
	cmd := exec.CommandContext(ctx, "go", append([]string{"env", "-json"}, kept...)...)
	cmd.Dir = repo
	out, err := output(cmd)
	if err != nil {
		return nil, fmt.Errorf("cannot ask the go command for its settings: %w", err)
	}
	var settings map[string]string
	if err := json.Unmarshal(out, &settings); err != nil {
		return nil, fmt.Errorf("cannot read the go command's settings: %w", err)
	}
	env := []string{"GOENV=off", "GOFLAGS=", "GOWORK=off", "GOEXPERIMENT=", "GO111MODULE=on", "GOFIPS140=off",
		"CGO_ENABLED=0", "GOOS=linux", "GOAMD64=v1", "GOARM64=v8.0", "TZ=UTC", "LC_ALL=C"}
	for _, name := range kept {
		if settings[name] != "" {
			env = append(env, name+"="+settings[name])
		}
	}
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy",
		"no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env, nil
}

// exportCommit writes the files of a commit to dir, as git archive gives them.
func exportCommit(repo, commit, dir string) error {
	out, err := git{repo}.run("-c", "core.autocrlf=false", "archive", "--format=tar", commit)
	if err != nil {
		return fmt.Errorf("cannot export commit %.12s: %w", commit, err)
	}
	if err := untar(tar.NewReader(bytes.NewReader(out)), dir); err != nil {
		return fmt.Errorf("cannot export commit %.12s: %w", commit, err)
	}
	return nil
}

func untar(r *tar.Reader, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := untarEntry(root, h, r); err != nil {
			return err
		}
	}
}

func untarEntry(root *os.Root, h *tar.Header, r io.Reader) error {
	name := strings.TrimSuffix(h.Name, "/")
	switch h.Typeflag {
	case tar.TypeDir:
		return root.MkdirAll(name, 0o755)
	case tar.TypeSymlink:
		return root.Symlink(h.Linkname, name)
	case tar.TypeReg:
		f, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, h.FileInfo().Mode().Perm())
		if err != nil {
			return err
		}
		_, err = io.Copy(f, r)
		return errors.Join(err, f.Close())
	}
	return nil // the global header, which holds the commit's name
}

// build compiles one command for one architecture into the file path.
func (b *builder) build(ctx context.Context, c Command, arch, path string) (Binary, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return Binary{}, fmt.Errorf("cannot build %s for %s: %w", c.Name, arch, err)
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-mod=readonly", "-ldflags="+ldflags(c, b.v),
		"-o", path, c.Package)
	cmd.Dir = b.source
	cmd.Env = append(b.env, "GOARCH="+arch)
	if _, err := output(cmd); err != nil {
		return Binary{}, fmt.Errorf("cannot build %s for %s: %w", c.Name, arch, err)
	}
	if err := os.Chmod(path, 0o755); err != nil { // whatever the umask
		return Binary{}, fmt.Errorf("cannot build %s for %s: %w", c.Name, arch, err)
	}
	sum, size, err := sumFile(path)
	if err != nil {
		return Binary{}, fmt.Errorf("cannot build %s for %s: %w", c.Name, arch, err)
	}
	return Binary{Command: c.Name, Arch: arch, Path: path, SHA256: sum, Size: size}, nil
}

// ldflags strips what a debugger needs, fixes the build id (Go derives it from paths that do not matter to a user), and
// writes version and commit into the command.
func ldflags(c Command, v Version) string {
	flags := []string{"-s", "-w", "-buildid="}
	if c.VersionVar != "" {
		flags = append(flags, "-X", c.VersionVar+"="+v.SemVer)
	}
	if c.CommitVar != "" {
		flags = append(flags, "-X", c.CommitVar+"="+v.Commit)
	}
	return strings.Join(flags, " ")
}

// sumFile returns the SHA-256 of a file, in lower-case hexadecimal, and its size.
func sumFile(path string) (string, int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	h := sha256.New()
	size, err := io.Copy(h, f)
	if err != nil {
		return "", 0, err
	}
	return hex.EncodeToString(h.Sum(nil)), size, nil
}

// output runs a command and returns its standard output; where it fails, the error says what it wrote to standard error.
func output(cmd *exec.Cmd) ([]byte, error) {
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		if said := strings.TrimSpace(errs.String()); said != "" {
			return nil, fmt.Errorf("%s: %w\n%s", filepath.Base(cmd.Path), err, said)
		}
		return nil, fmt.Errorf("%s: %w", filepath.Base(cmd.Path), err)
	}
	return out.Bytes(), nil
}
