package release

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// compiledTargets are this project's targets as one program, what go tool mage would build and run.
func compiledTargets(t *testing.T, p *project) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "mage")
	cmd := exec.Command("go", "tool", "mage", "-compile", path)
	cmd.Dir, cmd.Env = p.dir, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for at := filepath.Dir(path); at != os.TempDir() && at != "/"; at = filepath.Dir(at) {
		must(t, os.Chmod(at, 0o755)) // another user will run it
	}
	return path
}

// command runs a target in the project and returns what it complains of, as an error where it fails. Every failure is status 1 and one
// message that begins as all do.
func (p *project) command(cmd *exec.Cmd) error {
	p.t.Helper()
	var said bytes.Buffer
	cmd.Dir, cmd.Stderr = p.dir, &said
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if exit.ExitCode() != 1 || !strings.HasPrefix(said.String(), "Error: cannot ") {
			p.t.Errorf("it exits with %d and says %q", exit.ExitCode(), said.String())
		}
		return errors.New(said.String())
	}
	must(p.t, err)
	return nil
}

// unpublished wants a failed release to have made no package and to have changed no byte of what is published.
func (p *project) unpublished(before, version string) {
	p.t.Helper()
	if after := hashOf(p.t, p.apt()); after != before || before == "" {
		p.t.Errorf("the repository was\n%s\nand is\n%s", before, after)
	}
	made, err := filepath.Glob(filepath.Join(p.dir, "dist", version, "*.deb"))
	must(p.t, err)
	if len(made) > 0 {
		p.t.Errorf("it made packages: %s", made)
	}
}

// spoiltRelease is a runtime that is this one, but for a file more in its source, and what the real judge has to find.
type spoiltRelease struct {
	name, source      string
	checks, scenarios string // what the judge is asked about
	words             []string
}

var spoilt = []spoiltRelease{
	{"a runtime that ignores a read-only root", `
// The root is never read-only, whatever the configuration says.
func init() {
	if i := slices.Index(os.Args, "--bundle"); i > 0 && slices.Contains(os.Args, "create") {
		name := filepath.Join(os.Args[i+1], "config.json")
		text, _ := os.ReadFile(name)
		_ = os.WriteFile(name, bytes.ReplaceAll(text, []byte("\"readonly\":"), []byte("\"dropped\":")), 0o644)
	}
}
`, "^root/", "^create, start, exit, delete$", []string{"conformance checks", "root/readonly/refuses-writes"}},
	{"a runtime that tells a wrong state", `
// A created container is said to be running.
func init() {
	if !slices.Contains(os.Args, "state") || os.Getenv("HONEST") != "" {
		return
	}
	r, w, _ := os.Pipe()
	self, _ := os.StartProcess("/proc/self/exe", os.Args, &os.ProcAttr{Env: append(os.Environ(), "HONEST=1"), Files: []*os.File{os.Stdin, w, os.Stderr}})
	w.Close()
	var text bytes.Buffer
	_, _ = text.ReadFrom(r)
	_, _ = os.Stdout.Write(bytes.ReplaceAll(text.Bytes(), []byte("\"created\""), []byte("\"running\"")))
	ended, _ := self.Wait()
	os.Exit(ended.ExitCode())
}

var _ = filepath.Join
`, "^state/", "^create, start, exit, delete$", []string{"conformance checks", "state/status-created"}},
	{"a runtime that leaves a process and a file", `
// Each delete leaves a file, and a process that lives as long as that.
func init() {
	if i := slices.Index(os.Args, "--root"); i > 0 && slices.Contains(os.Args, "delete") {
		name := filepath.Join(os.Args[i+1], "left-behind")
		_ = os.WriteFile(name, bytes.Clone(nil), 0o644)
		_, _ = os.StartProcess("/bin/sh", []string{"sh", "-c", "while [ -e \"$0\" ]; do sleep 0.1; done", name}, &os.ProcAttr{Dir: "/"})
	}
}
`, "^root/", "^create, start, exit, delete$", []string{"things behind", "process left behind: ", "sh -c while", "file left behind: /run/state/left-behind"}},
}

// ownSpoilt releases a spoilt runtime after a sound one that is published. The judge is the real one.
func ownSpoilt(t *testing.T, base *project, mage string, c spoiltRelease) {
	if os.Geteuid() != 0 {
		t.Skip("judging a runtime needs root")
	}
	p := base.copy(t)
	if p.Judge = asking(t, c.checks, c.scenarios); p.Judge != nil {
		p.Config.Archs = []string{runtime.GOARCH}
	}
	before := hashOf(t, p.apt())
	source := "package main\n\nimport (\n\t\"bytes\"\n\t\"os\"\n\t\"path/filepath\"\n\t\"slices\"\n)\n" + c.source
	p.commitFile("cmd/"+p.Config.Runtime+"/spoilt.go", source, "cmd: spoil it")
	p.tag("v1000.2.0")
	var err error
	if p.Judge != nil {
		_, err = p.Run(t.Context())
	} else {
		err = p.command(exec.Command(mage, "release"))
	}
	wantError(t, err, append(c.words, "cannot certify "+p.Config.Runtime+" for ")...)
	p.unpublished(before, "1000.2.0")
	wantError(t, p.Stage(t.Context(), "deb"), "certify", "run that stage first")
	p.unpublished(before, "1000.2.0")
	t.Log(err)
}

