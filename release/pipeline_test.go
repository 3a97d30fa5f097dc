package release

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/berth-oci/berth/aptrepo"
	"github.com/berth-oci/berth/aptrepo/aptroot"
	"github.com/berth-oci/berth/signing"
)

// project is a small project that is released whole: its repository, and a Pipeline of its own configuration. Only the
// conformance suite is a stand-in, a script that says what the test wants.
type project struct {
	*testRepo
	out  bytes.Buffer
	self string // this test binary where another user may execute it
	Pipeline
}

const ferryControl = `Source: ferry
Section: admin
Priority: optional
Maintainer: Ferry Crew <crew@example.org>
Homepage: https://example.org/ferry

Package: ferry
Architecture: amd64 arm64
Description: crosses the water
 From one side to the other.

Package: ferry-archive-keyring
Architecture: all
Description: keys of the ferry archive
 What apt checks its signatures with.
`

const ferryMain = `package main

import ("fmt"; "os")

var version, commit string

func main() {
	if len(os.Args) == 2 && os.Args[1] == "--version" {
		fmt.Printf("ferry version %s\ncommit: %s\n", version, commit)
		return
	}
	fmt.Println("ferry")
}
`

// passing is a judge that finds nothing wrong.
const passing = `{"results":[{"name":"lifecycle/crossing","outcome":"pass"},{"name":"state/depth","outcome":"skip","reasons":["needs root"]}]}`

func newProject(t *testing.T) *project {
	t.Helper()
	p := &project{testRepo: newRepo(t)}
	for name, text := range map[string]string{
		"go.mod":                                       "module example.org/ferry\n\ngo 1.26\n",
		".gitignore":                                   "/dist/\n",
		"cmd/ferry/main.go":                            ferryMain,
		"release/debian/control":                       ferryControl,
		"release/debian/copyright":                     "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: Ferry\n\nFiles: *\nCopyright: 2026 Ferry Crew\nLicense: Expat\n\nLicense: Expat\n Do as you like.\n",
		"release/debian/copyright.golang":              "Files: vendor/std/*\nCopyright: 2009 The Go Authors\nLicense: BSD-3-clause\n",
		"release/debian/ferry.install":                 "built/ferry usr/bin\n",
		"release/debian/ferry-archive-keyring.install": "archive/ferry-archive-keyring.gpg usr/share/keyrings\n",
	} {
		p.write(name, text)
	}
	p.git("add", "-A")
	p.git("commit", "-q", "-m", "ferry: launch")
	p.Pipeline = Pipeline{
		Repo: p.dir, Out: &p.out, NoMachines: true, NoApt: true, Judge: judging(t, passing),
		Config: ferry(),
	}
	p.forgetKeys()
	return p
}

// ferry is the small project's configuration.
func ferry() Config {
	return Config{
		Name: "Ferry", Commands: []Command{{Name: "ferry", Package: "./cmd/ferry", VersionVar: "main.version", CommitVar: "main.commit"}},
		Archs: []string{runtime.GOARCH}, Runtime: "ferry", RepoName: "ferry",
		Origin: "Ferry", Label: "Ferry", Suite: "stable", Codename: "stable", Component: "main",
		Description: "Ferries", URL: "https://example.org/apt", Site: "site", ValidDays: 30, KeyEnv: "FERRY_SIGNING_",
	}
}

// forgetKeys hides the keys of whoever runs the tests.
func (p *project) forgetKeys() {
	p.t.Helper()
	for _, suffix := range []string{"KEY", "KEY_FILE", "KEY_GPG", "PASSPHRASE", "PASSPHRASE_FILE"} {
		p.t.Setenv(p.Config.KeyEnv+suffix, "")
	}
}

// judging is a conformance suite that always gives this report, and finds no leak.
func judging(t *testing.T, report string) func(string) (string, error) {
	t.Helper()
	return leaking(t, report, `{"scenarios":[{"name":"crossing"}]}`)
}

