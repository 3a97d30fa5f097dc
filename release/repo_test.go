package release

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// testRepo is a git repository of its own in a temporary directory. Its clock moves only when told to.
type testRepo struct {
	t   *testing.T
	dir string
	now time.Time
}

const testControl = `Source: ferry
Section: admin
Priority: optional
Maintainer: Ferry Crew <crew@example.org>
Homepage: https://example.org/ferry

Package: ferry
Architecture: amd64 arm64
Description: crosses the water
 From one side to the other.
`

// newRepo makes a repository with one commit that holds the packaging's control file.
func newRepo(t *testing.T) *testRepo {
	t.Helper()
	for name, value := range map[string]string{
		"GIT_CONFIG_GLOBAL": os.DevNull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_AUTHOR_NAME": "Ada Lovelace",
		"GIT_AUTHOR_EMAIL": "ada@example.org", "GIT_COMMITTER_NAME": "Ada Lovelace", "GIT_COMMITTER_EMAIL": "ada@example.org",
		"DEBFULLNAME": "", "DEBEMAIL": "", "SOURCE_DATE_EPOCH": "", "TZ": "UTC",
	} {
		t.Setenv(name, value)
	}
	r := &testRepo{t: t, dir: t.TempDir(), now: time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)}
	r.git("init", "--quiet", "--initial-branch=main")
	r.write(debianDir+"/control", testControl)
	r.git("add", ".")
	r.git("commit", "--quiet", "-m", "ferry: lay the keel")
	return r
}

func (r *testRepo) git(args ...string) string {
	r.t.Helper()
	cmd := exec.Command("git", append([]string{"-C", r.dir}, args...)...)
	date := fmt.Sprintf("%d +0000", r.now.Unix())
	cmd.Env = append(os.Environ(), "GIT_AUTHOR_DATE="+date, "GIT_COMMITTER_DATE="+date)
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func (r *testRepo) path(name string) string { return filepath.Join(r.dir, filepath.FromSlash(name)) }

func (r *testRepo) write(name, text string) {
	r.t.Helper()
	if err := os.MkdirAll(filepath.Dir(r.path(name)), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(r.path(name), []byte(text), 0o644); err != nil {
		r.t.Fatal(err)
	}
}

func (r *testRepo) read(name string) string {
	r.t.Helper()
	text, err := os.ReadFile(r.path(name))
	if err != nil {
		r.t.Fatal(err)
	}
	return string(text)
}

// commit makes an empty commit a minute later, and returns its name.
func (r *testRepo) commit(message string) string {
	r.t.Helper()
	r.now = r.now.Add(time.Minute)
	r.git("commit", "--quiet", "--allow-empty", "--cleanup=verbatim", "-m", message)
	return r.git("rev-parse", "HEAD")
}

func (r *testRepo) tag(name string) {
	r.t.Helper()
	r.git("tag", "--annotate", "-m", name, name)
}

// commitFile commits one file with this text.
func (r *testRepo) commitFile(name, text, message string) {
	r.t.Helper()
	r.write(name, text)
	r.git("add", "--", name)
	r.git("commit", "--quiet", "-m", message)
}

func (r *testRepo) version() Version {
	r.t.Helper()
	v, err := FindVersion(r.dir, VersionOptions{})
	if err != nil {
		r.t.Fatal(err)
	}
	return v
}

// state is all that a failed command must have left as it was.
func (r *testRepo) state() string {
	r.t.Helper()
	return r.git("rev-parse", "HEAD") + "\n" + r.git("tag", "--list") + "\n" + r.git("status", "--porcelain")
}

// wantError checks that err says each of the words, and gives a hint.
func wantError(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one that says %q", words)
	}
	for _, w := range append(words, "cannot ") {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q does not say %q", err, w)
		}
	}
}
