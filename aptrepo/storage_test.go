package aptrepo_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/berth-oci/berth/aptrepo"
	"github.com/berth-oci/berth/aptrepo/aptroot"
	"github.com/berth-oci/berth/aptrepo/debtest"
)

// again runs one test of this binary in a child process.
func again(t *testing.T, test string, attr *syscall.SysProcAttr, env ...string) {
	t.Helper()
	dir := readableDir(t)
	binary := filepath.Join(dir, "child.test")
	data, err := os.ReadFile(os.Args[0])
	if err == nil {
		err = os.WriteFile(binary, data, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	temp := filepath.Join(dir, "tmp")
	err = os.Mkdir(temp, 0o755)
	if err == nil && attr.Credential != nil {
		err = os.Chown(temp, int(attr.Credential.Uid), int(attr.Credential.Gid))
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "-test.run=^"+test+"$", "-test.v")
	cmd.Dir, cmd.SysProcAttr = dir, attr
	cmd.Env = append(os.Environ(), append(env, "TMPDIR="+temp, "HOME="+temp)...)
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) || strings.Contains(string(out), "NO NAMESPACES") {
		t.Skip("no permission to make a mount namespace")
	}
	if err != nil || !bytes.Contains(out, []byte("--- PASS: "+test)) {
		t.Fatalf("%v\n%s", err, out)
	}
}

// readableDir is a temporary directory that other users can enter.
func readableDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "aptrepo")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestAptWorksWithoutRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("not root: the other tests of apt ran without it already")
	}
	if err := aptroot.Available(); err != nil {
		t.Skip(err)
	}
	again(t, "TestAptInstallsAndUpgradesWithoutAWarning", &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}})
}

func TestAFullDiskChangesNothing(t *testing.T) {
	if os.Getenv("APTREPO_TMPFS") == "" {
		attr := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}}, GidMappings: []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}}}
		if os.Geteuid() == 0 {
			attr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
		}
		again(t, "TestAFullDiskChangesNothing", attr, "APTREPO_TMPFS=1")
		return
	}
	r := newRepo(t)
	if err := os.Mkdir(r.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	err := syscall.Mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, "")
	if err == nil {
		err = syscall.Mount("tmpfs", r.dir, "tmpfs", 0, "size=512k,mode=755")
	}
	if err != nil {
		t.Skipf("NO NAMESPACES: %v", err)
	}
	defer syscall.Unmount(r.dir, syscall.MNT_DETACH)
	r.publish(debtest.Deb{Name: "hello", Version: "1.0-1"})
	before := snapshot(t, r.dir)
	r.at = r.at.Add(time.Hour)
	tree := r.tree(debtest.Deb{Name: "world", Version: "1"}, debtest.Deb{Name: "zzz-big", Version: "1", Content: noise(600 << 10)})
	err = aptrepo.Publish(aptrepo.Directory(r.dir), tree, nil)
	mustFail(t, err, "cannot publish to", "no space left on device")
	if err := sameFiles(before, snapshot(t, r.dir)); err != nil {
		t.Errorf("a publish to a full disk left a trace: %v", err)
	}
	r.publish(debtest.Deb{Name: "world", Version: "1"})
}

// noise does not compress.
func noise(n int) string {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b)
	return string(b)
}

func TestNoPermissionChangesNothing(t *testing.T) {
	if os.Geteuid() == 0 {
		again(t, "TestNoPermissionChangesNothing", &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}})
		return
	}
	r := newRepo(t)
	r.publish(debtest.Deb{Name: "hello", Version: "1.0-1"})
	r.at = r.at.Add(time.Hour)
	tree := r.tree(debtest.Deb{Name: "world", Version: "1"})
	for _, dir := range []string{".", "dists/stable", "pool/main", "dists/stable/main/binary-amd64/by-hash/SHA256"} {
		path := filepath.Join(r.dir, dir)
		if err := os.Chmod(path, 0o555); err != nil {
			t.Fatal(err)
		}
		before := snapshot(t, r.dir)
		err := aptrepo.Publish(aptrepo.Directory(r.dir), tree, nil)
		mustFail(t, err, "cannot publish to", "permission denied")
		if err := sameFiles(before, snapshot(t, r.dir)); err != nil {
			t.Errorf("%s is read-only: a publish left a trace: %v", dir, err)
		}
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	r.write(tree)
}

func TestAFailedFirstPublishLeavesNoDirectory(t *testing.T) {
	r := newRepo(t)
	tree := r.tree(debtest.Deb{Name: "hello", Version: "1"})
	err := aptrepo.Publish(&broken{Destination: aptrepo.Directory(r.dir)}, tree, nil)
	mustFail(t, err, "cannot publish to", "unplugged")
	if _, err := os.Stat(r.dir); err == nil {
		t.Error("the repository's directory is left behind")
	}
}

// broken fails to store the last file.
type broken struct{ aptrepo.Destination }

func (b *broken) Stage(path string, content io.Reader) error {
	if strings.HasSuffix(path, "/InRelease") {
		return errors.New("unplugged")
	}
	return b.Destination.Stage(path, content)
}

