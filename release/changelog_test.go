package release

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func entryText(version, distribution string) string {
	return "ferry (" + version + ") " + distribution + "; urgency=medium\n\n  * hull: Paint it.\n\n" +
		" -- Ferry Crew <crew@example.org>  Sun, 22 Nov 2026 09:00:00 +0000\n"
}

func TestChangelogEntryComesFromTheCommits(t *testing.T) {
	r := newRepo(t)
	r.tag("v1.0.0")
	r.commit("hull: paint it")
	r.commit("engine, hull: join the two")
	r.commit("hull: scrape the barnacles off before the paint goes on, since paint on barnacles lasts for one season only")
	r.commit("Repair the horn")
	r.commit("fixup! hull: paint it")
	r.commit("feat(engine)!: burn less oil\n\nThe old way burnt more.\n\nFixes: #12\n")
	r.commit("hull: paint it")
	r.commit("engine: closes: #765 and LP: #9")
	r.commit("https://example.org/a-very-long-address/that-has/no-space-to-break-at/and-goes-on-and-on-and-on is where it is")
	r.commit("galley: caf\xe9 au \x1b[31mlait\t\u202enaïve\r\nsecond line of the subject")
	r.commit(" -- Mallory <m@example.org>  Sun, 22 Nov 2026 09:00:00 +0000")
	r.commit("日本語: 船を塗る")
	r.commit("\n\n")
	c, err := WriteChanges(r.dir, r.version())
	must(t, err)
	golden(t, "changelog", r.anonymous(c.Full))
	golden(t, "notes.md", r.anonymous(c.Notes))
	if !bytes.Equal(c.Full, c.Entry) {
		t.Errorf("without an older changelog, the whole is not the entry:\n%s", c.Full)
	}
	if _, err := parseChangelog(c.Full); err != nil {
		t.Errorf("we cannot read what we wrote: %v", err)
	}
	for line := range strings.Lines(string(c.Full)) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > textWidth && !strings.Contains(line, "https://") {
			t.Errorf("a line has %d characters: %q", n, line)
		}
	}
	parsed := dpkgParse(t, c.Full)
	if strings.Contains(parsed, "Closes:") || strings.Contains(parsed, "Launchpad-Bugs-Fixed:") {
		t.Errorf("a commit closes a bug of Debian's: %s", parsed)
	}
}

// anonymous takes out the name of the commit, which changes with every edit of the test.
func (r *testRepo) anonymous(text []byte) []byte {
	head := r.git("rev-parse", "HEAD")
	text = bytes.ReplaceAll(text, []byte(head), []byte("COMMIT"))
	return bytes.ReplaceAll(text, []byte("g"+head[:7]), []byte("gCOMMIT"))
}

// golden compares with testdata/NAME; UPDATE=1 writes it.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if os.Getenv("UPDATE") != "" {
		must(t, os.MkdirAll("testdata", 0o755))
		must(t, os.WriteFile(file, got, 0o644))
	}
	want, err := os.ReadFile(file)
	must(t, err)
	if !bytes.Equal(got, want) {
		t.Errorf("%s is\n%s\nwant\n%s", name, got, want)
	}
}

// dpkgParse is what dpkg-parsechangelog makes of the newest entry; a warning from it fails the test.
func dpkgParse(t *testing.T, text []byte) string {
	t.Helper()
	if _, err := exec.LookPath("dpkg-parsechangelog"); err != nil {
		t.Log("dpkg-parsechangelog is not installed: not asked")
		return ""
	}
	file := filepath.Join(t.TempDir(), "changelog")
	must(t, os.WriteFile(file, text, 0o644))
	cmd := exec.Command("dpkg-parsechangelog", "--all", "-l", file)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil || said.Len() > 0 {
		t.Errorf("dpkg-parsechangelog: %v %s on\n%s", err, said.String(), text)
	}
	return out.String()
}

func TestWriteChangesLeavesTheWorkTreeAlone(t *testing.T) {
	r := newRepo(t)
	r.commitFile(changelogFile, entryText("0.1.0-1", "UNRELEASED"), "ferry: start the log")
	v := r.version()
	before := treeOf(t, r.dir)
	_, err := WriteChanges(r.dir, v)
	must(t, err)
	if after := treeOf(t, r.dir); after != before {
		t.Errorf("files changed from\n%s\nto\n%s", before, after)
	}
}

