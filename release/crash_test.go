package release

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/berth-oci/berth/aptrepo"
	"github.com/berth-oci/berth/aptrepo/aptroot"
)

// steppingIn names the work tree of the small project in a child of the tests (this test binary), which releases it and before
// each step of the publish says which it is and waits for a byte.
const steppingIn = "RELEASE_TEST_STEPPING"

// releaseStepwise is the child.
func releaseStepwise(repo string) error {
	judge := os.Getenv(steppingIn + "_JUDGE")
	p := Pipeline{
		Config: ferry(), Repo: repo, Out: io.Discard, NoMachines: true, NoApt: true,
		Judge: func(string) (string, error) { return judge, nil },
		into:  func(dir string) aptrepo.Destination { return &stepwise{aptrepo.Directory(dir)} },
	}
	if stage := os.Getenv(steppingIn + "_STAGE"); stage != "" {
		return p.Stage(context.Background(), stage)
	}
	_, err := p.Run(context.Background())
	return err
}

// stepwise is a destination that asks before and after every step, and in the middle of every file.
type stepwise struct{ aptrepo.Destination }

func ask(moment string) {
	fmt.Println(moment)
	if _, err := os.Stdin.Read(make([]byte, 1)); err != nil {
		os.Exit(3)
	}
}

func (s *stepwise) Stage(path string, content io.Reader) error {
	ask("before storing " + path)
	return s.Destination.Stage(path, &halting{Reader: content, path: path})
}

func (s *stepwise) Commit(path string) error {
	ask("before showing " + path)
	err := s.Destination.Commit(path)
	ask("after showing " + path)
	return err
}

func (s *stepwise) Sync() error {
	ask("before writing out")
	return s.Destination.Sync()
}

func (s *stepwise) Remove(path string) error {
	ask("before removing " + path)
	return s.Destination.Remove(path)
}

// halting gives the first bytes of a file, and asks before it gives the rest.
type halting struct {
	io.Reader
	path  string
	asked bool
	begun bool
}

func (h *halting) Read(b []byte) (int, error) {
	if !h.begun {
		h.begun = true
		return h.Reader.Read(b[:min(len(b), 100)])
	}
	if !h.asked {
		h.asked = true
		ask("in the middle of " + h.path)
	}
	return h.Reader.Read(b)
}

// publisher is the child as its parent sees it.
type publisher struct {
	t       *testing.T
	cmd     *exec.Cmd
	answer  io.WriteCloser
	moments *bufio.Scanner
	said    strings.Builder
}

// publishing starts the release, or one stage of it, in a process of its own.
func (p *project) publishing(stage string) *publisher {
	p.t.Helper()
	judge, err := p.Judge("")
	must(p.t, err)
	c := &publisher{t: p.t, cmd: exec.Command(os.Args[0])}
	c.cmd.Env = append(os.Environ(), steppingIn+"="+p.dir, steppingIn+"_STAGE="+stage, steppingIn+"_JUDGE="+judge)
	c.cmd.Stderr = &c.said
	c.answer, err = c.cmd.StdinPipe()
	must(p.t, err)
	out, err := c.cmd.StdoutPipe()
	must(p.t, err)
	c.moments = bufio.NewScanner(out)
	must(p.t, c.cmd.Start())
	p.t.Cleanup(func() {
		if c.cmd.ProcessState == nil {
			_ = c.cmd.Process.Kill()
			_ = c.cmd.Wait()
		}
	})
	return c
}

// next waits until the child has come to its next moment, and tells which. There is none once the child has ended.
func (c *publisher) next() (moment string, there bool) {
	there = c.moments.Scan()
	return c.moments.Text(), there
}

func (c *publisher) goOn() {
	c.t.Helper()
	_, err := c.answer.Write([]byte("\n"))
	must(c.t, err)
}

// finish lets the child go through all its moments, and wants it to succeed.
func (c *publisher) finish() {
	c.t.Helper()
	for _, there := c.next(); there; _, there = c.next() {
		c.goOn()
	}
	if err := c.cmd.Wait(); err != nil {
		c.t.Fatalf("%v: %s", err, c.said.String())
	}
}

// killAt lets the child come to a moment, and no further.
func (c *publisher) killAt(n int, want string) {
	c.t.Helper()
	for range n {
		if moment, there := c.next(); !there {
			c.t.Fatalf("it ended after %q: %s", moment, c.said.String())
		}
		c.goOn()
	}
	if moment, _ := c.next(); moment != want {
		c.t.Fatalf("moment %d is %q, and was %q in the first run: %s", n, moment, want, c.said.String())
	}
	must(c.t, c.cmd.Process.Signal(syscall.SIGKILL))
	var exit *exec.ExitError
	if err := c.cmd.Wait(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		c.t.Fatalf("it was not killed: %v", err)
	}
}

// offered reads the published repository as apt does, from its signature down to the bytes of each package, and returns the
// version that apt would install.
func (p *project) offered() string {
	p.t.Helper()
	report, err := aptrepo.Verify(aptrepo.Directory(p.apt()), aptrepo.Check{Codename: "stable", Keyring: p.key().Public(), Now: time.Now()})
	if err != nil {
		p.t.Fatal(err)
	}
	newest := ""
	for _, one := range report.Packages {
		if one.Name == "ferry" && (newest == "" || aptrepo.CompareVersions(one.Version, newest) > 0) {
			newest = one.Version
		}
	}
	return newest
}

