package release

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/berth-oci/berth/aptrepo"
)

func TestSemVerBecomesDebian(t *testing.T) {
	for in, want := range map[string]string{
		"1.2.3":                "1.2.3-1",
		"1.2.3-rc.1+meta":      "1.2.3~rc.1-1",
		"1.2.3+meta.7":         "1.2.3-1",
		"0.0.1-alpha":          "0.0.1~alpha-1",
		"1.0.0-x-y.2":          "1.0.0~x-y.2-1",
		"10.20.30-0.git":       "10.20.30~0.git-1",
		"1.2.4-git20261122.g1": "1.2.4~git20261122.g1-1",
	} {
		v, err := parseSemVer(in)
		if err != nil {
			t.Fatalf("%s: %v", in, err)
		}
		if v.String() != in {
			t.Errorf("%s is written back as %s", in, v)
		}
		if got := v.debian(); got != want || CheckDebianVersion(got) != nil {
			t.Errorf("%s becomes %s (%v), want %s", in, got, CheckDebianVersion(got), want)
		}
	}
	for _, bad := range []string{"", "1", "1.2", "1.2.3.4", "01.2.3", "1.2.3-", "1.2.3-01", "1.2.3+", "v1.2.3", "1.2.3 ", "1.2.3-a..b",
		"99999999999999999999.0.0", "1.2.3-ü"} {
		if v, err := parseSemVer(bad); err == nil {
			t.Errorf("%q is read as %v", bad, v)
		}
	}
}

func TestBumpedFollowsPreReleases(t *testing.T) {
	for _, c := range []struct{ from, part, want string }{
		{"1.2.3", "patch", "1.2.4"}, {"1.2.3", "minor", "1.3.0"}, {"1.2.3", "major", "2.0.0"},
		{"1.3.0-rc.1", "patch", "1.3.0"}, {"1.3.0-rc.1", "minor", "1.3.0"}, {"1.3.0-rc.1", "major", "2.0.0"},
		{"1.2.3-rc.1", "minor", "1.3.0"}, {"2.0.0-rc.1", "major", "2.0.0"}, {"0.0.0", "patch", "0.0.1"},
	} {
		from, err := parseSemVer(c.from)
		if err != nil {
			t.Fatal(err)
		}
		if got := from.bumped(c.part).String(); got != c.want {
			t.Errorf("%s %s is %s, want %s", c.from, c.part, got, c.want)
		}
	}
}

func TestTagNamesTheVersion(t *testing.T) {
	r := newRepo(t)
	r.tag("v1.2.2")
	r.commit("ferry: sail")
	r.tag("v1.2.3-rc.1+meta")
	r.tag("nightly")
	v := r.version()
	want := Version{SemVer: "1.2.3-rc.1+meta", Debian: "1.2.3~rc.1-1", Tag: "v1.2.3-rc.1+meta", Last: "v1.2.2",
		Commit: r.git("rev-parse", "HEAD"), CommitTime: r.now}
	if v != want {
		t.Errorf("version is %+v, want %+v", v, want)
	}
	r.tag("v1.2.3") // promoted: the same commit becomes the release
	if v := r.version(); v.Tag != "v1.2.3" || v.Last != "v1.2.2" {
		t.Errorf("promoted version is %+v", v)
	}
}

func TestSnapshotsOnlyGoUp(t *testing.T) {
	r := newRepo(t)
	previous := r.version()
	if !previous.Snapshot || !strings.HasPrefix(previous.Debian, "0.0.1~git20261122.1.g") || previous.Tag != "" {
		t.Fatalf("with no tag the version is %+v", previous)
	}
	step := func(what string) {
		t.Helper()
		v := r.version()
		if aptrepo.CompareVersions(v.Debian, previous.Debian) <= 0 {
			t.Errorf("after %s the version is %s, not above %s", what, v.Debian, previous.Debian)
		}
		previous = v
	}
	for range 12 { // ten commits of one day, so that counts get a second digit
		r.commit("ferry: row")
		step("a commit on the same day")
	}
	r.now = r.now.Add(-72 * time.Hour)
	r.commit("ferry: sail with a slow clock")
	step("a commit dated before its parent")
	r.tag("v0.0.1-rc.1")
	step("a pre-release tag")
	r.commit("ferry: patch")
	step("a commit after a pre-release")
	r.commit("ferry: patch again")
	step("another commit after a pre-release")
	r.commit("ferry: paint")
	r.tag("v0.0.1-rc.2")
	step("the next pre-release")
	r.commit("ferry: polish")
	r.tag("v0.0.1")
	step("the release")
	r.commit("ferry: mend")
	step("a commit after the release")
	if !strings.HasPrefix(previous.Debian, "0.0.2~git") || previous.Last != "v0.0.1" {
		t.Errorf("the snapshot after v0.0.1 is %+v", previous)
	}
	r.write("new.go", "package ferry\n")
	step("an edit of the work tree")
	if !previous.Dirty || !strings.Contains(previous.Debian, ".dirty") {
		t.Errorf("the dirty snapshot is %+v", previous)
	}
	later := time.Now().Add(2 * time.Second)
	if err := os.Chtimes(r.path("new.go"), later, later); err != nil {
		t.Fatal(err)
	}
	step("a later edit")
	if again := r.version(); again != previous {
		t.Errorf("the same dirty tree is %s, then %s", previous.Debian, again.Debian)
	}
	r.git("add", ".")
	r.commit("ferry: add new")
	step("the commit of the edit")
}

