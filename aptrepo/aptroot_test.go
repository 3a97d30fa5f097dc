package aptrepo_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/berth-oci/berth/aptrepo"
	"github.com/berth-oci/berth/aptrepo/aptroot"
	"github.com/berth-oci/berth/aptrepo/debtest"
	"github.com/berth-oci/berth/signing"
)

// repo is a repository under test, on disk.
type repo struct {
	t      *testing.T
	dir    string
	config aptrepo.Config
	key    *signing.Key
	at     time.Time
}

// newRepo prepares an empty repository. Its clock starts a day ago and every
// publish moves it on, so that apt never sees a date in the future.
func newRepo(t *testing.T) *repo {
	t.Helper()
	at := time.Now().Add(-24 * time.Hour).UTC().Truncate(time.Second)
	key, err := signing.Generate("Example Archive", "archive@example.org", at.Add(-time.Hour), 0)
	if err != nil {
		t.Fatal(err)
	}
	return &repo{t: t, dir: filepath.Join(t.TempDir(), "repo"), key: key, at: at, config: aptrepo.Config{
		Name: "example", Origin: "Example", Codename: "stable", Architectures: []string{"amd64", "arm64"},
	}}
}

// resetKey makes a key as old as the repository's clock.
func (r *repo) resetKey() {
	r.t.Helper()
	key, err := signing.Generate("Example Archive", "archive@example.org", r.at, 0)
	if err != nil {
		r.t.Fatal(err)
	}
	r.key = key
}

func (r *repo) read() *aptrepo.Published {
	r.t.Helper()
	prev, err := aptrepo.Read(aptrepo.Directory(r.dir), r.config.Codename, r.key.Public())
	if err != nil {
		r.t.Fatal(err)
	}
	return prev
}

// tree is what a publish of debs would write now.
func (r *repo) tree(debs ...debtest.Deb) *aptrepo.Tree {
	r.t.Helper()
	prev := r.read()
	packages, err := prev.Add(r.config, r.packages(debs...)...)
	if err != nil {
		r.t.Fatal(err)
	}
	tree, err := aptrepo.Build(r.config, prev, packages, r.key, r.at, false)
	if err != nil {
		r.t.Fatal(err)
	}
	return tree
}

func (r *repo) packages(debs ...debtest.Deb) []*aptrepo.Package {
	r.t.Helper()
	var packages []*aptrepo.Package
	for _, d := range debs {
		p, err := aptrepo.ReadPackage(d.Write(r.t, r.t.TempDir()))
		if err != nil {
			r.t.Fatal(err)
		}
		packages = append(packages, p)
	}
	return packages
}

func (r *repo) publish(debs ...debtest.Deb) {
	r.t.Helper()
	r.at = r.at.Add(time.Minute)
	r.write(r.tree(debs...))
}

func (r *repo) write(tree *aptrepo.Tree) {
	r.t.Helper()
	if err := aptrepo.Publish(aptrepo.Directory(r.dir), tree, nil); err != nil {
		r.t.Fatal(err)
	}
}

// source is the deb822 source of the repository at url.
func (r *repo) source(url string) string {
	r.t.Helper()
	keyring := filepath.Join(r.t.TempDir(), "keyring.gpg")
	if err := os.WriteFile(keyring, r.key.Public(), 0o644); err != nil {
		r.t.Fatal(err)
	}
	return "Types: deb\nURIs: " + url + "\nSuites: stable\nComponents: main\nSigned-By: " + keyring + "\n"
}

func (r *repo) serve() string {
	server := httptest.NewServer(http.FileServer(http.Dir(r.dir)))
	r.t.Cleanup(server.Close)
	return server.URL
}

func (r *repo) apt(url string) *aptroot.Root {
	r.t.Helper()
	if err := aptroot.Available(); err != nil {
		r.t.Skip(err)
	}
	root, err := aptroot.New(r.t.TempDir(), "amd64", r.source(url))
	if err != nil {
		r.t.Fatal(err)
	}
	return root
}

func mustFail(t *testing.T, err error, want ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error; want one that says %q", want)
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q does not say %q", err, w)
		}
	}
}

func must(t *testing.T) func(*aptroot.Result, error) {
	return func(result *aptroot.Result, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%v\n%s", err, result.Output)
		}
	}
}