// installs lets the real apt install from the repository as it is.
func (p *project) installs(want string) {
	p.t.Helper()
	address, _, err := fromFile(p.apt())
	must(p.t, err)
	root, err := aptroot.New(p.t.TempDir(), "", (&work{Pipeline: p.Pipeline, signer: signer{Signer: p.key()}}).source(address))
	must(p.t, err)
	for _, step := range []func() (*aptroot.Result, error){root.Update, func() (*aptroot.Result, error) { return root.Install("ferry") }} {
		if result, err := step(); err != nil {
			p.t.Fatalf("%v\n%s", err, result.Output)
		}
	}
	if got, err := root.Version("ferry"); err != nil || got != want {
		p.t.Errorf("apt installed %q (%v), want %s", got, err, want)
	}
}

// keptFor are the lines of hashOf whose files a publish may not change: whoever holds an older InRelease asks for the pool and by hash.
// Until the new InRelease is shown, the old one is among them.
func keptFor(listing string, old bool) []string {
	return slices.DeleteFunc(strings.Split(strings.TrimSpace(listing), "\n"), func(line string) bool {
		return !strings.Contains(line, " pool/") && !strings.Contains(line, "/by-hash/") && !(old && strings.HasSuffix(line, "/InRelease"))
	})
}

// watched is a publish that nobody killed: what there was to read at each of its moments, and what it left.
type watched struct {
	base              *project // before it
	moments, versions []string
	turn              int // the first moment of the new repository
	left              string
}

// watch publishes a newer version over an older one, in a copy of base.
func watch(t *testing.T, base *project) watched {
	t.Helper()
	w := watched{base: base}
	p := base.copy(t)
	child := p.publishing("")
	for moment, there := child.next(); there; moment, there = child.next() {
		w.moments, w.versions = append(w.moments, moment), append(w.versions, p.offered())
		child.goOn()
	}
	child.finish()
	w.turn = slices.Index(w.moments, "after showing dists/stable/InRelease")
	if len(w.moments) < 40 || w.turn < 0 {
		t.Fatalf("the moments are %q", w.moments)
	}
	for i, version := range w.versions {
		if want := map[bool]string{true: "1.0.0-1", false: "1.1.0-1"}[i < w.turn]; version != want {
			t.Errorf("%s, the repository offers %s, want %s", w.moments[i], version, want)
		}
	}
	w.left = hashOf(t, filepath.Join(p.dir, "dist"), ".lock")
	return w
}

// kills are some of the moments, at least ten: all over the publish, in the middle of files, and just before and after the one that counts.
func (w watched) kills(t *testing.T) []int {
	t.Helper()
	kills := []int{w.turn - 1, w.turn}
	for _, half := range []string{"in the middle of pool/", "in the middle of dists/stable/InRelease"} {
		kills = append(kills, slices.IndexFunc(w.moments, func(m string) bool { return strings.HasPrefix(m, half) }))
	}
	const spread = 9
	for i := range spread {
		kills = append(kills, i*(len(w.moments)-1)/(spread-1))
	}
	slices.Sort(kills)
	if kills = slices.Compact(kills); kills[0] < 0 || len(kills) < 10 {
		t.Fatalf("the moments to be killed at are %v of %q", kills, w.moments)
	}
	return kills
}

// killedAt kills the same publish at a moment, in another copy, and runs it again: the whole release or the stage alone.
func (w watched) killedAt(t *testing.T, n int, byApt, whole bool) {
	t.Log(w.moments[n])
	p := w.base.copy(t)
	before := hashOf(t, p.apt())
	p.publishing("publish").killAt(n, w.moments[n])
	if got := p.offered(); got != w.versions[n] {
		t.Errorf("the repository offers %q, and offered %q when nobody was killed", got, w.versions[n])
	}
	after := hashOf(t, p.apt())
	for _, line := range keptFor(before, n < w.turn) {
		if !strings.Contains(after, line+"\n") {
			t.Errorf("gone or changed: %s", line)
		}
	}
	if byApt {
		p.installs(w.versions[n])
	}
	p.publishing(map[bool]string{true: "", false: "publish"}[whole]).finish()
	if got := hashOf(t, filepath.Join(p.dir, "dist"), ".lock"); got != w.left {
		t.Errorf("after the rerun there is\n%s\nwant\n%s", got, w.left)
	}
}

// The release is a process of its own, stopped at a moment of its publish and killed there by another process. An older release is
// published already. At every moment, killed or not, apt's way of reading finds the old repository whole or the new one; apt itself
// installs from what a kill has left; and the same release, run again, leaves what one that nobody killed leaves.
func TestKillAtAnyMomentOfTheReleasesPublishLeavesAWholeRepositoryAndARerunCompletes(t *testing.T) {
	base := newProject(t)
	base.useKey()
	t.Setenv("SOURCE_DATE_EPOCH", fmt.Sprint(time.Now().Unix())) // the same dates in every process
	base.tag("v1.0.0")
	base.release()
	base.commit("ferry: sail faster")
	base.tag("v1.1.0")
	for _, stage := range []string{"build", "certify", "deb", "sign"} {
		must(t, base.Stage(t.Context(), stage))
	}
	w := watch(t, base)
	apt := aptroot.Available() == nil // else the skip is counted by the tests of apt
	for i, n := range w.kills(t) {
		last := n == w.turn-1
		t.Run(fmt.Sprintf("moment %d of %d", n, len(w.moments)), func(t *testing.T) {
			w.killedAt(t, n, apt && (i%4 == 0 || last || n == w.turn), last)
		})
	}
}