// refusal is what a release is given that must not be released.
type refusal struct {
	name  string
	spoil func(*project)
	words []string
}

var refused = []refusal{
	{"a dirty tree under a tag", func(p *project) {
		p.commit("container: do more")
		p.tag("v1000.2.0")
		p.write("README.md", "changed\n")
	}, []string{"README.md", "hint:"}},
	{"a version lower than the last", func(p *project) { p.commit("container: do more"); p.tag("v999.9.9") }, []string{"v999.9.9", "v1000.1.0"}},
	{"a version lower than the published", func(p *project) {
		p.git("tag", "-d", "v1000.0.0", "v1000.1.0")
		p.commit("container: do more")
		p.tag("v999.9.9")
	}, []string{"999.9.9-1", "lower than 1000.1.0-1"}},
	{"a malformed tag", func(p *project) { p.commit("container: do more"); p.tag("v1000.2") }, []string{`"v1000.2"`, "MAJOR.MINOR.PATCH"}},
	{"a malformed changelog", func(p *project) {
		p.commitFile("release/debian/changelog", "a fine runtime\n", "release: tell")
		p.tag("v1000.2.0")
	}, []string{"changelog", "line 1"}},
}

func ownRefused(t *testing.T, base *project, mage string, c refusal) {
	p := base.copy(t)
	before := hashOf(t, filepath.Join(p.dir, "dist"))
	c.spoil(p)
	err := p.command(exec.Command(mage, "release"))
	wantError(t, err, c.words...)
	if after := hashOf(t, filepath.Join(p.dir, "dist")); after != before || before == "" {
		t.Errorf("the results were\n%s\nand are\n%s", before, after)
	}
	t.Log(err)
}

// fullDisk publishes onto a file system that has no room for the packages, and again when there is some. What goes wrong otherwise ends
// with another status than a target's.
const fullDisk = `set -e
sums() { find dist/apt -type f -exec sha256sum {} + | sort; }
mount -t tmpfs -o size=256m small /mnt
cp -a dist/. /mnt
mount --move /mnt dist
sums >"$2"
free=$(($(stat -f -c '%a * %S' dist) / 1024))
head -c $(((free - 256) * 1024)) /dev/zero >dist/filler
code=0
"$1" release:publish || code=$?
sums | cmp - "$2" >&2 || exit 9
rm dist/filler
"$1" release:publish || exit 8
grep -q '^Version: 1000\.2\.0-1$' dist/apt/dists/*/*/binary-*/Packages || exit 7
exit $code
`

func ownFullDisk(t *testing.T, base *project, mage string) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, for a small tmpfs")
	}
	p := base.copy(t)
	cmd := exec.Command("sh", "-c", fullDisk, "sh", mage, filepath.Join(t.TempDir(), "sums"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Unshareflags: syscall.CLONE_NEWNS}
	err := p.command(cmd)
	wantError(t, err, "cannot publish to", "no space left on device", "hint: free some space")
	t.Log(err)
}

// readyToPublish goes on to a third version, signed and not published.
func (p *project) readyToPublish() {
	p.t.Helper()
	p.commit("container: do more")
	p.tag("v1000.2.0")
	for _, stage := range []string{"build", "certify", "deb", "sign"} {
		must(p.t, p.Stage(p.t.Context(), stage))
	}
}

func ownReadOnly(t *testing.T, base *project, mage string) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to become another user")
	}
	const nobody = 65534
	p := base.copy(t)
	before := hashOf(t, p.apt())
	key := filepath.Join(p.dir, "dist", "key.asc")
	must(t, copyExecutable(os.Getenv(p.Config.KeyEnv+"KEY_FILE"), key))
	t.Setenv(p.Config.KeyEnv+"KEY_FILE", key)
	run(t, p.dir, "chown", "-R", "65534:65534", p.dir)
	run(t, p.dir, "chown", "-R", "0:0", p.apt())
	for at := p.dir; at != os.TempDir() && at != "/"; at = filepath.Dir(at) {
		must(t, os.Chmod(at, 0o755))
	}
	cmd := exec.Command(mage, "release:publish")
	cmd.Env = append(os.Environ(), "HOME="+p.dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	err := p.command(cmd)
	wantError(t, err, "cannot publish to", "permission denied", "hint: release into a folder you may write to")
	if after := hashOf(t, p.apt()); after != before {
		t.Errorf("the repository was\n%s\nand is\n%s", before, after)
	}
	t.Log(err)
}
