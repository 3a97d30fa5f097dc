package aptrepo_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/berth-oci/berth/aptrepo"
	"github.com/berth-oci/berth/aptrepo/debtest"
)

func TestThePublisherRefusesWhatWouldHurtClients(t *testing.T) {
	r := newRepo(t)
	hello := debtest.Deb{Name: "hello", Version: "1.0-1"}
	r.publish(hello)
	before := snapshot(t, r.dir)
	prev := r.read()
	later := r.at.Add(time.Hour)

	t.Run("the same version with other bytes", func(t *testing.T) {
		other := hello
		other.Content = "other"
		_, err := prev.Add(r.config, r.packages(other)...)
		mustFail(t, err, "hello:amd64=1.0-1", "published with other bytes", "raise the version")
	})
	t.Run("versions that differ in the epoch alone", func(t *testing.T) {
		_, err := prev.Add(r.config, r.packages(debtest.Deb{Name: "hello", Version: "1:1.0-1"})...)
		mustFail(t, err, "hello:amd64=1:1.0-1", "its file pool/", "raise the version")
	})
	t.Run("a pool path with other bytes", func(t *testing.T) {
		path := filepath.Join(r.dir, "pool/main/w/world/world_2.0_amd64.deb")
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("left by another"), 0o644); err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(filepath.Join(r.dir, "pool/main/w"))
		r := *r
		r.at = later
		err := aptrepo.Publish(aptrepo.Directory(r.dir), r.tree(debtest.Deb{Name: "world", Version: "2.0"}), nil)
		mustFail(t, err, "cannot publish to", "world_2.0_amd64.deb", "other bytes")
	})
	t.Run("another identity", func(t *testing.T) {
		c := r.config
		c.Origin, c.Label = "Elsewhere", "Example"
		_, err := aptrepo.Build(c, prev, prev.Packages, r.key, later, false)
		mustFail(t, err, "cannot change Origin", "consent")
		if _, err := aptrepo.Build(c, prev, prev.Packages, r.key, later, true); err != nil {
			t.Errorf("with consent: %v", err)
		}
	})
	t.Run("a date before the published one", func(t *testing.T) {
		_, err := aptrepo.Build(r.config, prev, prev.Packages, r.key, r.at.Add(-time.Second), false)
		mustFail(t, err, "older", "later date")
		_, err = aptrepo.Refresh(prev, r.key, r.at.Add(-time.Second), 7)
		mustFail(t, err, "later date")
	})
	t.Run("an architecture that no index has", func(t *testing.T) {
		_, err := prev.Add(r.config, r.packages(debtest.Deb{Name: "hello", Version: "1.0-1", Arch: "riscv64"})...)
		mustFail(t, err, "no architecture riscv64")
	})
	t.Run("a tree built on what is no longer published", func(t *testing.T) {
		copied := t.TempDir()
		if err := os.CopyFS(copied, os.DirFS(r.dir)); err != nil {
			t.Fatal(err)
		}
		r := *r
		r.dir, r.at = copied, later
		stale := r.tree(debtest.Deb{Name: "late", Version: "1"})
		r.publish(debtest.Deb{Name: "first", Version: "1"})
		mustFail(t, aptrepo.Publish(aptrepo.Directory(r.dir), stale, nil), "changed since it was read")
	})
	if err := sameFiles(before, snapshot(t, r.dir)); err != nil {
		t.Errorf("a refused publish changed the repository: %v", err)
	}
}
