package release

import (
	"errors"
	"fmt"
	"net/mail"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/berth-oci/berth/aptrepo"
)

// bumpSubject starts the subject of the commit that Bump makes, by which the next changelog knows to leave it out.
const bumpSubject = "release: bump to "

// Bump writes the changelog entry of a new version, commits it and tags the commit. what is major, minor or patch, or a
// version that is higher than the last. It returns the version that a release of the new commit has.
//
// The entry is signed by DEBFULLNAME and DEBEMAIL, else by git's committer; its date is that of the commit and of the tag:
// SOURCE_DATE_EPOCH where it is set, else now. Hooks and signing happen as git is configured. Where any step fails, the
// changelog, the index and the branch are as before and there is no tag.
func Bump(repo, what string) (Version, error) {
	b, err := planBump(repo, what)
	if err != nil {
		return Version{}, fmt.Errorf("cannot bump: %w", err)
	}
	if err := b.carryOut(); err != nil {
		return Version{}, fmt.Errorf("cannot bump to %s: %w", b.next, err)
	}
	return FindVersion(repo, VersionOptions{})
}

// bump is all that was decided before anything is changed.
type bump struct {
	git     git
	next    semver
	tag     string
	head    string // commit that HEAD is at before
	text    []byte // of the new changelog
	message []byte // of the tag
	fresh   bool   // there was no changelog before
	when    time.Time
}

func planBump(repo, what string) (bump, error) {
	g := git{repo}
	last, err := g.readyToBump()
	if err != nil {
		return bump{}, err
	}
	head, err := g.head()
	if err != nil {
		return bump{}, err
	}
	next, err := nextVersion(last.version, what)
	if err != nil {
		return bump{}, err
	}
	b := bump{git: g, next: next, tag: "v" + next.String(), head: head.Commit}
	if b.when, err = bumpTime(); err != nil {
		return bump{}, err
	}
	if err := b.isNew(last); err != nil {
		return bump{}, err
	}
	return b, b.write(Version{SemVer: next.String(), Debian: next.debian(), Tag: b.tag, Last: last.name, Commit: head.Commit})
}

// readyToBump refuses a work tree on which a commit would take in or lose anything, and returns the last version.
func (g git) readyToBump() (versionTag, error) {
	if err := g.usable(); err != nil {
		return versionTag{}, err
	}
	dirty, err := g.dirty()
	if err != nil {
		return versionTag{}, err
	}
	if len(dirty) > 0 {
		return versionTag{}, fmt.Errorf("the work tree differs from HEAD: %s\nhint: commit or remove these first", listed(dirty))
	}
	if _, err := g.run("symbolic-ref", "--quiet", "HEAD"); err != nil {
		return versionTag{}, errors.New("HEAD is on no branch, so the commit would be lost\nhint: git switch main")
	}
	here, below, err := g.versionTags()
	if err != nil {
		return versionTag{}, err
	}
	last, _ := highest(append(here, below...))
	return last, nil
}

// nextVersion is the version that what asks for, seen from the last one.
func nextVersion(last semver, what string) (semver, error) {
	switch what {
	case "major", "minor", "patch":
		return last.bumped(what), nil
	}
	v, err := parseSemVer(strings.TrimPrefix(what, "v"))
	if err != nil {
		return semver{}, fmt.Errorf("%q: %w\nhint: mage bump major, minor, patch, or a version such as %s", what, err, last.bumped("patch"))
	}
	return v, nil
}

// isNew refuses a version that is tagged anywhere, not above the last tag, or not above the changelog.
func (b bump) isNew(last versionTag) error {
	if _, err := b.git.run("rev-parse", "--verify", "--quiet", "refs/tags/"+b.tag); err == nil {
		return fmt.Errorf("the tag %s exists already\nhint: choose a higher version; a tag that was published must stay what it is", b.tag)
	}
	if last.name != "" && aptrepo.CompareVersions(b.next.debian(), last.version.debian()) <= 0 {
		return fmt.Errorf("%s is not above the last version %s\nhint: mage bump patch makes %s", b.next, last.name, last.version.bumped("patch"))
	}
	log, err := readChangelog(b.git.repo)
	if err != nil {
		return err
	}
	for _, e := range log.entries {
		if !e.unreleased() && aptrepo.CompareVersions(b.next.debian(), e.version) <= 0 {
			return fmt.Errorf("%s line %d already describes %s, which is not below %s\n"+
				"hint: git fetch --tags; if its tag was never made, git tag -a on the commit that wrote the entry",
				changelogFile, e.line, e.version, b.next.debian())
		}
	}
	return nil
}

