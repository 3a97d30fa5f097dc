package aptrepo_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/berth-oci/berth/aptrepo/aptroot"
	"github.com/berth-oci/berth/aptrepo/debtest"
	"github.com/berth-oci/berth/signing"
)

// chroot returns the unpacked Debian that APTREPO_CHROOT names: what
// "debootstrap --variant=minbase trixie DIR" makes. The test installs into it.
func chroot(t *testing.T, sources ...string) *aptroot.Root {
	t.Helper()
	dir := os.Getenv("APTREPO_CHROOT")
	if dir == "" {
		t.Skip("APTREPO_CHROOT does not name a debootstrap'ed Debian")
	}
	if os.Geteuid() != 0 {
		t.Skip("a chroot needs root")
	}
	root, err := aptroot.Chroot(dir, sources...)
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func TestAnotherDebiansAptInstallsAndRefuses(t *testing.T) {
	r := newRepo(t)
	r.publish(debtest.Deb{Name: "aptrepo-hello", Version: "1.0-1", Postinst: "#!/bin/sh\nset -e\ntouch /aptrepo-hello-configured\n"})
	url := r.serve()
	source := "Types: deb\nURIs: " + url + "\nSuites: stable\nComponents: main\nSigned-By: /aptroot/keyring.gpg\n"
	root := chroot(t, source)
	if err := os.WriteFile(root.Installed("aptroot/keyring.gpg"), r.key.Public(), 0o644); err != nil {
		t.Fatal(err)
	}
	defer root.Run("apt-get", "purge", "aptrepo-hello")
	if err := root.Clean(); err != nil {
		t.Fatal(err)
	}
	must(t)(root.Update())
	must(t)(root.Install("aptrepo-hello"))
	wantVersion(t, root, "aptrepo-hello", "1.0-1")
	if _, err := os.Stat(root.Installed("aptrepo-hello-configured")); err != nil {
		t.Errorf("the maintainer script did not run within: %v", err)
	}
	r.publish(debtest.Deb{Name: "aptrepo-hello", Version: "1.1-1"})
	newer(t, filepath.Join(r.dir, "dists/stable/InRelease"))
	must(t)(root.Update())
	must(t)(root.Upgrade())
	wantVersion(t, root, "aptrepo-hello", "1.1-1")

	undo := flip(t, filepath.Join(r.dir, "dists/stable/InRelease"), 80)
	if err := root.Clean(); err != nil {
		t.Fatal(err)
	}
	if result, err := root.Update(); err == nil {
		t.Errorf("apt accepts a flipped byte in InRelease:\n%s", result.Output)
	}
	undo()

	young, err := signing.Generate("New", "new@example.org", r.at, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("signed with the old and the new key", func(t *testing.T) {
		both, err := signing.Join(r.key, young)
		if err != nil {
			t.Fatal(err)
		}
		for name, keyring := range map[string][]byte{"old": r.key.Public(), "new": young.Public(), "both": both.Public()} {
			r.resign(both)
			if err := os.WriteFile(root.Installed("aptroot/keyring.gpg"), keyring, 0o644); err != nil {
				t.Fatal(err)
			}
			if err := root.Clean(); err != nil {
				t.Fatal(err)
			}
			if result, err := root.Update(); err != nil {
				t.Errorf("a client with the %s key: %v\n%s", name, err, result.Output)
			}
		}
	})
}