func TestWriteChangesDependsOnNothingButTheCommit(t *testing.T) {
	r := newRepo(t)
	r.commit("ferry: sail")
	v := r.version()
	here, err := WriteChanges(r.dir, v)
	must(t, err)
	clone := filepath.Join(t.TempDir(), "clone")
	r.git("clone", "--quiet", r.dir, clone)
	for name, value := range map[string]string{"TZ": "Asia/Tokyo", "LANG": "tr_TR.UTF-8", "DEBEMAIL": "other@example.org",
		"DEBFULLNAME": "Other", "GIT_COMMITTER_NAME": "Third", "SOURCE_DATE_EPOCH": "1"} {
		t.Setenv(name, value)
	}
	there, err := WriteChanges(clone, v)
	must(t, err)
	if !bytes.Equal(here.Full, there.Full) || !bytes.Equal(here.Notes, there.Notes) {
		t.Errorf("here\n%s\nthere\n%s", here.Full, there.Full)
	}
}

func TestUnreleasedIsAmendedNotDoubled(t *testing.T) {
	r := newRepo(t)
	old := entryText("0.9.0-1", "stable") + "\n" + entryText("0.8.0-1", "stable")
	hand := "ferry (1.0.0-1) UNRELEASED; urgency=high\n\n  [ Grace Hopper ]\n  * hull: written by hand,\n    over two lines\n\n  [ Ada Lovelace ]\n" +
		"  * hull:\n    - paint it\n\n -- Grace Hopper <grace@example.org>  Sat, 21 Nov 2026 09:00:00 +0100\n\n"
	r.commitFile(changelogFile, hand+old, "hull: paint it")
	r.tag("v0.9.0")
	r.commit("hull: paint it")
	r.commit("hull: written by hand, over two lines")
	r.commit("hull: launch it")
	c, err := WriteChanges(r.dir, r.version())
	must(t, err)
	entry := string(c.Entry)
	for _, want := range []string{"; urgency=high\n", "  [ Grace Hopper ]\n  * hull: written by hand,\n    over two lines\n\n  [ Ada Lovelace ]\n", "  * hull: launch it\n"} {
		if !strings.Contains(entry, want) {
			t.Errorf("the entry lacks %q:\n%s", want, entry)
		}
	}
	if n := strings.Count(entry, "paint it"); n != 1 {
		t.Errorf("a change is told %d times:\n%s", n, entry)
	}
	if strings.Contains(string(c.Full), unreleased) || string(c.Full) != entry+"\n"+old {
		t.Errorf("the older text is not kept byte for byte:\n%s", c.Full)
	}
	dpkgParse(t, c.Full)
}

func TestOldEntriesStayByteForByte(t *testing.T) {
	odd := "\n\nferry (0.9.0-1) stable unstable; urgency=low, binary-only=yes\n  * No blank line above,\ttabs  and   spaces,\n    kept.  \n\n\n\n" +
		" -- Ferry Crew <crew@example.org>  Sun,  1 Nov 2026 09:00:00 +0000\n\n\n"
	r := newRepo(t)
	r.commitFile(changelogFile, odd, "ferry: sail")
	r.tag("v0.9.0")
	r.commit("ferry: sail on")
	c, err := WriteChanges(r.dir, r.version())
	must(t, err)
	if want := string(c.Entry) + odd; string(c.Full) != want {
		t.Errorf("the changelog is\n%q\nwant\n%q", c.Full, want)
	}
	dpkgParse(t, c.Full)
}

func TestAReleaseTakesTheEntryThatIsThere(t *testing.T) {
	r := newRepo(t)
	text := entryText("1.0.0-1", "stable") + "\n" + entryText("0.9.0-1", "stable")
	r.commitFile(changelogFile, text, "ferry: sail")
	r.tag("v1.0.0")
	c, err := WriteChanges(r.dir, r.version())
	must(t, err)
	if string(c.Full) != text || string(c.Entry) != entryText("1.0.0-1", "stable") {
		t.Errorf("entry\n%s\nof\n%s", c.Entry, c.Full)
	}
	if want := "# ferry 1.0.0\n\n- **hull**: Paint it.\n"; string(c.Notes) != want {
		t.Errorf("notes\n%q, want\n%q", c.Notes, want)
	}
}

