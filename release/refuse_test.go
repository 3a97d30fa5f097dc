package release

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const broken = `{"results":[{"name":"lifecycle/crossing","outcome":"pass"},{"name":"state/depth","outcome":"fail","reasons":["it sank"]}]}`

// Each wrong thing stops a release with its cause, and what was published before does not change by one byte.
func TestReleaseRefusesAndLeavesThePublishedRepositoryAsItWas(t *testing.T) {
	sound := newProject(t)
	sound.useKey()
	sound.tag("v1.0.0")
	sound.release()
	for _, c := range []struct {
		name  string
		spoil func(*project)
		words []string
	}{
		{"dirty tree under a tag", func(p *project) {
			p.commit("ferry: sail")
			p.tag("v1.1.0")
			p.write("cmd/ferry/main.go", ferryMain+"\n// changed\n")
		}, []string{"cmd/ferry/main.go", "hint:"}},
		{"version lower than the last", func(p *project) { p.commit("ferry: sail"); p.tag("v0.9.0") }, []string{"v0.9.0", "v1.0.0"}},
		{"version lower than the published", func(p *project) {
			p.git("tag", "-d", "v1.0.0")
			p.commit("ferry: sail")
			p.tag("v0.9.0")
		}, []string{"0.9.0-1", "lower than 1.0.0-1"}},
		{"malformed tag", func(p *project) { p.commit("ferry: sail"); p.tag("v1.1") }, []string{"v1.1"}},
		{"malformed changelog", func(p *project) {
			p.commitFile("release/debian/changelog", "ferry is a fine ship\n", "ferry: log")
		}, []string{"changelog", "line 1"}},
		{"malformed waivers", func(p *project) {
			p.Config.Waivers = "waivers"
			p.commitFile("waivers", "# known\nstate/depth\n", "ferry: excuse")
		}, []string{"waivers line 2", "state/depth", "reason"}},
		{"code that does not compile", func(p *project) {
			p.commitFile("cmd/ferry/leak.go", "package main\n\nvar hole int = \"wide\"\n", "ferry: bore a hole")
		}, []string{"cannot build ferry for", "leak.go"}},
		{"a broken clause", func(p *project) { p.commit("ferry: sail"); p.Judge = judging(p.t, broken) },
			[]string{"cannot certify ferry for", "1 of 2", "state/depth: it sank"}},
		{"a leak", func(p *project) {
			p.commit("ferry: sail")
			p.Judge = leaking(p.t, passing, `{"scenarios":[{"name":"crossing","findings":[{"scenario":"crossing","kind":"mount","name":"/tmp/hull"}]}]}`)
		}, []string{"cannot certify ferry for", "it left 1 things behind", "/tmp/hull"}},
		{"a leak check that looked at nothing", func(p *project) { p.commit("ferry: sail"); p.Judge = leaking(p.t, passing, `{}`) },
			[]string{"cannot certify", "no scenario"}},
		{"a judge that says nothing", func(p *project) {
			p.commit("ferry: sail")
			p.Judge = func(string) (string, error) { return "/bin/false", nil }
		}, []string{"cannot certify", "no report"}},
		{"a report without checks", func(p *project) { p.commit("ferry: sail"); p.Judge = judging(p.t, `{"results":[]}`) },
			[]string{"cannot certify", "no check"}},
		{"no key file", func(p *project) { p.t.Setenv("FERRY_SIGNING_KEY_FILE", "/nowhere/key.asc") }, []string{"/nowhere/key.asc"}},
		{"a file that is no key", func(p *project) {
			p.t.Setenv("FERRY_SIGNING_KEY_FILE", p.path("go.mod"))
		}, []string{"go.mod"}},
		{"two keys", func(p *project) { p.t.Setenv("FERRY_SIGNING_KEY_GPG", "ABCD") }, []string{"FERRY_SIGNING_KEY_FILE and FERRY_SIGNING_KEY_GPG", "unset"}},
		{"a locked key", func(p *project) {
			p.t.Setenv("FERRY_SIGNING_KEY_FILE", newKeyFile(p.t, p.now, 0, "secret"))
		}, []string{"locked"}},
		{"a wrong passphrase", func(p *project) {
			p.t.Setenv("FERRY_SIGNING_KEY_FILE", newKeyFile(p.t, p.now, 0, "secret"))
			p.t.Setenv("FERRY_SIGNING_PASSPHRASE", "public")
		}, []string{"passphrase"}},
		{"an expired key", func(p *project) {
			p.t.Setenv("FERRY_SIGNING_KEY_FILE", newKeyFile(p.t, p.now.Add(-time.Hour), time.Minute, ""))
		}, []string{"expired"}},
		{"a key that gpg-agent lacks", func(p *project) {
			p.t.Setenv("FERRY_SIGNING_KEY_FILE", "")
			p.t.Setenv("FERRY_SIGNING_KEY_GPG", "0000000000000000000000000000000000000000")
			p.t.Setenv("GNUPGHOME", p.t.TempDir())
		}, []string{"0000000000000000000000000000000000000000"}},
		{"another key than the repository's", func(p *project) { p.commit("ferry: sail"); p.useKey() }, []string{"cannot continue the repository", "hint: sign with the key"}},
		{"no key where there was one", func(p *project) {
			p.commit("ferry: sail")
			p.t.Setenv("FERRY_SIGNING_KEY_FILE", "")
		}, []string{"cannot continue the repository", "hint: sign with the key"}},
		{"no room for results", func(p *project) {
			must(p.t, os.WriteFile(filepath.Join(p.dir, "dist", "1.0.1"), nil, 0o644))
			p.commit("ferry: sail")
			p.tag("v1.0.1")
		}, []string{"1.0.1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if strings.Contains(c.name, "leak") && os.Geteuid() != 0 {
				t.Skip("the leak check needs root")
			}
			p := sound.copy(t)
			before := hashOf(t, p.apt())
			c.spoil(p)
			_, err := p.Run(t.Context())
			wantError(t, err, c.words...)
			if after := hashOf(t, p.apt()); after != before || before == "" {
				t.Errorf("the repository was\n%s\nand is\n%s", before, after)
			}
		})
	}
}