func TestMergesKeepSnapshotsRising(t *testing.T) {
	r := newRepo(t)
	r.git("switch", "--quiet", "-c", "side")
	r.now = r.now.AddDate(0, 0, 5)
	r.commit("ferry: on the side, later")
	side := r.version()
	r.git("switch", "--quiet", "main")
	r.now = r.now.AddDate(0, 0, -4)
	r.commit("ferry: on main, earlier")
	main := r.version()
	r.git("merge", "--quiet", "--no-ff", "-m", "Merge side", "side")
	merged := r.version()
	for _, parent := range []Version{side, main} {
		if aptrepo.CompareVersions(merged.Debian, parent.Debian) <= 0 {
			t.Errorf("the merge is %s, not above its parent %s", merged.Debian, parent.Debian)
		}
	}
}

func TestFindVersionChangesNothing(t *testing.T) {
	r := newRepo(t)
	r.write("loose.txt", "loose\n")
	before := treeOf(t, r.dir)
	r.version()
	if after := treeOf(t, r.dir); after != before {
		t.Errorf("files changed from\n%s\nto\n%s", before, after)
	}
}

// treeOf lists every file below dir with size and time of change.
func treeOf(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.Walk(dir, func(path string, fi os.FileInfo, err error) error {
		if err == nil {
			b.WriteString(path + " " + fi.Mode().String() + " " + fi.ModTime().String() + "\n")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestFindVersionRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		arrange func(r *testRepo)
		options VersionOptions
		words   []string
	}{
		"a dirty tree under a tag": {
			arrange: func(r *testRepo) { r.tag("v1.0.0"); r.write("loose.txt", "") },
			words:   []string{"v1.0.0", "loose.txt", "hint: commit"},
		},
		"a changed file under a tag": {
			arrange: func(r *testRepo) { r.tag("v1.0.0"); r.write(debianDir+"/control", testControl+"\n") },
			words:   []string{"v1.0.0", "release/debian/control"},
		},
		"a tag lower than the last": {
			arrange: func(r *testRepo) { r.tag("v1.2.0"); r.commit("ferry: x"); r.tag("v1.1.9") },
			words:   []string{"v1.1.9", "v1.2.0", "hint: git tag -d v1.1.9"},
		},
		"a tag equal to the last for dpkg": {
			arrange: func(r *testRepo) { r.tag("v1.2.0+one"); r.commit("ferry: x"); r.tag("v1.2.0+two") },
			words:   []string{"v1.2.0+two", "v1.2.0+one"},
		},
		"a malformed tag": {
			arrange: func(r *testRepo) { r.tag("v1.2") },
			words:   []string{`"v1.2"`, "hint: git tag -d v1.2", "v1.2.3"},
		},
		"a tag without v": {
			arrange: func(r *testRepo) { r.tag("1.2.3") },
			words:   []string{`"1.2.3"`, "starts with v"},
		},
		"a version lower than the changelog": {
			arrange: func(r *testRepo) {
				r.commitFile(changelogFile, entryText("2.0.0-1", "stable"), "ferry: log")
				r.tag("v1.9.0")
			},
			words: []string{"1.9.0", "2.0.0-1", changelogFile + " line 1"},
		},
		"a malformed changelog": {
			arrange: func(r *testRepo) { r.commitFile(changelogFile, "ferry 1.0 stable\n", "ferry: log") },
			words:   []string{changelogFile, "line 1", "hint: "},
		},
		"a version lower than the published one": {
			arrange: func(r *testRepo) { r.tag("v1.0.0") },
			options: VersionOptions{Published: []string{"0.9.0-1", "1.0.1~rc.1-1"}},
			words:   []string{"1.0.0-1", "1.0.1~rc.1-1", "already published", "hint: "},
		},
		"a folder that is no repository": {
			arrange: func(r *testRepo) { must(r.t, os.RemoveAll(r.path(".git"))) },
			words:   []string{"not a git repository", "hint: "},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRepo(t)
			c.arrange(r)
			_, err := FindVersion(r.dir, c.options)
			wantError(t, err, c.words...)
		})
	}
}

func TestFindVersionRefusesAShallowClone(t *testing.T) {
	r := newRepo(t)
	r.commit("ferry: x")
	clone := filepath.Join(t.TempDir(), "clone")
	r.git("clone", "--quiet", "--depth=1", "file://"+r.dir, clone)
	_, err := FindVersion(clone, VersionOptions{})
	wantError(t, err, "shallow", "git fetch --unshallow")
}

func TestFindVersionRefusesAnEmptyRepository(t *testing.T) {
	r := newRepo(t)
	empty := t.TempDir()
	r.git("init", "--quiet", empty)
	_, err := FindVersion(empty, VersionOptions{})
	wantError(t, err, "no commit yet")
}

func TestFindVersionSaysThatGitIsMissing(t *testing.T) {
	r := newRepo(t)
	t.Setenv("PATH", t.TempDir())
	_, err := FindVersion(r.dir, VersionOptions{})
	wantError(t, err, "git is not installed")
}

func TestFindVersionIgnoresTheEnvironmentOfAGitHook(t *testing.T) {
	r := newRepo(t)
	other := t.TempDir()
	if out, err := exec.Command("git", "init", "--quiet", other).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	want := r.version()
	t.Setenv("GIT_DIR", filepath.Join(other, ".git"))
	if got := r.version(); got != want {
		t.Errorf("with GIT_DIR elsewhere the version is %+v, want %+v", got, want)
	}
}

func TestAnOldMalformedTagIsHistory(t *testing.T) {
	r := newRepo(t)
	r.tag("v1.0")
	r.commit("ferry: x")
	if v := r.version(); !strings.HasPrefix(v.Debian, "0.0.1~git") {
		t.Errorf("version is %s", v.Debian)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
