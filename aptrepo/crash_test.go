package aptrepo_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/berth-oci/berth/aptrepo"
	"github.com/berth-oci/berth/aptrepo/aptroot"
	"github.com/berth-oci/berth/aptrepo/debtest"
	"github.com/berth-oci/berth/signing"
)

func TestMain(m *testing.M) {
	if os.Getenv("APTREPO_CHILD") != "" {
		if err := publishAndDie(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// mortal kills its own process, as the kernel would, at the count-th moment of
// a publish: before or after any step, or halfway through a file.
type mortal struct {
	aptrepo.Destination
	moment, kill int
}

func (m *mortal) pass() {
	if m.moment == m.kill {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
	m.moment++
}

func (m *mortal) Stage(path string, content io.Reader) error {
	m.pass()
	return m.Destination.Stage(path, &halfway{content, m})
}

func (m *mortal) Commit(path string) error {
	m.pass()
	err := m.Destination.Commit(path)
	m.pass()
	return err
}

func (m *mortal) Sync() error {
	m.pass()
	return m.Destination.Sync()
}

func (m *mortal) Remove(path string) error {
	m.pass()
	return m.Destination.Remove(path)
}

type halfway struct {
	io.Reader
	m *mortal
}

func (h *halfway) Read(b []byte) (int, error) {
	n, err := h.Reader.Read(b[:min(len(b), 100)])
	if err == nil {
		return n, nil
	}
	h.m.pass()
	return n, err
}

// publishAndDie is the child: it publishes a package into a repository and
// prints how many moments that took.
func publishAndDie() error {
	at, err := strconv.ParseInt(os.Getenv("APTREPO_AT"), 10, 64)
	if err != nil {
		return err
	}
	kill, err := strconv.Atoi(os.Getenv("APTREPO_KILL"))
	if err != nil {
		return err
	}
	key, err := signing.LoadKey(signing.Source{File: os.Getenv("APTREPO_KEY")}, time.Unix(at, 0))
	if err != nil {
		return err
	}
	p, err := aptrepo.ReadPackage(os.Getenv("APTREPO_DEB"))
	if err != nil {
		return err
	}
	dst := &mortal{Destination: aptrepo.Directory(os.Getenv("APTREPO_CHILD")), kill: kill}
	c := aptrepo.Config{Name: "example", Origin: "Example", Codename: "stable", Architectures: []string{"amd64"}, KeepVersions: 1}
	prev, err := aptrepo.Read(dst.Destination, "stable", key.Public())
	if err != nil {
		return err
	}
	packages, err := prev.Add(c, p)
	if err != nil {
		return err
	}
	tree, err := aptrepo.Build(c, prev, packages, key, time.Unix(at, 0), false)
	if err != nil {
		return err
	}
	if err := aptrepo.Publish(dst, tree, nil); err != nil {
		return err
	}
	_, err = fmt.Println(dst.moment)
	return err
}

// crash is a repository with version 1, and all a child needs to publish
// version 2.
type crash struct {
	*repo
	secret, deb string
	at          time.Time
}

func newCrash(t *testing.T) *crash {
	r := newRepo(t)
	r.config.Architectures, r.config.KeepVersions = []string{"amd64"}, 1
	r.at = r.at.Add(-30 * 24 * time.Hour)
	r.resetKey()
	// Enough generations that the publish under test has something to remove.
	for _, old := range []string{"0.1", "0.2", "0.3", "0.4", "0.5"} {
		r.publish(debtest.Deb{Name: "hello", Version: old})
	}
	r.at = r.at.Add(20 * 24 * time.Hour)
	r.publish(debtest.Deb{Name: "hello", Version: "1.0"})
	secret, err := r.key.Secret("")
	if err != nil {
		t.Fatal(err)
	}
	c := &crash{repo: r, secret: filepath.Join(t.TempDir(), "key.asc"), at: r.at.Add(time.Minute)}
	c.deb = debtest.Deb{Name: "hello", Version: "2.0"}.Write(t, t.TempDir())
	if err := os.WriteFile(c.secret, secret, 0o600); err != nil {
		t.Fatal(err)
	}
	return c
}

// child publishes into dir, dying at moment kill (-1: never).
func (c *crash) child(dir string, kill int) (moments int, err error) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "APTREPO_CHILD="+dir, "APTREPO_KEY="+c.secret, "APTREPO_DEB="+c.deb,
		fmt.Sprintf("APTREPO_AT=%d", c.at.Unix()), fmt.Sprintf("APTREPO_KILL=%d", kill))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(out)))
}