func wantVersion(t *testing.T, root *aptroot.Root, name, want string) {
	t.Helper()
	got, err := root.Version(name)
	if err != nil || got != want {
		t.Errorf("installed version of %s = %q, %v; want %q", name, got, err, want)
	}
}

func TestAptInstallsAndUpgradesWithoutAWarning(t *testing.T) {
	for _, scheme := range []string{"file", "http"} {
		t.Run(scheme, func(t *testing.T) {
			r := newRepo(t)
			r.publish(debtest.Deb{Name: "hello", Version: "1.0~rc1+dfsg-1", Compression: "xz"}, debtest.Deb{Name: "hello-doc", Version: "1.0-1", Arch: "all"},
				debtest.Deb{Name: "hello", Version: "1.0-1", Arch: "arm64"})
			url := "file:" + r.dir
			if scheme == "http" {
				url = r.serve()
			}
			root := r.apt(url)
			must(t)(root.Update())
			must(t)(root.Install("hello", "hello-doc"))
			wantVersion(t, root, "hello", "1.0~rc1+dfsg-1")
			wantVersion(t, root, "hello-doc", "1.0-1")
			r.publish(debtest.Deb{Name: "hello", Version: "1.1-1", Compression: "zst"})
			newer(t, filepath.Join(r.dir, "dists/stable/InRelease"))
			must(t)(root.Update())
			must(t)(root.Upgrade())
			wantVersion(t, root, "hello", "1.1-1")
			content, err := os.ReadFile(root.Installed("usr/share/hello/content"))
			if err != nil || string(content) != "1.1-1\n" {
				t.Errorf("installed content = %q, %v", content, err)
			}
		})
	}
}

// newer sets a file's time apart from an earlier one's within the same second:
// a web server would answer apt "not modified".
func newer(t *testing.T, path string) {
	t.Helper()
	later := time.Now().Add(2 * time.Second)
	if err := os.Chtimes(path, later, later); err != nil {
		t.Fatal(err)
	}
}

// resign signs what is published anew with another signer.
func (r *repo) resign(key signing.Signer) {
	r.t.Helper()
	r.at = r.at.Add(time.Minute)
	tree, err := aptrepo.Refresh(r.read(), key, r.at, 7)
	if err != nil {
		r.t.Fatal(err)
	}
	r.write(tree)
}

func TestARotationIsAcceptedByClientsOfEitherKey(t *testing.T) {
	r := newRepo(t)
	r.publish(debtest.Deb{Name: "hello", Version: "1.0-1"})
	young, err := signing.Generate("New", "new@example.org", r.at, 0)
	if err != nil {
		t.Fatal(err)
	}
	both, err := signing.Join(r.key, young)
	if err != nil {
		t.Fatal(err)
	}
	r.resign(both)
	for _, key := range []*signing.Key{r.key, young} {
		r.key = key
		root := r.apt("file:" + r.dir)
		must(t)(root.Update())
		must(t)(root.Install("hello"))
	}
}

func TestAptInstallsAnotherArchitectureWithAssumedDependencies(t *testing.T) {
	r := newRepo(t)
	r.publish(debtest.Deb{Name: "hello", Version: "1.0-1", Arch: "arm64", Fields: "Depends: base-of-all (>= 2)\n",
		Postinst: "#!/bin/sh\nset -e\ntest -n \"$DPKG_ROOT\"\ntouch \"$DPKG_ROOT/configured\"\n"})
	if err := aptroot.Available(); err != nil {
		t.Skip(err)
	}
	root, err := aptroot.New(t.TempDir(), "arm64", r.source("file:"+r.dir))
	if err != nil {
		t.Fatal(err)
	}
	must(t)(root.Update())
	if result, err := root.Install("hello"); err == nil {
		t.Fatalf("apt installs without the dependency:\n%s", result.Output)
	}
	if err := root.Assume("base-of-all=2.1"); err != nil {
		t.Fatal(err)
	}
	must(t)(root.Install("hello"))
	wantVersion(t, root, "hello", "1.0-1")
	if _, err := os.Stat(root.Installed("configured")); err != nil {
		t.Errorf("the maintainer script did not act on the isolated root: %v", err)
	}
}