// leaking is a conformance suite that always gives these two reports.
func leaking(t *testing.T, report, leaks string) func(string) (string, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "judge")
	text := "#!/bin/sh\ncase $1 in\nrun) echo '" + report + "';;\nleak) echo '" + leaks + "';;\nesac\n"
	must(t, os.WriteFile(path, []byte(text), 0o755))
	return func(string) (string, error) { return path, nil }
}

// useKey makes a key that is older than every commit, and has the project sign with it.
func (p *project) useKey() {
	p.t.Helper()
	p.t.Setenv(p.Config.KeyEnv+"KEY_FILE", newKeyFile(p.t, p.now.Add(-24*time.Hour), 0, ""))
}

func newKeyFile(t *testing.T, born time.Time, life time.Duration, passphrase string) string {
	t.Helper()
	key, err := signing.Generate("Ferry", "crew@example.org", born, life)
	must(t, err)
	secret, err := key.Secret(passphrase)
	must(t, err)
	path := filepath.Join(t.TempDir(), "key.asc")
	must(t, os.WriteFile(path, secret, 0o600))
	return path
}

func (p *project) release() Verified {
	p.t.Helper()
	v, err := p.Run(p.t.Context())
	if err != nil {
		p.t.Fatalf("%v\n%s", err, p.out.String())
	}
	return v
}

// onlyTree runs all but the last two stages, which do not depend on the date: the repository as it would be published.
func (p *project) onlyTree() *aptrepo.Tree {
	p.t.Helper()
	w, err := p.begin()
	must(p.t, err)
	defer w.end()
	v, err := w.version()
	must(p.t, err)
	must(p.t, w.readyToSign(v))
	written, err := w.write(v)
	must(p.t, err)
	built, err := w.build(p.t.Context(), written)
	must(p.t, err)
	proven, err := w.certify(p.t.Context(), built)
	must(p.t, err)
	packed, err := w.pack(proven)
	must(p.t, err)
	signed, err := w.sign(packed)
	must(p.t, err)
	tree, err := w.tree(signed)
	must(p.t, err)
	return tree.Repository
}

func (p *project) apt() string { return filepath.Join(p.dir, "dist", "apt") }

// hashOf is one line per file below dir: mode, sum, path. A folder that is not there has none.
func hashOf(t *testing.T, dir string, except ...string) string {
	t.Helper()
	var lines strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || slices.Contains(except, d.Name()) {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		info, err := d.Info()
		rel, _ := filepath.Rel(dir, path)
		fmt.Fprintf(&lines, "%s %x %s\n", info.Mode(), sha256.Sum256(data), rel)
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return lines.String()
}

func TestReleaseGoesFromSourceToRepositoryThatAptInstallsFrom(t *testing.T) {
	p := newProject(t)
	p.Config.Archs = []string{"amd64", "arm64"}
	p.NoApt = false
	v := p.release()
	said := p.out.String()
	for _, want := range []string{
		"NO SIGNING KEY WAS GIVEN", "UNOFFICIAL",
		"ferry_linux_amd64", "ferry_linux_arm64", "SHA256SUMS.asc", "ferry-archive-keyring_",
		"ferry for " + runtime.GOARCH + ": 1 checks passed, 0 failed, 0 waived, 1 skipped", map[bool]string{true: "nothing left behind in 1 scenarios", false: "LEAKS NOT LOOKED FOR: the leak check needs root"}[os.Geteuid() == 0], "1 skipped: needs root",
		": NOT TRIED: ",
		"read back as apt reads: 3 packages", "apt-get install ferry\n",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("the release does not say %q:\n%s", want, said)
		}
	}
	if !strings.HasSuffix(said, "apt-get update\napt-get install ferry\n") {
		t.Errorf("the summary does not end with the lines to paste:\n%s", said)
	}
	if aptroot.Available() == nil && (len(v.NotTried) != 0 || !strings.Contains(said, ", "+runtime.GOARCH+": installs ferry=")) {
		t.Errorf("apt is here and was not used: %v\n%s", v.NotTried, said)
	}
	page, err := os.ReadFile(filepath.Join(p.apt(), "index.html"))
	must(t, err)
	if !bytes.Contains(page, []byte("throwaway")) {
		t.Error("the page of an unofficial repository does not say so")
	}
	if info, err := os.Stat(filepath.Join(p.dir, "dist", throwawayName)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the throwaway key can be read by others: %v %v", info, err)
	}
}