// lintian calls it an error where the newest entry is not newer than the one before.
func TestAnEntryIsNewerThanTheOneBefore(t *testing.T) {
	r := newRepo(t)
	r.commitFile(changelogFile, entryText("1.0.0-1", "stable"), "ferry: sail")
	r.tag("v1.0.0")
	r.now = r.now.Add(-24 * time.Hour)
	r.commit("ferry: sail with a slow clock")
	c, err := WriteChanges(r.dir, r.version())
	must(t, err)
	if want := "  Sun, 22 Nov 2026 09:00:01 +0000\n"; !strings.HasSuffix(string(c.Entry), want) {
		t.Errorf("the entry\n%s\ndoes not end in %q", c.Entry, want)
	}
}

func TestNoChangeIsSaid(t *testing.T) {
	r := newRepo(t)
	r.tag("v1.0.0-rc.1")
	r.commit("fixup! nothing")
	r.tag("v1.0.0")
	c, err := WriteChanges(r.dir, r.version())
	must(t, err)
	if !strings.Contains(string(c.Entry), "no change of the source") {
		t.Errorf("entry\n%s", c.Entry)
	}
	dpkgParse(t, c.Full)
}

func TestParseChangelogRefuses(t *testing.T) {
	good := entryText("1.0.0-1", "stable")
	for name, c := range map[string]struct {
		old, new string
		words    []string
	}{
		"no version":          {"(1.0.0-1)", "", []string{"line 1:", "source (version)"}},
		"a bad version":       {"1.0.0-1", "one", []string{"line 1:", "does not start with a digit"}},
		"no distribution":     {" stable", "", []string{"line 1:"}},
		"no urgency":          {"; urgency=medium", "", []string{"line 1:", "urgency=medium"}},
		"no option value":     {"urgency=medium", "urgency", []string{"line 1:"}},
		"an upper-case name":  {"ferry (", "Ferry (", []string{"line 1:"}},
		"one space of detail": {"  * hull", " * hull", []string{"line 3:", "two spaces"}},
		"one space of date":   {">  Sun", "> Sun", []string{"line 5:", "two spaces, date"}},
		"a trailer unspaced":  {" -- F", " --F", []string{"line 5:", "one space, two hyphens"}},
		"no mail":             {" <crew@example.org>", "", []string{"line 5:"}},
		"a wrong weekday":     {"Sun,", "Mon,", []string{"line 5:", "was a Sunday"}},
		"an impossible date":  {"22 Nov", "32 Nov", []string{"line 5:", "RFC 5322"}},
		"an ISO date":         {"Sun, 22 Nov 2026 09:00:00 +0000", "2026-11-22", []string{"line 5:", "date -R"}},
		"no trailer":          {" -- Ferry Crew <crew@example.org>  Sun, 22 Nov 2026 09:00:00 +0000\n", "", []string{"has no trailer"}},
		"two headers":         {"  * hull: Paint it.", "ferry (0.9-1) stable; urgency=low", []string{"line 3:", "1.0.0-1 has no trailer"}},
		"carriage returns":    {"\n", "\r\n", []string{"line 1:", "carriage return"}},
		"Latin-1":             {"Paint", "Pa\xefnt", []string{"line 3:", "UTF-8", "iconv"}},
		"a conflict marker":   {"ferry (", "<<<<<<< HEAD\nferry (", []string{"line 1:"}},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.ReplaceAll(good, c.old, c.new)
			if text == good {
				t.Fatal("the text was not changed")
			}
			r := newRepo(t)
			r.write(changelogFile, text)
			_, err := WriteChanges(r.dir, Version{SemVer: "2.0.0", Debian: "2.0.0-1", Commit: "HEAD"})
			wantError(t, err, append(c.words, changelogFile, "hint: ")...)
		})
	}
}

