package release

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/berth-oci/berth/aptrepo"
)

// VersionOptions are what the version must take into account besides the repository.
type VersionOptions struct {
	Published []string // Debian versions that users can already have; the new one must not be lower than any
}

// semver is a SemVer 2.0 version taken apart. Build metadata is kept for the tag's sake and never orders.
type semver struct {
	major, minor, patch uint64
	pre, meta           string
}

// semverForm is the expression that semver.org suggests, without the optional leading v.
var semverForm = regexp.MustCompile(`^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)` +
	`(?:-((?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(?:\.(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*))?` +
	`(?:\+([0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*))?$`)

// meantAsVersion tells a tag that someone took for a version tag, right or wrong, from one such as "nightly".
var meantAsVersion = regexp.MustCompile(`^(?:[vV][0-9]|[0-9]+\.[0-9])`)

var errNotSemVer = errors.New("not a version of the form MAJOR.MINOR.PATCH[-PRERELEASE][+BUILD] (semver.org)")

// parseSemVer reads a version without leading v.
func parseSemVer(s string) (semver, error) {
	m := semverForm.FindStringSubmatch(s)
	if m == nil {
		return semver{}, errNotSemVer
	}
	v := semver{pre: m[4], meta: m[5]}
	for i, n := range []*uint64{&v.major, &v.minor, &v.patch} {
		var err error
		if *n, err = strconv.ParseUint(m[i+1], 10, 63); err != nil {
			return semver{}, fmt.Errorf("the number %s is too large", m[i+1])
		}
	}
	return v, nil
}

func (v semver) String() string {
	s := fmt.Sprintf("%d.%d.%d", v.major, v.minor, v.patch)
	if v.pre != "" {
		s += "-" + v.pre
	}
	if v.meta != "" {
		s += "+" + v.meta
	}
	return s
}

// debian is the Debian version: ~ sorts before anything, even the end (deb-version(7)), so a pre-release comes before its
// release. Build metadata has no order in SemVer and so no place here. The packaging is ours, hence revision 1 always.
func (v semver) debian() string {
	s := fmt.Sprintf("%d.%d.%d", v.major, v.minor, v.patch)
	if v.pre != "" {
		s += "~" + v.pre
	}
	return s + "-1"
}

// bumped is the version after v for major, minor or patch. A pre-release is on its way to its own release: from 1.3.0-rc.1
// patch and minor lead to 1.3.0, as npm version has it.
func (v semver) bumped(part string) semver {
	pre := v.pre != ""
	switch {
	case part == "major" && (!pre || v.minor != 0 || v.patch != 0):
		return semver{major: v.major + 1}
	case part == "minor" && (!pre || v.patch != 0):
		return semver{major: v.major, minor: v.minor + 1}
	case part == "patch" && !pre:
		return semver{major: v.major, minor: v.minor, patch: v.patch + 1}
	}
	return semver{major: v.major, minor: v.minor, patch: v.patch}
}

// versionTag is a tag together with the version it names.
type versionTag struct {
	name    string
	version semver
}

// highest returns the tag that dpkg would rank highest; apt's order counts, since it decides who gets what.
func highest(tags []versionTag) (top versionTag, found bool) {
	for _, t := range tags {
		if !found || aptrepo.CompareVersions(t.version.debian(), top.version.debian()) > 0 {
			top, found = t, true
		}
	}
	return top, found
}

// FindVersion finds what a release of HEAD is called: the version of its tag or, where it has none, a snapshot version that
// is above the last tag, below the next release and above every snapshot of an older commit. It changes nothing.
//
// Errors: no git, a shallow clone, a malformed version tag on HEAD, a dirty work tree under a tag, a version that is lower
// than the last tag, than the newest entry of release/debian/changelog, or than one of o.Published.
func FindVersion(repo string, o VersionOptions) (Version, error) {
	v, err := findVersion(git{repo})
	if err != nil {
		return Version{}, fmt.Errorf("cannot find the version: %w", err)
	}
	if err := v.checkChangelog(repo); err != nil {
		return Version{}, fmt.Errorf("cannot release %s: %w", v.SemVer, err)
	}
	if err := v.NotBelow(o.Published...); err != nil {
		return Version{}, fmt.Errorf("cannot release %s: %w", v.SemVer, err)
	}
	return v, nil
}