// The lines a user pastes are run, with the two folders of the system they write to replaced.
func TestPastedLinesMakeAptFindTheRepository(t *testing.T) {
	if err := aptroot.Available(); err != nil {
		t.Skip(err)
	}
	p := newProject(t)
	p.Dist = filepath.Join(t.TempDir(), "it's a $folder; with `signs`")
	p.release()
	_, lines, _ := strings.Cut(p.out.String(), "as root on Debian or Ubuntu:\n\n")
	system := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(system, "sources.list.d"), 0o755))
	lines, apt, _ := strings.Cut(lines, "apt-get update\n")
	if apt != "apt-get install ferry\n" {
		t.Errorf("the lines end with %q", apt)
	}
	lines = strings.NewReplacer("/usr/share/keyrings", system, "/etc/apt", system).Replace(lines)
	if out, err := exec.Command("sh", "-c", lines).CombinedOutput(); err != nil {
		t.Fatalf("the lines do not run: %v %s\n%s", err, out, lines)
	}
	source, err := os.ReadFile(filepath.Join(system, "sources.list.d", "ferry.sources"))
	must(t, err)
	root, err := aptroot.New(t.TempDir(), "", string(source))
	must(t, err)
	if _, err := root.Update(); err != nil {
		t.Errorf("apt does not read the repository: %v\n%s", err, source)
	}
}

func TestPlanChangesNothingAndSaysTheSameVersion(t *testing.T) {
	p := newProject(t)
	p.useKey()
	before := hashOf(t, p.dir)
	must(t, p.Plan(t.Context(), ""))
	if after := hashOf(t, p.dir); after != before {
		t.Errorf("the plan changed files:\n%s\nwas:\n%s", after, before)
	}
	plan := p.out.String()
	p.out.Reset()
	p.release()
	version, _, _ := strings.Cut(plan, "\n")
	if !strings.HasPrefix(p.out.String(), version+"\n") {
		t.Errorf("the plan begins with %q, the release with %q", version, firstLine(p.out.String()))
	}
	for _, stage := range Stages[1:] {
		if !strings.Contains(plan, "\n"+stage+" ") {
			t.Errorf("the plan does not tell of the stage %s:\n%s", stage, plan)
		}
	}
}

func TestTwoReleasesOfOneCommitAreTheSameFiles(t *testing.T) {
	p := newProject(t)
	p.Config.Archs = []string{"amd64", "arm64"}
	p.useKey()
	p.tag("v1.0.0")
	p.release()

	q := *p
	q.Pipeline.Repo = filepath.Join(t.TempDir(), "elsewhere")
	p.git("clone", "-q", p.dir, q.Pipeline.Repo)
	t.Setenv("TZ", "Pacific/Kiritimati")
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	_, err := q.Pipeline.Run(t.Context())
	must(t, err)

	first, second := hashOf(t, filepath.Join(p.dir, "dist"), ".lock"), hashOf(t, filepath.Join(q.Pipeline.Repo, "dist"), ".lock")
	if first != second {
		t.Errorf("one release is\n%s\nthe other\n%s", first, second)
	}
	if strings.Count(first, "\n") < 20 {
		t.Errorf("too few files for a release:\n%s", first)
	}
}

func TestRerunChangesNoByteOfTheRepository(t *testing.T) {
	p := newProject(t)
	p.useKey()
	p.tag("v1.0.0")
	p.release()
	before := hashOf(t, p.apt())
	p.Now = time.Now().Add(24 * time.Hour) // another day
	p.release()
	if after := hashOf(t, p.apt()); after != before {
		t.Errorf("the rerun left\n%s\nthere was\n%s", after, before)
	}
}

