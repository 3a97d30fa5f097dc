package aptrepo_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/berth-oci/berth/aptrepo"
	"github.com/berth-oci/berth/aptrepo/debtest"
)

func TestSuitesThatShareAPoolDoNotRemoveEachOthersPackages(t *testing.T) {
	r := newRepo(t)
	r.at = r.at.Add(-100 * 24 * time.Hour)
	shared, own := debtest.Deb{Name: "hello", Version: "1.0"}, debtest.Deb{Name: "hello", Version: "1.1"}
	r.resetKey()
	r.publish(shared)
	testing := *r
	testing.config.Codename = "testing"
	testing.config.KeepVersions = 1
	testing.publish(shared)
	testing.publish(own)
	for _, version := range []string{"2", "3", "4", "5", "6"} {
		testing.at = testing.at.Add(20 * 24 * time.Hour)
		testing.publish(debtest.Deb{Name: "hello", Version: version})
	}
	if _, err := os.Stat(filepath.Join(r.dir, "pool/main/h/hello/hello_1.1_amd64.deb")); err == nil {
		t.Error("a package that only a forgotten generation named is still there")
	}
	check := aptrepo.Check{Codename: "stable", Keyring: r.key.Public(), Now: r.at.Add(time.Hour)}
	if _, err := aptrepo.Verify(aptrepo.Dir(r.dir), check); err != nil {
		t.Errorf("the other suite lost something: %v", err)
	}
}

func TestAnUnreadableSuiteStopsRemovals(t *testing.T) {
	c := newCrash(t)
	broken := filepath.Join(c.dir, "dists/broken/InRelease")
	if err := os.Mkdir(filepath.Dir(broken), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(broken, []byte("nonsense"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := c.child(c.dir, -1); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(c.dir, "pool/main/h/hello/hello_0.3_amd64.deb")); err != nil {
		t.Errorf("something was removed that the unreadable suite might name: %v", err)
	}
	if err := os.RemoveAll(filepath.Dir(broken)); err != nil {
		t.Fatal(err)
	}
	if v := c.verified(t, c.dir); v != "2.0" {
		t.Errorf("published %s", v)
	}
}

func TestPhasedUpdatesReachTheIndex(t *testing.T) {
	r := newRepo(t)
	packages := r.packages(debtest.Deb{Name: "hello", Version: "1.0"})
	packages[0].Control.Set("Phased-Update-Percentage", "10")
	prev := r.read()
	all, err := prev.Add(r.config, packages...)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := aptrepo.Build(r.config, prev, all, r.key, r.at, false)
	if err != nil {
		t.Fatal(err)
	}
	r.write(tree)
	for _, p := range r.read().Packages {
		if got := p.Control.Get("Phased-Update-Percentage"); got != "10" {
			t.Errorf("%s has percentage %q", p.ID(), got)
		}
	}
}
