package release

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/berth-oci/berth/aptrepo/aptroot"
	"github.com/berth-oci/berth/conformance/vm"
	"github.com/berth-oci/berth/conformance/vm/vmtest"
)

// wholeJudge asks the tests below for the judge as every release has it: each check and scenario and, for the newer of the two
// versions, each architecture, and apt in the stage verify. That takes minutes, so otherwise the same judge is asked about a part.
const wholeJudge = "RELEASE_TEST_WHOLE_JUDGE"

// newOwn is this project's own release: the tree that is tested, as a repository of its own, under the project's configuration.
func newOwn(t *testing.T) *project {
	t.Helper()
	list, err := exec.Command("git", "-C", "..", "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
	if err != nil {
		t.Skip("these sources are no git repository, which says what belongs to them")
	}
	p := &project{testRepo: newRepo(t)}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(list), "\x00"), "\x00") {
		from := filepath.Join("..", name)
		info, err := os.Lstat(from)
		if errors.Is(err, os.ErrNotExist) {
			continue // removed, and not committed yet
		}
		must(t, err)
		must(t, os.MkdirAll(filepath.Dir(p.path(name)), 0o755))
		text, err := os.ReadFile(from)
		must(t, err)
		must(t, os.WriteFile(p.path(name), text, info.Mode().Perm()))
	}
	p.git("add", "-A")
	p.git("commit", "-q", "-m", "all: as it is tested")
	p.Pipeline = Pipeline{Repo: p.dir, Out: &p.out, Config: Default(), NoMachines: true, NoApt: true}
	p.forgetKeys()
	p.useKey()
	return p
}

// asking is the real judge, built from these sources, about the checks and scenarios that these patterns name.
func asking(t *testing.T, checks, scenarios string) func(string) (string, error) {
	t.Helper()
	if os.Getenv(wholeJudge) != "" {
		return nil // built by the pipeline
	}
	conform, err := ownJudge()
	must(t, err)
	part := filepath.Join(t.TempDir(), "part")
	must(t, os.WriteFile(part, []byte("#!/bin/sh\nverb=$1\nshift\ncase $verb in\nrun) part='"+checks+"' ;;\nleak) part='"+scenarios+"' ;;\nesac\n"+
		"exec '"+conform+"' $verb --filter \"$part\" \"$@\"\n"), 0o755))
	return func(string) (string, error) { return part, nil }
}

// ownJudge builds the judge once.
var ownJudge = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "judge-")
	if err != nil {
		return "", err
	}
	judgeDir = dir
	path := filepath.Join(dir, "conform")
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", path, Default().Judge)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	_, err = output(cmd)
	return path, err
})

var judgeDir string

// This project's own packages, of two versions that were built and certified one after the other: what apt, a container and a
// machine of the other architecture make of them, and what becomes of a third version that is broken.
func TestOwnRelease(t *testing.T) {
	base := newOwn(t)
	base.Judge = asking(t, "^root/", "^create, start, exit, delete$")
	base.tag("v1000.0.0")
	base.release()
	older := copied(t, base.apt())
	base.commit("container: do the same, newer")
	base.tag("v1000.1.0")
	whole := os.Getenv(wholeJudge) != ""
	base.NoMachines, base.NoApt = !whole, !whole
	base.release()
	base.NoMachines, base.NoApt = true, true
	if whole {
		t.Log(base.out.String())
	}

	t.Run("apt goes from the older package to the newer and refuses another byte", func(t *testing.T) { ownUpgrade(t, base, older) })
	for _, arch := range base.Config.Archs {
		t.Run("the program in the package for "+arch+" runs a container", func(t *testing.T) { ownContainer(t, base, arch) })
	}
	mage := compiledTargets(t, base)
	for _, c := range spoilt {
		t.Run(c.name+" stops the release", func(t *testing.T) { ownSpoilt(t, base, mage, c) })
	}
	for _, c := range refused {
		t.Run(c.name+" stops the command", func(t *testing.T) { ownRefused(t, base, mage, c) })
	}
	base.readyToPublish()
	t.Run("a full disk stops the command while it publishes", func(t *testing.T) { ownFullDisk(t, base, mage) })
	t.Run("a repository that may not be written stops the command", func(t *testing.T) { ownReadOnly(t, base, mage) })
}

// ownUpgrade installs and upgrades over http.
func ownUpgrade(t *testing.T, p *project, older string) {
	if err := aptroot.Available(); err != nil {
		t.Skip(err)
	}
	newer := copied(t, p.apt())
	s := serving(t, older)
	root, err := aptroot.New(t.TempDir(), "", (&work{Pipeline: p.Pipeline, signer: signer{Signer: p.key()}}).source(s.URL))
	must(t, err)
	name := p.Config.Runtime
	succeed(t, root.Update)
	succeed(t, func() (*aptroot.Result, error) { return root.Install(name, p.Config.RepoName+"-archive-keyring") })
	wantInstalled(t, root, name, "1000.0.0-1")
	s.serve(t, newer)
	succeed(t, root.Update)
	succeed(t, root.Upgrade)
	wantInstalled(t, root, name, "1000.1.0-1")
	wantInstalled(t, root, p.Config.RepoName+"-archive-keyring", "1000.1.0-1")
	program := root.Installed("usr/bin/" + name)
	said, err := exec.Command(program, "--version").Output()
	if err != nil || !strings.HasPrefix(string(said), name+" version 1000.1.0\n") {
		t.Errorf("the installed program says %q (%v)", said, err)
	}
	refusesEveryFlip(t, root, s, newer, name)
	wantInstalled(t, root, name, "1000.1.0-1")
	if os.Geteuid() == 0 { // else the skip is counted below
		wantContainer(t, here(t), program, runtime.GOARCH)
	}
}