func TestOldCommitGetsDatesThatAptBelieves(t *testing.T) {
	p := newProject(t)
	p.useKey()
	p.Now = p.now.Add(400 * 24 * time.Hour)
	v := p.onlyTree()
	if left := v.Release.ValidUntil.Sub(p.Now); left < 20*24*time.Hour {
		t.Errorf("it is valid for %v from now", left)
	}
	if v.Release.Date.After(p.Now) {
		t.Errorf("its date %v is after %v", v.Release.Date, p.Now)
	}
}

func TestSourceDateEpochPinsTheDatesForEver(t *testing.T) {
	p := newProject(t)
	p.useKey()
	t.Setenv("SOURCE_DATE_EPOCH", fmt.Sprint(p.now.Add(time.Hour).Unix()))
	var trees []string
	for _, clock := range []time.Time{p.now.Add(2 * time.Hour), p.now.Add(90 * 24 * time.Hour)} {
		p.Now = clock
		trees = append(trees, string(p.onlyTree().InRelease().Data))
	}
	if trees[0] != trees[1] {
		t.Errorf("InRelease is\n%s\nand later\n%s", trees[0], trees[1])
	}
	t.Setenv("SOURCE_DATE_EPOCH", "yesterday")
	_, err := p.Run(t.Context())
	wantError(t, err, "SOURCE_DATE_EPOCH", "yesterday")
}

func TestUpgradeGoesFromTheOlderReleaseToTheNewer(t *testing.T) {
	if err := aptroot.Available(); err != nil {
		t.Skip(err)
	}
	p := newProject(t)
	p.useKey()
	p.tag("v1.0.0")
	p.release()
	address, _, _ := fromFile(p.apt())
	root, err := aptroot.New(t.TempDir(), "", (&work{Pipeline: p.Pipeline, signer: signer{Signer: p.key()}}).source(address))
	must(t, err)
	for _, step := range []func() (*aptroot.Result, error){root.Update, func() (*aptroot.Result, error) { return root.Install("ferry") }} {
		_, err := step()
		must(t, err)
	}
	p.commit("ferry: sail faster")
	p.tag("v1.1.0")
	p.release()
	for _, step := range []func() (*aptroot.Result, error){root.Update, root.Upgrade} {
		_, err := step()
		must(t, err)
	}
	if got, err := root.Version("ferry"); err != nil || got != "1.1.0-1" {
		t.Errorf("installed is %q (%v), want 1.1.0-1", got, err)
	}
	if _, err := root.Run("apt-get", "install", "--allow-downgrades", "ferry=1.0.0-1"); err != nil {
		t.Errorf("the older release is gone: %v", err)
	}
}

func (p *project) key() signing.Signer {
	p.t.Helper()
	s, err := signing.Load(signing.Source{File: os.Getenv(p.Config.KeyEnv + "KEY_FILE")}, time.Now())
	must(p.t, err)
	return s
}

func TestStagesOneByOneGiveWhatTheReleaseGives(t *testing.T) {
	p := newProject(t)
	p.useKey()
	p.tag("v1.0.0")
	p.release()
	want := hashOf(t, filepath.Join(p.dir, "dist"), ".lock")
	must(t, os.RemoveAll(filepath.Join(p.dir, "dist")))
	for _, stage := range Stages {
		must(t, p.Stage(t.Context(), stage))
	}
	if got := hashOf(t, filepath.Join(p.dir, "dist"), ".lock"); got != want {
		t.Errorf("the stages left\n%s\nthe release\n%s", got, want)
	}
	for _, stage := range []string{"sign", "deb", "sign", "publish", "verify"} { // and again, in another order
		must(t, p.Stage(t.Context(), stage))
	}
	if got := hashOf(t, filepath.Join(p.dir, "dist"), ".lock"); got != want {
		t.Errorf("the stages run again left\n%s\nthe release\n%s", got, want)
	}
	wantError(t, p.Stage(t.Context(), "deploy"), "deploy", "version, changes, build")
}