func TestParseChangelogReadsWhatDebianWrites(t *testing.T) {
	files, _ := filepath.Glob("/usr/share/doc/*/changelog.Debian.gz")
	if len(files) == 0 {
		t.Skip("no Debian changelog is installed")
	}
	read, entries := 0, 0
	for _, file := range files[:min(len(files), 60)] {
		text, err := exec.Command("zcat", file).Output()
		must(t, err)
		log, err := parseChangelog(text)
		if err != nil {
			continue // old entries break today's rules; the count below keeps us from refusing everything
		}
		read, entries = read+1, entries+len(log.entries)
		for _, e := range log.entries {
			if !bytes.HasPrefix(log.bytesOf(e), fmt.Appendf(nil, "%s (%s) ", e.source, e.version)) || !bytes.HasSuffix(log.bytesOf(e), []byte("\n")) {
				t.Errorf("%s: entry %s is %q", file, e.version, log.bytesOf(e))
			}
		}
	}
	if tried := min(len(files), 60); read*2 < tried {
		t.Errorf("only %d of %d changelogs of Debian's can be read", read, tried)
	}
	t.Logf("%d changelogs, %d entries", read, entries)
}

func TestDetailsSurviveARoundTrip(t *testing.T) {
	commits := []commitMessage{{subject: "a: one"}, {subject: "a: two that is long enough to be wrapped when it stands behind its mark, yes"},
		{subject: "b: three"}, {subject: "none"}, {subject: "c/d: four: five"}, {subject: "x: - dash"}, {subject: "y: * star"},
		{subject: "a-very-long-package/name-that-goes-on/and-on-and-on-and-on-until-the-line-is-full: six"}}
	details := addDetails(nil, commits)
	if again := addDetails(details, commits); strings.Join(again, "\n") != strings.Join(details, "\n") {
		t.Errorf("a second time adds lines:\n%s", strings.Join(again[len(details):], "\n"))
	}
}

func FuzzDetailsAreNeverDoubled(f *testing.F) {
	f.Add("a: one", "a: two")
	f.Add("closes: #1", " -- x <y@z>  Sun")
	f.Fuzz(func(t *testing.T, one, two string) {
		commits := []commitMessage{{subject: one}, {subject: two}}
		details := addDetails(nil, commits)
		if again := addDetails(details, commits); len(again) != len(details) {
			t.Errorf("%q then %q", details, again)
		}
		e := changelogEntry{source: "ferry", version: "1-1", distribution: "stable", options: "urgency=low", details: details,
			maintainer: "F C <f@example.org>"}
		if len(details) == 0 {
			return
		}
		log, err := parseChangelog(e.format())
		if err != nil || strings.Join(log.entries[0].details, "\n") != strings.Join(details, "\n") {
			t.Errorf("%v: %q", err, e.format())
		}
	})
}

// FuzzParseChangelog holds that what is read is in the text, in order, and that a new entry leaves it as it was.
func FuzzParseChangelog(f *testing.F) {
	f.Add(entryText("1.0.0-1", "stable") + "\n" + entryText("0.9.0-1", "UNRELEASED"))
	f.Add("\n# comment\n" + entryText("1:1.0~rc1-1", "stable testing"))
	f.Fuzz(func(t *testing.T, text string) {
		log, err := parseChangelog([]byte(text))
		if err != nil {
			return
		}
		end := 0
		for _, e := range log.entries {
			if e.start < end || e.end <= e.start || e.end > len(text) || !strings.HasPrefix(text[e.start:], e.source+" ("+e.version+")") {
				t.Fatalf("entry %+v after %d of %q", e, end, text)
			}
			end = e.end
		}
		whole := string(log.withEntry(changelogEntry{source: "ferry", version: "9-1", distribution: "stable", options: "urgency=low",
			details: []string{"  * x"}, maintainer: "F C <f@example.org>"}))
		kept := text
		if top, ok := log.top(); ok && top.unreleased() {
			kept = text[top.end:]
		}
		if !strings.HasSuffix(whole, kept) {
			t.Fatalf("%q became %q", text, whole)
		}
		if _, err := parseChangelog([]byte(whole)); err != nil {
			t.Fatalf("%q cannot be read again: %v", whole, err)
		}
	})
}