// ownContainer unpacks a package with dpkg and runs a container with what is in it: here, or in a machine of its architecture.
func ownContainer(t *testing.T, p *project, arch string) {
	need(t, "dpkg-deb")
	dir := t.TempDir()
	run(t, dir, "dpkg-deb", "-x", filepath.Join(p.dir, "dist", "1000.1.0", p.Config.Runtime+"_1000.1.0-1_"+arch+".deb"), dir)
	program := filepath.Join(dir, "usr/bin", p.Config.Runtime)
	if arch != runtime.GOARCH {
		wantContainer(t, inMachine(t, arch), program, arch)
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("running a container needs root")
	}
	wantContainer(t, here(t), program, arch)
}

// box is what the README tells a user to do, with a program in place of the terminal; the program says where it finds itself.
const box = `set -e
cd "$(mktemp -d)"
trap 'rm -rf "$PWD"' EXIT
mkdir -p rootfs/bin
cp "$2" rootfs/bin/busybox
for name in sh uname hostname id touch; do ln -s busybox rootfs/bin/$name; done
"$1" spec
sed -i 's/"terminal": true/"terminal": false/; s/^\(\t*\)"sh"$/\1"sh", "-c", "uname -m; hostname; id -u; echo $$; touch \/x 2>\/dev\/null || echo cannot write"/' config.json
"$1" --root "$PWD/state" run box
"$1" --root "$PWD/state" list --quiet
`

// place is where a program can be run as root: it runs a shell script with a program as $1 and a busybox as $2.
type place func(script, program string) (string, error)

func here(t *testing.T) place {
	t.Helper()
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Skip("busybox is not installed")
	}
	return func(script, program string) (string, error) {
		out, err := exec.Command("sh", "-c", script, "sh", program, busybox).CombinedOutput()
		return string(out), err
	}
}

// inMachine boots a virtual machine, and another where emulation makes its kernel panic.
func inMachine(t *testing.T, arch string) place {
	t.Helper()
	g := vmtest.Boot(t, vm.Machine{Arch: arch})
	return func(script, program string) (string, error) {
		job := vm.Job{Files: map[string]vm.File{"/usr/bin/program": {Host: program}},
			Command: []string{"sh", "-c", script, "sh", "/usr/bin/program", "/usr/bin/busybox"}}
		for n := 1; ; n++ {
			result, err := g.Run(t.Context(), job)
			if n < attempts && vm.Panicked(err) {
				t.Logf("booting another machine: %v", err)
				g = vmtest.Boot(t, vm.Machine{Arch: arch})
				continue
			}
			if err == nil && result.ExitCode != 0 {
				err = errors.New("it failed")
			}
			return string(result.Stdout) + string(result.Stderr), err
		}
	}
}

func wantContainer(t *testing.T, run place, program, arch string) {
	t.Helper()
	want := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[arch] + "\nberth\n0\n1\ncannot write\n"
	if said, err := run(box, program); err != nil || said != want {
		t.Errorf("the container says %q (%v), want %q", said, err, want)
	}
}

// server serves one folder after another under one address.
type server struct {
	*httptest.Server
	dir    atomic.Value
	newest time.Time
}

func serving(t *testing.T, dir string) *server {
	t.Helper()
	s := &server{newest: time.Now().Add(-time.Hour)}
	s.serve(t, dir)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.FileServer(http.Dir(s.dir.Load().(string))).ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

// serve makes dir what is served. Its InRelease is given a later time than that of the one before: apt asks for what has changed since.
func (s *server) serve(t *testing.T, dir string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "dists/*/InRelease"))
	must(t, err)
	s.newest = s.newest.Add(time.Minute)
	for _, name := range files {
		must(t, os.Chtimes(name, s.newest, s.newest))
	}
	s.dir.Store(dir)
}

func succeed(t *testing.T, step func() (*aptroot.Result, error)) {
	t.Helper()
	if result, err := step(); err != nil {
		t.Fatalf("%v\n%s", err, result.Output)
	}
}

func wantInstalled(t *testing.T, root *aptroot.Root, name, want string) {
	t.Helper()
	if got, err := root.Version(name); err != nil || got != want {
		t.Errorf("installed of %s is %q (%v), want %s", name, got, err, want)
	}
}

// refusesEveryFlip serves the repository with another byte in InRelease, in the indices and in the packages, and wants apt to take
// none of it. That it takes the repository as it was, before and after, shows that the byte was the reason.
func refusesEveryFlip(t *testing.T, root *aptroot.Root, s *server, sound, name string) {
	t.Helper()
	reinstall := func() (*aptroot.Result, error) {
		must(t, root.Clean())
		if result, err := root.Update(); err != nil {
			return result, err
		}
		return root.Run("apt-get", "install", "--reinstall", name)
	}
	s.serve(t, sound)
	succeed(t, reinstall)
	for _, broken := range []string{"dists/*/InRelease", "dists/*/*/binary-*/Packages*", "pool/*/*/*/*.deb"} {
		dir := copied(t, sound)
		flip(t, dir, broken)
		s.serve(t, dir)
		if result, err := reinstall(); err == nil {
			t.Errorf("apt takes a repository with another byte in %s:\n%s", broken, result.Output)
		} else {
			t.Logf("%s: %s", broken, firstLine(err.Error()))
		}
	}
	s.serve(t, sound)
	succeed(t, reinstall)
}