func TestASecondPublisherWaitsItsTurn(t *testing.T) {
	r := newRepo(t)
	dst := aptrepo.Directory(r.dir)
	unlock, err := dst.Lock()
	if err != nil {
		t.Fatal(err)
	}
	err = aptrepo.Publish(aptrepo.Directory(r.dir), r.tree(debtest.Deb{Name: "hello", Version: "1"}), nil)
	mustFail(t, err, "another publish is running")
	unlock()
	r.publish(debtest.Deb{Name: "hello", Version: "1"})
}

func TestTheSameInputsGiveTheSameBytesEverywhere(t *testing.T) {
	r := newRepo(t)
	debs := []debtest.Deb{{Name: "hello", Version: "1.0-1"}, {Name: "hello", Version: "1.0-1", Arch: "arm64"}, {Name: "hello-doc", Version: "2", Arch: "all"}}
	old := syscall.Umask(0o077)
	r.publish(debs...)
	first := snapshot(t, r.dir)
	syscall.Umask(0o002)
	defer syscall.Umask(old)
	other := *r
	other.dir, other.at = filepath.Join(t.TempDir(), "elsewhere"), r.at.Add(-time.Minute)
	slices.Reverse(debs)
	zone := time.Local
	time.Local = time.FixedZone("Elsewhere", 5*3600)
	defer func() { time.Local = zone }()
	other.publish(debs...)
	if err := sameFiles(first, snapshot(t, other.dir)); err != nil {
		t.Error(err)
	}
	tree := other.tree(debs...)
	other.write(tree)
	if err := sameFiles(first, snapshot(t, other.dir)); err != nil {
		t.Errorf("publishing the same again: %v", err)
	}
}

func TestRefreshChangesOnlyTheDates(t *testing.T) {
	r := newRepo(t)
	r.publish(debtest.Deb{Name: "hello", Version: "1.0-1"})
	before := snapshot(t, r.dir)
	tree, err := aptrepo.Refresh(r.read(), r.key, r.at.Add(time.Hour), 7)
	if err != nil {
		t.Fatal(err)
	}
	r.write(tree)
	after := snapshot(t, r.dir)
	for _, name := range []string{"Release", "Release.gpg", "InRelease"} {
		path := "dists/stable/" + name
		if before[path] == after[path] {
			t.Errorf("%s was not signed anew", name)
		}
		if name == "Release" {
			oldText, newText := strings.Split(before[path], "\n"), strings.Split(after[path], "\n")
			for i, line := range newText {
				if line != oldText[i] && !strings.HasPrefix(line, "Date:") && !strings.HasPrefix(line, "Valid-Until:") {
					t.Errorf("line changed from %q to %q", oldText[i], line)
				}
			}
		}
		delete(before, path)
		delete(after, path)
	}
	if err := sameFiles(before, after); err != nil {
		t.Errorf("besides the Release files: %v", err)
	}
	if got := tree.Release.ValidUntil.Sub(tree.Release.Date); got != 7*24*time.Hour {
		t.Errorf("valid for %s", got)
	}
}

func TestRollbackAndRetractionReachClients(t *testing.T) {
	r := newRepo(t)
	r.publish(debtest.Deb{Name: "hello", Version: "1.0-1"})
	good := r.at
	r.publish(debtest.Deb{Name: "hello", Version: "2.0-1"})
	root := r.apt("file:" + r.dir)
	must(t)(root.Update())

	r.at = r.at.Add(time.Minute)
	prev := r.read()
	packages, err := prev.At(good)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := aptrepo.Build(r.config, prev, packages, r.key, r.at, false)
	if err != nil {
		t.Fatal(err)
	}
	r.write(tree)
	must(t)(root.Update())
	must(t)(root.Install("hello"))
	wantVersion(t, root, "hello", "1.0-1")

	r.publish(debtest.Deb{Name: "world", Version: "1"})
	prev = r.read()
	packages, err = prev.Retract("world=1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := prev.Retract("world=2"); err == nil {
		t.Error("retracting what is not there is no error")
	}
	if tree, err = aptrepo.Build(r.config, prev, packages, r.key, r.at.Add(time.Minute), false); err != nil {
		t.Fatal(err)
	}
	r.write(tree)
	must(t)(root.Update())
	if result, err := root.Install("world"); err == nil {
		t.Errorf("apt installs a retracted package:\n%s", result.Output)
	}
	_, err = prev.At(good.AddDate(-1, 0, 0))
	mustFail(t, err, "not kept")
}

func TestAptReadsTheChangelog(t *testing.T) {
	r := newRepo(t)
	r.config.URL = r.serve()
	r.publish(debtest.Deb{Name: "hello", Version: "1.0-1"})
	root := r.apt(r.config.URL)
	must(t)(root.Update())
	result, err := root.Run("apt-get", "changelog", "hello=1.0-1")
	if err != nil || !strings.Contains(result.Output, "* Tested.") {
		t.Errorf("apt-get changelog: %v\n%s", err, result.Output)
	}
}
