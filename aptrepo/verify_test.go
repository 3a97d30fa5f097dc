package aptrepo_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/berth-oci/berth/aptrepo"
	"github.com/berth-oci/berth/aptrepo/debtest"
	"github.com/berth-oci/berth/signing"
)

func (r *repo) check() aptrepo.Check {
	return aptrepo.Check{Codename: "stable", Keyring: r.key.Public(), Now: r.at.Add(time.Hour)}
}

func TestVerifyReadsTheWholeRepositoryBack(t *testing.T) {
	r := newRepo(t)
	r.publish(debtest.Deb{Name: "hello", Version: "1.0~rc1+dfsg-1"}, debtest.Deb{Name: "hello-doc", Version: "1.0-1", Arch: "all"})
	for _, src := range []aptrepo.Source{aptrepo.Dir(r.dir), aptrepo.HTTP{URL: r.serve()}, aptrepo.OpenSource("file:" + r.dir)} {
		report, err := aptrepo.Verify(src, r.check())
		if err != nil {
			t.Fatal(err)
		}
		if len(report.Packages) != 2 || len(report.Warnings) != 0 || len(report.SignedBy) != 1 || report.SignedBy[0] != r.key.Fingerprint() {
			t.Errorf("%s: report = %d packages, warnings %q, signed by %v", src, len(report.Packages), report.Warnings, report.SignedBy)
		}
	}
}

func TestVerifyRefusesDatesAsAptDoes(t *testing.T) {
	r := newRepo(t)
	r.publish(debtest.Deb{Name: "hello", Version: "1.0-1"})
	at := func(now time.Time) error {
		c := r.check()
		c.Now = now
		_, err := aptrepo.Verify(aptrepo.Dir(r.dir), c)
		return err
	}
	mustFail(t, at(r.at.Add(-11*time.Second)), "future")
	mustFail(t, at(r.at.AddDate(0, 0, 31)), "expired", "sign it anew")
	if err := at(r.at.Add(time.Second)); err != nil {
		t.Error(err)
	}
	c := r.check()
	other, err := signing.Generate("B", "b@example.org", r.at, 0)
	if err != nil {
		t.Fatal(err)
	}
	c.Keyring = other.Public()
	_, err = aptrepo.Verify(aptrepo.Dir(r.dir), c)
	mustFail(t, err, "InRelease", "none is by a key of the keyring")
}

// flip changes one byte of a file and returns what puts it back.
func flip(t *testing.T, path string, offset int) func() {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(data)
	flipped[offset] ^= 0x20
	if err := os.WriteFile(path, flipped, 0o644); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAFlippedByteIsRefusedByVerifyAndByApt(t *testing.T) {
	r := newRepo(t)
	r.publish(debtest.Deb{Name: "hello", Version: "1.0-1"})
	release, err := os.ReadFile(filepath.Join(r.dir, "dists/stable/InRelease"))
	if err != nil {
		t.Fatal(err)
	}
	var byHash string // apt asks for the xz form
	for _, f := range r.tree().Release.Sums {
		if f.Path == "main/binary-amd64/Packages.xz" {
			byHash = "dists/stable/main/binary-amd64/by-hash/SHA256/" + f.SHA256
		}
	}
	tests := []struct {
		name, path string
		offset     int
		stage      string // where apt notices
	}{
		{"InRelease", "dists/stable/InRelease", bytes.Index(release, []byte("Origin")) + 9, "update"},
		{"InRelease's signature", "dists/stable/InRelease", bytes.Index(release, []byte("SIGNATURE-----")) + 60, "update"},
		{"Packages", byHash, 30, "update"},
		{"the package", "pool/main/h/hello/hello_1.0-1_amd64.deb", 200, "install"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			undo := flip(t, filepath.Join(r.dir, test.path), test.offset)
			defer undo()
			if _, err := aptrepo.Verify(aptrepo.Dir(r.dir), r.check()); err == nil {
				t.Error("verify accepts it")
			} else if !strings.Contains(err.Error(), "cannot verify") {
				t.Errorf("verify says %q", err)
			}
			for _, url := range []string{"file:" + r.dir, r.serve()} {
				root := r.apt(url)
				result, err := root.Update()
				if test.stage == "install" {
					if err != nil {
						t.Fatalf("%v\n%s", err, result.Output)
					}
					result, err = root.Install("hello")
				}
				if err == nil {
					t.Errorf("apt accepts it from %s:\n%s", url, result.Output)
				}
				wantVersion(t, root, "hello", "")
			}
		})
	}
	if _, err := aptrepo.Verify(aptrepo.Dir(r.dir), r.check()); err != nil {
		t.Errorf("with every byte back: %v", err)
	}
}
