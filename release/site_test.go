package release

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// withOrigin gives the project a remote repository.
func withOrigin(t *testing.T) (p *project, origin testRepo) {
	t.Helper()
	p = newProject(t)
	p.useKey()
	origin = testRepo{t: t, dir: t.TempDir(), now: p.now}
	origin.git("init", "--quiet", "--bare")
	p.git("remote", "add", "origin", origin.dir)
	p.tag("v1.0.0")
	return p, origin
}

// Each release is made from nothing but a clone: what is published comes from the site, and goes back there.
func TestSiteIsContinuedByTheNextRelease(t *testing.T) {
	p, origin := withOrigin(t)
	must(t, p.FetchSite())
	p.release()
	must(t, p.PushSite())
	published := hashOf(t, p.apt())
	must(t, p.PushSite()) // again
	if n := origin.git("rev-list", "--count", "site"); n != "1" {
		t.Errorf("two pushes of one release are %s commits", n)
	}

	must(t, os.RemoveAll(filepath.Join(p.dir, "dist")))
	p.commit("ferry: sail faster")
	p.tag("v1.1.0")
	must(t, p.FetchSite())
	if got := hashOf(t, p.apt(), siteMark); got != published {
		t.Errorf("fetched is\n%s\npublished was\n%s", got, published)
	}
	p.release()
	must(t, p.PushSite())
	if log := origin.git("log", "--format=%an: %s", "site"); log != "Ferry Crew: apt: publish 1.1.0\nFerry Crew: apt: publish 1.0.0" {
		t.Errorf("the site's history is\n%s", log)
	}
	files := origin.git("ls-tree", "-r", "--name-only", "site")
	for _, want := range []string{siteMark, "dists/stable/InRelease", "pool/main/f/ferry/ferry_1.0.0-1_", "pool/main/f/ferry/ferry_1.1.0-1_"} {
		if !strings.Contains(files, want) {
			t.Errorf("the site lacks %s:\n%s", want, files)
		}
	}
	if state := p.git("status", "--porcelain"); state != "" {
		t.Errorf("the work tree was changed: %s", state)
	}
}

func TestSiteRefusesWhatWouldLoseOrBreakWhatIsPublished(t *testing.T) {
	p, origin := withOrigin(t)
	p.release()
	wantError(t, p.PushSite(), "cannot push what is published", "hint:", "fetch")
	wantError(t, p.FetchSite(), "cannot fetch what is published", "is there already", "hint:")
	must(t, os.RemoveAll(filepath.Join(p.dir, "dist")))
	must(t, p.FetchSite())
	p.release()

	broken := p.copy(t)
	flip(t, broken.apt(), "pool/*/*/*/*.deb")
	wantError(t, broken.PushSite(), "cannot push what is published", "ferry")

	other := p.copy(t)
	must(t, p.PushSite())
	before := origin.git("rev-parse", "site")
	other.commit("ferry: sail elsewhere")
	other.tag("v1.0.1")
	other.release()
	wantError(t, other.PushSite(), "another one was published meanwhile", "hint:")
	if origin.git("rev-parse", "site") != before {
		t.Error("the site was changed")
	}
	p.git("remote", "set-url", "origin", filepath.Join(t.TempDir(), "nowhere"))
	must(t, os.RemoveAll(p.apt()))
	wantError(t, p.FetchSite(), "cannot fetch what is published", "nowhere")
}

// The command gh is a stand-in that writes down what it is asked.
func TestAttachGivesTheSignedFilesToTheTagsRelease(t *testing.T) {
	p := newProject(t)
	p.useKey()
	bin := t.TempDir()
	log := filepath.Join(bin, "log")
	must(t, os.WriteFile(filepath.Join(bin, "gh"), []byte("#!/bin/sh\necho \"$@\" >>"+log+"\n[ \"$2\" != view ] || [ -e "+bin+"/made ]\n"), 0o755))
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	p.release()
	wantError(t, p.Attach(t.Context()), "cannot attach the files", "snapshot")
	p.commit("ferry: sail")
	p.tag("v1.0.0")
	p.release()
	must(t, p.Attach(t.Context()))
	must(t, os.WriteFile(filepath.Join(bin, "made"), nil, 0o644))
	must(t, p.Attach(t.Context()))
	folder := filepath.Join(p.dir, "dist", "1.0.0")
	asked, err := os.ReadFile(log)
	must(t, err)
	lines := strings.Split(strings.TrimSpace(string(asked)), "\n")
	if len(lines) != 4 || !strings.HasPrefix(lines[1], "release create v1.0.0 --verify-tag --title v1.0.0 --notes-file "+folder+"/RELEASE_NOTES.md ") ||
		!strings.HasPrefix(lines[3], "release upload v1.0.0 --clobber ") {
		t.Fatalf("gh was asked\n%s", asked)
	}
	made, err := os.ReadDir(folder)
	must(t, err)
	for _, file := range made {
		for _, line := range []string{lines[1], lines[3]} {
			if hidden := strings.HasPrefix(file.Name(), "."); strings.Contains(line+" ", "/"+file.Name()+" ") == hidden {
				t.Errorf("%s is attached: %v, by %s", file.Name(), hidden, line)
			}
		}
	}
	f, err := os.OpenFile(filepath.Join(folder, changelogName), os.O_APPEND|os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteString("x")
	must(t, errors.Join(err, f.Close()))
	wantError(t, p.Attach(t.Context()), "changelog has changed since it was signed")
}

func TestOfficialReleaseIsNotSignedWithAThrowawayKey(t *testing.T) {
	p := newProject(t)
	p.Official = true
	_, err := p.Run(t.Context())
	wantError(t, err, "cannot sign an official release", "FERRY_SIGNING_KEY_FILE")
	if hashOf(t, p.apt()) != "" {
		t.Error("it published")
	}
	p.useKey()
	p.release()
}