func (c *crash) copy() string {
	c.t.Helper()
	dir := filepath.Join(c.t.TempDir(), "repo")
	if err := os.CopyFS(dir, os.DirFS(c.dir)); err != nil {
		c.t.Fatal(err)
	}
	return dir
}

func killed(err error) bool {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

func TestAKillAtAnyMomentLeavesAWholeRepositoryAndARerunCompletes(t *testing.T) {
	c := newCrash(t)
	whole := c.copy()
	moments, err := c.child(whole, -1)
	if err != nil {
		t.Fatal(err)
	}
	want := snapshot(t, whole)
	if moments < 30 {
		t.Fatalf("only %d moments to die at", moments)
	}
	seen := make(map[string]int)
	const kills = 12
	for i := range kills {
		kill := i * (moments - 1) / (kills - 1)
		t.Run(fmt.Sprintf("moment %d of %d", kill, moments), func(t *testing.T) {
			dir := c.copy()
			if _, err := c.child(dir, kill); !killed(err) {
				t.Fatalf("the child was not killed: %v", err)
			}
			version := c.verified(t, dir)
			seen[version]++
			c.installs(t, dir, version)
			if _, err := c.child(dir, -1); err != nil {
				t.Fatalf("rerun: %v", err)
			}
			if err := sameFiles(want, snapshot(t, dir)); err != nil {
				t.Errorf("after the rerun: %v", err)
			}
		})
	}
	if seen["1.0"] == 0 || seen["2.0"] == 0 {
		t.Errorf("the moments did not lie on both sides of InRelease: %v", seen)
	}
}

// verified returns the one version that the repository holds.
func (c *crash) verified(t *testing.T, dir string) string {
	t.Helper()
	report, err := aptrepo.Verify(aptrepo.Dir(dir), aptrepo.Check{Codename: "stable", Keyring: c.key.Public(), Now: c.at.Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Packages) != 1 {
		t.Fatalf("%d packages", len(report.Packages))
	}
	return report.Packages[0].Version
}

func (c *crash) installs(t *testing.T, dir, version string) {
	t.Helper()
	if aptroot.Available() != nil {
		return // verified in Go above; the skip is counted by the other tests of apt
	}
	root, err := aptroot.New(t.TempDir(), "amd64", c.source("file:"+dir))
	if err != nil {
		t.Fatal(err)
	}
	must(t)(root.Update())
	must(t)(root.Install("hello"))
	wantVersion(t, root, "hello", version)
}

func TestHistoryKeepsWhatClientsMayStillHold(t *testing.T) {
	c := newCrash(t)
	prev := c.read()
	if len(prev.Past) < 3 {
		t.Errorf("only %d past generations are kept", len(prev.Past))
	}
	for _, g := range prev.Past {
		old, err := prev.At(g.Date)
		if err != nil || len(old) != 1 {
			t.Errorf("generation of %s: %d packages, %v", g.Date, len(old), err)
			continue
		}
		if _, err := os.Stat(filepath.Join(c.dir, old[0].Filename)); err != nil {
			t.Errorf("generation of %s lost its package: %v", g.Date, err)
		}
	}
	oldest := filepath.Join(c.dir, "pool/main/h/hello/hello_0.3_amd64.deb")
	if _, err := os.Stat(oldest); err != nil {
		t.Fatal(err)
	}
	// Once 2.0 is out, 0.3 was superseded 20 days and four generations ago.
	if _, err := c.child(c.dir, -1); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(oldest); err == nil {
		t.Error("a package that no kept generation names is still in the pool")
	}
}