func TestStageRefusesWhatChangedSinceTheStageBefore(t *testing.T) {
	p := newProject(t)
	p.useKey()
	p.tag("v1.0.0")
	for _, c := range []struct{ stage, file, tampered string }{
		{"certify", "", ""}, // nothing built yet
		{"deb", "ferry_linux_" + runtime.GOARCH, "build"},
		{"sign", "ferry_1.0.0-1_" + runtime.GOARCH + ".deb", "deb"},
		{"publish", "SHA256SUMS", "sign"},
	} {
		if c.file == "" {
			wantError(t, p.Stage(t.Context(), c.stage), "build", "run that stage first")
			continue
		}
		p.release()
		before := hashOf(t, p.apt())
		f, err := os.OpenFile(filepath.Join(p.dir, "dist", "1.0.0", c.file), os.O_APPEND|os.O_WRONLY, 0)
		must(t, err)
		_, err = f.WriteString("x")
		must(t, errors.Join(err, f.Close()))
		wantError(t, p.Stage(t.Context(), c.stage), c.tampered, c.file, "has changed since")
		if hashOf(t, p.apt()) != before {
			t.Errorf("%s: the repository changed", c.stage)
		}
	}
}

func TestBinaryThatWasNotCertifiedBecomesNoPackage(t *testing.T) {
	p := newProject(t)
	p.useKey()
	must(t, p.Stage(t.Context(), "build"))
	wantError(t, p.Stage(t.Context(), "deb"), "certify", "run that stage first")
	must(t, p.Stage(t.Context(), "certify"))
	p.write("cmd/ferry/more.go", "package main\n\nfunc init() { version += \"!\" }\n")
	p.git("add", "-A")
	p.git("commit", "-q", "--amend", "--no-edit")
	wantError(t, p.Stage(t.Context(), "deb"), "has left no result")
}

// The one place where a Certified comes into being is read from the sources: certify.go.
func TestOnlyCertifyMakesCertified(t *testing.T) {
	files, err := filepath.Glob("*.go")
	must(t, err)
	made := regexp.MustCompile(`\bCertified\{[^}]`)
	found := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		must(t, err)
		if strings.HasSuffix(file, "_test.go") || !made.Match(text) {
			continue
		}
		found++
		if file != "certify.go" {
			t.Errorf("%s makes a Certified: only certify may", file)
		}
	}
	if found == 0 {
		t.Error("no file makes a Certified: this test looks for the wrong thing")
	}
}

func TestSecondReleaseIntoTheSameFolderIsTurnedAway(t *testing.T) {
	p := newProject(t)
	lock, err := lockFolder(filepath.Join(p.dir, "dist"))
	must(t, err)
	_, err = p.Run(t.Context())
	wantError(t, err, "another release", "-dist")
	must(t, lock.Close())
	p.release()
}

func TestInterruptedReleasePublishesNothing(t *testing.T) {
	p := newProject(t)
	p.useKey()
	ctx, cancel := context.WithCancel(t.Context())
	p.Judge = func(string) (string, error) { cancel(); return judging(t, passing)("") }
	_, err := p.Run(ctx)
	if err == nil {
		t.Fatal("an interrupted release succeeded")
	}
	if got := hashOf(t, p.apt()); got != "" {
		t.Errorf("it published\n%s", got)
	}
}

func TestShellQuotePassesThroughAShell(t *testing.T) {
	for _, word := range []string{"plain", "", "two words", "it's", "$HOME `id` \"x\" \\", "new\nline", "ü"} {
		out, err := exec.Command("sh", "-c", "printf %s "+shellQuote(word)).Output()
		must(t, err)
		if string(out) != word {
			t.Errorf("%q became %q", word, out)
		}
	}
}
