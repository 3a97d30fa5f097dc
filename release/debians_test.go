package release

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/berth-oci/berth/aptrepo/aptroot"
	"github.com/berth-oci/berth/conformance/vm"
)

// debians are the Debian releases whose apt has to take what is published: from the oldest that is supported to the next.
var debians = []string{"bullseye", "bookworm", "trixie", "sid"}

// Each Debian's own apt and dpkg, in a root file system of its packages, install from the repository over http, go to the
// newer release, and refuse a repository in which one byte differs. A warning of apt is a failure too.
func TestEveryDebiansAptInstallsUpgradesAndRefuses(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root for a chroot")
	}
	if runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64" {
		t.Skip("no packages are made for " + runtime.GOARCH)
	}
	p := newProject(t)
	p.useKey()
	p.tag("v1.0.0")
	p.release()
	older := copied(t, p.apt())
	p.commit("ferry: sail faster")
	p.tag("v1.1.0")
	p.release()
	newer := copied(t, p.apt())

	for _, suite := range debians {
		t.Run(suite, func(t *testing.T) {
			root := debian(t, suite)
			out, err := root.Run("apt-get", "--version")
			must(t, err)
			t.Log(firstLine(string(out.Output)))
			s := serving(t, older)
			must(t, os.WriteFile(root.Installed("etc/ferry.gpg"), p.key().Public(), 0o644))
			must(t, root.Sources("Types: deb\nURIs: "+s.URL+"\nSuites: stable\nComponents: main\nSigned-By: /etc/ferry.gpg\n"))
			succeed(t, root.Update)
			succeed(t, func() (*aptroot.Result, error) { return root.Install("ferry", "ferry-archive-keyring") })
			wantInstalled(t, root, "ferry", "1.0.0-1")
			s.serve(t, newer)
			succeed(t, root.Update)
			succeed(t, root.Upgrade)
			wantInstalled(t, root, "ferry", "1.1.0-1")
			said, err := exec.Command(root.Installed("usr/bin/ferry"), "--version").Output()
			if err != nil || !strings.HasPrefix(string(said), "ferry version 1.1.0\n") {
				t.Errorf("the installed program says %q (%v)", said, err)
			}

			refusesEveryFlip(t, root, s, newer, "ferry")
			wantInstalled(t, root, "ferry", "1.1.0-1")
		})
	}
}

// debian is the root file system of a Debian release's apt and dpkg, with no source. Its packages are unpacked, not
// configured; what apt and dpkg need of their configuration is laid here.
func debian(t *testing.T, suite string) *aptroot.Root {
	t.Helper()
	tree, err := vm.Tree(t.Context(), suite, runtime.GOARCH, "apt", "dpkg", "gpgv", "base-passwd", "dash", "coreutils", "diffutils", "sed", "tar", "libc-bin")
	if vm.IsUnavailable(err) {
		t.Skip(err)
	}
	must(t, err)
	dir := copied(t, tree)
	for _, name := range []string{"dev", "proc", "tmp", "etc/apt", "var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers", "var/log/apt", "var/cache/apt"} {
		must(t, os.MkdirAll(filepath.Join(dir, name), 0o755))
	}
	must(t, os.Chmod(dir, 0o755)) // apt fetches as a user of its own
	must(t, os.Chmod(filepath.Join(dir, "tmp"), 0o777|os.ModeSticky))
	must(t, syscall.Mknod(filepath.Join(dir, "dev/null"), syscall.S_IFCHR|0o666, 1<<8|3))
	must(t, os.Chmod(filepath.Join(dir, "dev/null"), 0o666))
	must(t, os.WriteFile(filepath.Join(dir, "var/lib/dpkg/status"), nil, 0o644))
	passwd, err := os.ReadFile(filepath.Join(dir, "usr/share/base-passwd/passwd.master"))
	must(t, err)
	group, err := os.ReadFile(filepath.Join(dir, "usr/share/base-passwd/group.master"))
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "etc/passwd"), append(passwd, "_apt:*:42:65534::/nonexistent:/usr/sbin/nologin\n"...), 0o644))
	must(t, os.WriteFile(filepath.Join(dir, "etc/group"), group, 0o644))
	if sh := filepath.Join(dir, "usr/bin/sh"); !exists(sh) {
		must(t, os.Symlink("dash", sh))
	}
	root, err := aptroot.Chroot(dir)
	must(t, err)
	return root
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// copied is a copy of a folder, for a test to change.
func copied(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if out, err := exec.Command("cp", "-a", dir, to).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for at := filepath.Dir(to); at != os.TempDir() && at != "/"; at = filepath.Dir(at) {
		must(t, os.Chmod(at, 0o755))
	}
	return to
}

// flip changes a bit in the middle of each file that the pattern names, and in the copies by hash beside them.
func flip(t *testing.T, dir, pattern string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, pattern))
	must(t, err)
	byHash, err := filepath.Glob(filepath.Join(dir, filepath.Dir(pattern), "by-hash/*/*"))
	must(t, err)
	if files = append(files, byHash...); len(files) == 0 {
		t.Fatalf("nothing is named %s", pattern)
	}
	for _, name := range files {
		if info, err := os.Lstat(name); err != nil || !info.Mode().IsRegular() {
			continue
		}
		text, err := os.ReadFile(name)
		must(t, err)
		text[len(text)/2] ^= 1
		must(t, os.WriteFile(name, text, 0o644))
	}
}