// write composes the new changelog and the message of the tag.
func (b *bump) write(v Version) error {
	log, err := readChangelog(b.git.repo)
	if err != nil {
		return err
	}
	control, err := readControl(b.git.repo)
	if err != nil {
		return err
	}
	commits, err := b.git.messages(v.Last, v.Commit)
	if err != nil {
		return err
	}
	who, err := b.git.identity()
	if err != nil {
		return err
	}
	e := log.compose(v, control.source, commits, who, b.when)
	b.text, b.message, b.fresh = log.withEntry(e), tagMessage(v, e), log.text == nil
	return nil
}

// tagMessage is the changelog entry as a tag carries it: a subject, then the details.
func tagMessage(v Version, e changelogEntry) []byte {
	return fmt.Appendf(nil, "%s %s\n\n%s\n", e.source, v.SemVer, strings.Join(e.details, "\n"))
}

// bumpTime is the date of the entry, the commit and the tag.
func bumpTime() (time.Time, error) {
	epoch := os.Getenv("SOURCE_DATE_EPOCH")
	if epoch == "" {
		return time.Now().Truncate(time.Second), nil
	}
	seconds, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH is %q, which is no number of seconds\nhint: unset SOURCE_DATE_EPOCH", epoch)
	}
	return time.Unix(seconds, 0).UTC(), nil
}

// identity is who signs the entry, found as dch finds it: DEBFULLNAME and DEBEMAIL, else git's committer.
func (g git) identity() (mail.Address, error) {
	name, address := os.Getenv("DEBFULLNAME"), os.Getenv("DEBEMAIL")
	if who, err := parsePerson(address); err == nil { // DEBEMAIL may hold both
		if name == "" {
			name = who.Name
		}
		address = who.Address
	}
	if name == "" || address == "" {
		ident, err := g.line("var", "GIT_COMMITTER_IDENT")
		if err != nil {
			return mail.Address{}, fmt.Errorf("nobody to sign the changelog: %w\nhint: git config user.name and user.email, or DEBFULLNAME and DEBEMAIL", err)
		}
		who, err := parsePerson(ident[:strings.LastIndexByte(ident, '>')+1])
		if err != nil {
			return mail.Address{}, fmt.Errorf("git's committer: %w", err)
		}
		name, address = orElse(name, who.Name), orElse(address, who.Address)
	}
	return parsePerson(name + " <" + address + ">")
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// carryOut writes, commits and tags. What undoes it is armed before each step.
func (b bump) carryOut() (err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, b.undo())
		}
	}()
	file := filepath.Join(b.git.repo, filepath.FromSlash(changelogFile))
	if err := os.WriteFile(file, b.text, 0o644); err != nil {
		return err
	}
	if _, err := b.git.run("add", "--", changelogFile); err != nil {
		return err
	}
	date := fmt.Sprintf("%d %s", b.when.Unix(), b.when.Format("-0700"))
	env := []string{"GIT_AUTHOR_DATE=" + date, "GIT_COMMITTER_DATE=" + date}
	if _, err := b.git.runEnv(env, "commit", "--quiet", "--message", bumpSubject+b.next.String(), "--", changelogFile); err != nil {
		return err
	}
	_, err = b.git.runEnv(env, "tag", "--annotate", "--cleanup=verbatim", "--message", string(b.message), b.tag, "HEAD")
	return err
}

// undo takes everything back. The work tree was clean and on b.head, so a hard reset loses nothing of the user's.
func (b bump) undo() error {
	if _, err := b.git.run("rev-parse", "--verify", "--quiet", "refs/tags/"+b.tag); err == nil {
		if _, err := b.git.run("tag", "--delete", b.tag); err != nil {
			return err
		}
	}
	if _, err := b.git.run("reset", "--quiet", "--hard", b.head); err != nil {
		return err
	}
	if b.fresh {
		return os.RemoveAll(filepath.Join(b.git.repo, filepath.FromSlash(changelogFile)))
	}
	return nil
}