func findVersion(g git) (Version, error) {
	if err := g.usable(); err != nil {
		return Version{}, err
	}
	v, err := g.head()
	if err != nil {
		return Version{}, err
	}
	here, below, err := g.versionTags()
	if err != nil {
		return Version{}, err
	}
	dirty, err := g.dirty()
	if err != nil {
		return Version{}, err
	}
	last, hasLast := highest(below)
	v.Last, v.Dirty = last.name, len(dirty) > 0
	if tag, tagged := highest(here); tagged {
		return v.tagged(tag, last, hasLast, dirty)
	}
	return v.snapshot(g, last.version, dirty)
}

// tagged is the version that the tag on HEAD says.
func (v Version) tagged(tag, last versionTag, hasLast bool, dirty []string) (Version, error) {
	if v.Dirty {
		return Version{}, fmt.Errorf("HEAD is the release %s but the work tree differs from it: %s\n"+
			"hint: commit or remove these, or git checkout -- them, so that the release is what the tag says",
			tag.name, listed(dirty))
	}
	if hasLast && aptrepo.CompareVersions(tag.version.debian(), last.version.debian()) <= 0 {
		return Version{}, fmt.Errorf("the tag %s on HEAD is not above %s, which is in its history\n"+
			"hint: git tag -d %s, and tag a version above %s", tag.name, last.name, tag.name, last.version)
	}
	v.Tag, v.SemVer, v.Debian = tag.name, tag.version.String(), tag.version.debian()
	return v, nil
}

// snapshot is the version of a commit between releases: the last version's next patch (or, after a pre-release, that
// pre-release and more), then git, day, count, commit. Day is the newest committer date in the history and count its number of
// commits: neither can fall from a commit to its descendant, and count rises, so the version does. See ADR 0020.
func (v Version) snapshot(g git, last semver, dirty []string) (Version, error) {
	day, count, err := g.historyExtent()
	if err != nil {
		return Version{}, err
	}
	pre := fmt.Sprintf("git%s.%d.g%s", day.Format("20060102"), count, v.Commit[:7])
	if v.Dirty {
		pre += ".dirty" + newestChange(g.repo, dirty).Format("20060102150405")
	}
	next := semver{major: last.major, minor: last.minor, patch: last.patch + 1, pre: pre}
	if last.pre != "" {
		next = semver{major: last.major, minor: last.minor, patch: last.patch, pre: last.pre + "." + pre}
	}
	v.Snapshot, v.SemVer, v.Debian = true, next.String(), next.debian()
	return v, nil
}

// NotBelow is an error where v is lower than one of the Debian versions, that is where apt would not offer it as an upgrade.
// Equal is allowed: a release may be run again.
func (v Version) NotBelow(published ...string) error {
	for _, p := range published {
		if err := CheckDebianVersion(p); err != nil {
			return fmt.Errorf("the published version %q cannot be compared: %w", p, err)
		}
		if aptrepo.CompareVersions(v.Debian, p) < 0 {
			return fmt.Errorf("its Debian version %s is lower than %s, which is already published, so nobody would get it\n"+
				"hint: release a version above %s (mage bump), or publish to a repository of its own", v.Debian, p, p)
		}
	}
	return nil
}

// checkChangelog compares v with the newest released entry of the changelog in the work tree.
func (v Version) checkChangelog(repo string) error {
	log, err := readChangelog(repo)
	if err != nil {
		return err
	}
	for _, e := range log.entries {
		if e.unreleased() {
			continue
		}
		if aptrepo.CompareVersions(v.Debian, e.version) < 0 {
			return fmt.Errorf("its Debian version %s is lower than %s, which %s line %d already describes\n"+
				"hint: git fetch --tags if the tag of %s is missing here, or release a higher version (mage bump)",
				v.Debian, e.version, changelogFile, e.line, e.version)
		}
		return nil
	}
	return nil
}

// newestChange is the newest modification time among the changed paths, for a removed one that of the nearest folder left.
// The same dirty tree so keeps its version while its stages run, and a later edit gets a higher one.
func newestChange(repo string, paths []string) time.Time {
	var newest time.Time
	for _, p := range paths {
		if t := modTime(filepath.Join(repo, filepath.FromSlash(p))); t.After(newest) {
			newest = t
		}
	}
	return newest.UTC()
}

func modTime(path string) time.Time {
	for {
		if fi, err := os.Lstat(path); err == nil {
			return fi.ModTime()
		}
		up := filepath.Dir(path)
		if up == path {
			return time.Time{}
		}
		path = up
	}
}

// listed names at most five of the paths.
func listed(paths []string) string {
	if len(paths) <= 5 {
		return strings.Join(paths, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(paths[:5], ", "), len(paths)-5)
}
