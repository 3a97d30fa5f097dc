package release

import (
	"fmt"
	"time"

	"github.com/berth-oci/berth/aptrepo"
)

// Tree is the whole apt repository with this version in it, as path → bytes, signed, and nowhere yet.
type Tree struct {
	Signed
	Repository *aptrepo.Tree
}

// Published is a version that apt can be given.
type Published struct {
	Tree
	Dir string // where the repository is
}

// unofficial marks what was signed with a key that nobody should trust.
const unofficial = "It was signed with a throwaway key, made because no signing key was given. Try it, but do not rely on it."

// repository is the configuration of the apt repository. A throwaway key shows in the label, which apt compares: a machine
// that trusts the official repository will not silently follow an unofficial one, nor the other way round.
func (r *work) repository() aptrepo.Config {
	c := r.Config
	config := aptrepo.Config{
		Name: c.RepoName, Origin: c.Origin, Label: c.Label, Suite: c.Suite, Codename: c.Codename, Description: c.Description,
		Architectures: c.Archs, Components: []string{c.Component}, URL: c.URL, ValidFor: aptrepo.Days(c.ValidDays),
		Page: aptrepo.Page{Title: c.Name, Summary: c.Description + ".", Homepage: c.Homepage, Install: []string{c.Runtime}},
	}
	if r.signer.Throwaway {
		config.Label += " (unofficial)"
		config.Description += " (unofficial: signed with a throwaway key)"
		config.Page.Unofficial = unofficial
	}
	return config
}

// publishedVersions are the Debian versions that users of the repository can already have.
func (r *work) publishedVersions() ([]string, error) {
	now, err := aptrepo.Read(aptrepo.Directory(r.aptFolder()), r.Config.Codename, nil)
	if err != nil {
		return nil, err
	}
	var versions []string
	for _, p := range now.Packages {
		versions = append(versions, p.Version)
	}
	return versions, nil
}

// current reads the repository that this version will be added to. It must be signed with the key that signs next, or
// every client would refuse the next InRelease; only what was never official may change keys.
func (r *work) current() (*aptrepo.Published, error) {
	folder := aptrepo.Directory(r.aptFolder())
	now, err := aptrepo.Read(folder, r.Config.Codename, nil)
	if err != nil || now.Release == nil {
		return now, err
	}
	if r.signer.Signer == nil { // a plan, for which no throwaway key was made
		return now, nil
	}
	if r.signer.Throwaway && now.Release.Label == r.repository().Label {
		return now, nil
	}
	checked, err := aptrepo.Read(folder, r.Config.Codename, r.signer.Public())
	if err != nil {
		return nil, fmt.Errorf("cannot continue the repository in %s with the key %s: %w\n"+
			"hint: sign with the key that signed it, or begin a new repository with -dist=FOLDER", r.aptFolder(), r.signer.Fingerprint(), err)
	}
	return checked, nil
}

// tree makes the repository that holds this version beside the earlier ones.
func (r *work) tree(s Signed) (Tree, error) {
	r.tell.doing("tree", "laying out the repository")
	now, err := r.current()
	if err != nil {
		return Tree{}, err
	}
	debs := make([]*aptrepo.Package, len(s.Packages))
	for i, p := range s.Packages {
		if debs[i], err = aptrepo.ReadPackage(p.File); err != nil {
			return Tree{}, err
		}
	}
	config := r.repository()
	packages, err := now.Add(config, debs...)
	if err != nil {
		return Tree{}, err
	}
	tree, err := r.dated(config, now, packages, s)
	if err != nil {
		return Tree{}, err
	}
	r.tell.artefact("tree", fmt.Sprintf("%d packages, %d files", len(packages), len(tree.Files)), totalSize(tree))
	return Tree{s, tree}, nil
}

func totalSize(t *aptrepo.Tree) int64 {
	var sum int64
	for _, f := range t.Files {
		sum += f.Size
	}
	return sum
}

// dated builds the repository with the first date that serves. A rerun that would change nothing but the dates keeps the
// published ones, as long as these are good for a while, and so changes no byte.
func (r *work) dated(config aptrepo.Config, now *aptrepo.Published, packages []aptrepo.Package, s Signed) (*aptrepo.Tree, error) {
	at, err := r.publicationTime(s.Version)
	if err != nil {
		return nil, err
	}
	if now.Release == nil {
		return aptrepo.Build(config, now, packages, s.signer, at, false)
	}
	published := now.Release.Date
	if r.fresh(published) {
		same, err := aptrepo.Build(config, now, packages, s.signer, published, false)
		if err != nil || equalSums(same.Release.Sums, now.Release.Sums) {
			return same, err
		}
	}
	if !at.After(published) {
		at = published.Add(time.Second)
	}
	return aptrepo.Build(config, now, packages, s.signer, at, false)
}

func equalSums(a, b []aptrepo.Sum) bool {
	sums := map[aptrepo.Sum]bool{}
	for _, s := range a {
		sums[s] = true
	}
	for _, s := range b {
		if !sums[s] {
			return false
		}
	}
	return len(a) == len(b)
}

// publicationTime is the date of the repository with this version in it: its commit's (or its key's birth, where that is
// later), so that a second release of the same commit gives the same bytes. apt counts the days of validity from it, so an old
// commit's would expire at once: that gets the beginning of today. See ADR 0031.
func (r *work) publicationTime(v Version) (time.Time, error) {
	at, err := r.signingTime(v)
	if err != nil || r.fresh(at) {
		return at, err
	}
	return r.Now.Truncate(24 * time.Hour), nil
}

// fresh reports whether a Release file of that date has at least two thirds of its days before it.
func (r *work) fresh(at time.Time) bool {
	third := time.Duration(r.Config.ValidDays) * 24 * time.Hour / 3
	return r.Now.Sub(at) < third
}