// copy is the project with all that it has released, in another place, for a test that spoils it.
func (p *project) copy(t *testing.T) *project {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "copy")
	if out, err := exec.Command("cp", "-a", p.dir, dir).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v %s", err, out)
	}
	q := &project{testRepo: &testRepo{t: t, dir: dir, now: p.now}, Pipeline: p.Pipeline}
	q.Repo, q.Out = dir, &q.out
	return q
}

func TestWaivedCheckIsCountedWithItsReasonAndTheRestStillStops(t *testing.T) {
	p := newProject(t)
	p.useKey()
	p.Config.Waivers = "release/waivers"
	p.Judge = judging(t, broken)
	p.commitFile("release/waivers", "# what is known\nstate/d.* the hull is a matter of issue 7\n", "ferry: excuse")
	p.release()
	for _, want := range []string{"1 checks passed, 0 failed, 1 waived, 0 skipped", "1 waived: the hull is a matter of issue 7"} {
		if !strings.Contains(p.out.String(), want) {
			t.Errorf("the release does not say %q:\n%s", want, p.out.String())
		}
	}
	p.commitFile("release/waivers", "state/dep the hull is a matter of issue 7\n", "ferry: excuse less")
	_, err := p.Run(t.Context())
	wantError(t, err, "state/depth: it sank")
}

// releaseHere is run by the tests that need another user or another file system: in a child, which is this test binary.
const releaseHere = "RELEASE_TEST_CHILD"

func TestChildReleases(t *testing.T) {
	if os.Getenv(releaseHere) == "" {
		t.Skip("it is a part of other tests")
	}
	dist := os.Getenv(releaseHere)
	if size := os.Getenv("RELEASE_TEST_TMPFS"); size != "" {
		must(t, syscall.Mount("tmpfs", dist, "tmpfs", 0, "size="+size))
	}
	config := Config{Name: "Ferry", Commands: []Command{{Name: "ferry", Package: "./cmd/ferry"}}, Archs: []string{"amd64"}, Runtime: "none",
		RepoName: "ferry", Origin: "Ferry", Label: "Ferry", Suite: "stable", Codename: "stable", Component: "main", ValidDays: 30,
		KeyEnv: "FERRY_SIGNING_"}
	_, err := Pipeline{Config: config, Repo: os.Getenv("RELEASE_TEST_REPO"), Dist: dist, Out: os.Stdout, NoApt: true, NoMachines: true}.Run(t.Context())
	if err == nil {
		t.Fatal("it succeeded")
	}
	fmt.Printf("refused: %v\n", err)
	if left := hashOf(t, filepath.Join(dist, "apt")); left != "" {
		t.Errorf("it published\n%s", left)
	}
}

func (p *project) child(dist string, attr *syscall.SysProcAttr, env ...string) string {
	p.t.Helper()
	self := os.Args[0]
	if p.self != "" {
		self = p.self
	}
	cmd := exec.Command(self, "-test.run=^TestChildReleases$", "-test.v")
	cmd.Env = append(os.Environ(), append(env, releaseHere+"="+dist, "RELEASE_TEST_REPO="+p.dir)...)
	cmd.SysProcAttr = attr
	out, err := cmd.CombinedOutput()
	if err != nil {
		p.t.Fatalf("%v\n%s", err, out)
	}
	_, refused, _ := strings.Cut(string(out), "refused: ")
	return refused
}

func TestFullDiskStopsTheRelease(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, for a small tmpfs")
	}
	p := newProject(t)
	p.useKey()
	attr := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Unshareflags: syscall.CLONE_NEWNS}
	for _, size := range []string{"64k", "2m"} { // too small for a binary, too small for the packages besides
		refused := p.child(t.TempDir(), attr, "RELEASE_TEST_TMPFS="+size)
		wantError(t, errors.New(refused), "no space left on device")
	}
}

func TestFolderThatCannotBeWrittenStopsTheRelease(t *testing.T) {
	p := newProject(t)
	p.useKey()
	dist := t.TempDir()
	must(t, os.Chmod(dist, 0o555))
	if os.Geteuid() != 0 {
		p.Dist = dist
		_, err := p.Run(t.Context())
		wantError(t, err, "permission denied", "hint: release into a folder you may write to")
		return
	}
	self := filepath.Join(p.dir, "self")
	must(t, copyExecutable(os.Args[0], self))
	for _, dir := range []string{p.dir, filepath.Dir(p.dir), filepath.Dir(dist)} {
		must(t, os.Chmod(dir, 0o755))
	}
	p.self = self
	refused := p.child(dist, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}, "HOME="+t.TempDir())
	wantError(t, errors.New(refused), "permission denied", "hint: release into a folder you may write to")
}
