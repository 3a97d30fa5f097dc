package release

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"testing"
)

// TestTheLifeOfAChangelog goes from no tag through two releases, with an entry written by hand between them.
func TestTheLifeOfAChangelog(t *testing.T) {
	r := newRepo(t)
	r.commit("hull: paint it")
	r.setClock()
	v1, err := Bump(r.dir, "minor")
	must(t, err)
	if v1.SemVer != "0.1.0" || v1.Tag != "v0.1.0" || v1.Snapshot || v1.Last != "" {
		t.Fatalf("the first version is %+v", v1)
	}
	first := r.read(changelogFile)
	golden(t, "life-1", []byte(first))
	if got := r.git("for-each-ref", "--format=%(objecttype) %(taggerdate:unix) %(subject)", "refs/tags/v0.1.0"); got !=
		"tag "+r.git("log", "-1", "--format=%ct")+" ferry 0.1.0" {
		t.Errorf("the tag is %q", got)
	}
	if got := r.git("show", "--name-only", "--format=%s by %an", "HEAD"); got != "release: bump to 0.1.0 by Ada Lovelace\n\n"+changelogFile {
		t.Errorf("the commit is %q", got)
	}

	r.commit("engine: burn less")
	hand := "ferry (0.1.1-1) UNRELEASED; urgency=high\n\n  * engine: start on cold days.\n\n -- Grace Hopper <grace@example.org>  Sun, 22 Nov 2026 10:00:00 +0100\n\n"
	r.now = r.now.AddDate(0, 0, 1)
	r.commitFile(changelogFile, hand+first, "release: note the cold start")
	r.commit("engine: start on cold days.")
	snapshot, err := WriteChanges(r.dir, r.version())
	must(t, err)
	r.setClock()
	v2, err := Bump(r.dir, "v1.0.0-rc.1")
	must(t, err)
	if v2.Debian != "1.0.0~rc.1-1" || v2.Last != "v0.1.0" {
		t.Errorf("the second version is %+v", v2)
	}
	second := r.read(changelogFile)
	golden(t, "life-2", []byte(second))
	if !strings.HasSuffix(second, "\n\n"+first) || strings.Contains(second, unreleased) {
		t.Errorf("the older entries changed:\n%s", second)
	}
	c, err := WriteChanges(r.dir, v2)
	must(t, err)
	if string(c.Full) != second || !strings.HasPrefix(second, string(c.Entry)) {
		t.Errorf("the release's changelog is not the committed one:\n%s", c.Full)
	}
	if bodyOf(snapshot.Entry) != bodyOf(c.Entry) {
		t.Errorf("the snapshot said\n%s\nthe release says\n%s", snapshot.Entry, c.Entry)
	}

	r.now = r.now.AddDate(0, 0, 1)
	r.setClock()
	v3, err := Bump(r.dir, "major")
	must(t, err)
	if v3.Debian != "1.0.0-1" || !strings.Contains(r.read(changelogFile), "no change of the source") {
		t.Errorf("the third version is %+v with\n%s", v3, r.read(changelogFile))
	}
	dpkgParse(t, []byte(r.read(changelogFile)))
}

// bodyOf is an entry without header and trailer.
func bodyOf(entry []byte) string {
	lines := bytes.Split(entry, []byte("\n"))
	return string(bytes.Join(lines[1:len(lines)-2], []byte("\n")))
}

// setClock makes Bump see the repository's time.
func (r *testRepo) setClock() { r.t.Setenv("SOURCE_DATE_EPOCH", strconv.FormatInt(r.now.Unix(), 10)) }

func TestBumpTwiceGivesTheSameCommitAndTag(t *testing.T) {
	names := map[string]bool{}
	for range 2 {
		r := newRepo(t)
		r.commit("hull: paint it")
		r.setClock()
		_, err := Bump(r.dir, "patch")
		must(t, err)
		names[r.git("rev-parse", "v0.0.1", "HEAD")] = true
	}
	if len(names) != 1 {
		t.Errorf("two bumps of the same commit differ: %v", names)
	}
}

func TestBumpIsSignedByTheDeveloper(t *testing.T) {
	for _, c := range []struct{ name, mail, want string }{
		{"", "", "Ada Lovelace <ada@example.org>"},
		{"Grace Hopper", "grace@example.org", "Grace Hopper <grace@example.org>"},
		{"", "J. Doe, Jr. <j@example.org>", "J. Doe, Jr. <j@example.org>"},
		{"Zoë Ünal", "", "Zoë Ünal <ada@example.org>"},
	} {
		r := newRepo(t)
		t.Setenv("DEBFULLNAME", c.name)
		t.Setenv("DEBEMAIL", c.mail)
		_, err := Bump(r.dir, "patch")
		must(t, err)
		if log := r.read(changelogFile); !strings.Contains(log, "\n -- "+c.want+"  ") {
			t.Errorf("%q %q signs\n%s", c.name, c.mail, log)
		}
	}
}

func TestBumpRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		arrange func(r *testRepo)
		what    string
		words   []string
	}{
		"a dirty tree":      {func(r *testRepo) { r.write("loose.txt", "") }, "patch", []string{"loose.txt", "hint: commit"}},
		"a lower version":   {func(r *testRepo) { r.tag("v1.2.0") }, "1.1.0", []string{"1.1.0", "v1.2.0", "hint: "}},
		"the last version":  {func(r *testRepo) { r.tag("v1.2.0") }, "1.2.0", []string{"v1.2.0 exists already"}},
		"an older pre":      {func(r *testRepo) { r.tag("v1.2.0") }, "1.2.0-rc.9", []string{"not above", "v1.2.0"}},
		"build data alone":  {func(r *testRepo) { r.tag("v1.2.0") }, "1.2.0+b2", []string{"not above"}},
		"no version":        {func(r *testRepo) {}, "newest", []string{`"newest"`, "hint: mage bump"}},
		"a malformed tag":   {func(r *testRepo) { r.tag("v1") }, "patch", []string{`"v1"`, "hint: "}},
		"no branch":         {func(r *testRepo) { r.git("switch", "--quiet", "--detach") }, "patch", []string{"no branch", "git switch"}},
		"a tag elsewhere":   {elsewhere, "2.0.0", []string{"v2.0.0 exists already"}},
		"a bad epoch":       {func(r *testRepo) { r.t.Setenv("SOURCE_DATE_EPOCH", "noon") }, "patch", []string{"SOURCE_DATE_EPOCH", "noon"}},
		"a bad changelog":   {func(r *testRepo) { r.commitFile(changelogFile, "ferry\n", "x") }, "patch", []string{changelogFile, "line 1"}},
		"a changelog ahead": {func(r *testRepo) { r.commitFile(changelogFile, entryText("3.0.0-1", "stable"), "x") }, "2.0.0", []string{"3.0.0-1", "line 1"}},
		"an untagged entry": {func(r *testRepo) { r.commitFile(changelogFile, entryText("2.0.0-1", "stable"), "x") }, "2.0.0", []string{"git tag -a"}},
		"a failing hook":    {func(r *testRepo) { r.hook("pre-commit", "echo no paint >&2; exit 1") }, "patch", []string{"no paint"}},
		"a refused tag": {func(r *testRepo) {
			r.hook("reference-transaction", `test "$1" != prepared || ! grep -q " refs/tags/v" || { echo no tags today >&2; exit 1; }`)
		}, "patch", []string{"no tags today"}},
		"a missing signing key": {func(r *testRepo) {
			r.git("config", "tag.gpgSign", "true")
			r.git("config", "gpg.program", "/nonexistent/gpg")
		}, "patch", []string{"gpg"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRepo(t)
			c.arrange(r)
			before, log := r.state(), logOf(r)
			_, err := Bump(r.dir, c.what)
			wantError(t, err, c.words...)
			if after := r.state(); after != before || logOf(r) != log {
				t.Errorf("the repository was\n%s\nand is\n%s", before, after)
			}
		})
	}
}

func elsewhere(r *testRepo) {
	r.git("switch", "--quiet", "-c", "other")
	r.commit("ferry: other")
	r.tag("v2.0.0")
	r.git("switch", "--quiet", "main")
}

func logOf(r *testRepo) string {
	text, _ := os.ReadFile(r.path(changelogFile))
	return string(text)
}

func (r *testRepo) hook(name, script string) {
	r.write(".git/hooks/"+name, "#!/bin/sh\n"+script+"\n")
	must(r.t, os.Chmod(r.path(".git/hooks/"+name), 0o755))
}

func TestBumpSucceedsOnceTheCauseIsGone(t *testing.T) {
	r := newRepo(t)
	r.hook("pre-commit", "exit 1")
	if _, err := Bump(r.dir, "patch"); err == nil {
		t.Fatal("the hook did not stop the bump")
	}
	must(t, os.Remove(r.path(".git/hooks/pre-commit")))
	if v, err := Bump(r.dir, "patch"); err != nil || v.Tag != "v0.0.1" {
		t.Errorf("%+v %v", v, err)
	}
}
