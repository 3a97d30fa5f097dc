package aptrepo

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/berth-oci/berth/signing"
)

// File is one file of a repository.
type File struct {
	Path   string // with slashes, relative to the repository
	Data   []byte // its bytes, unless From is set
	From   string // the local file that holds its bytes
	Size   int64
	SHA256 string
}

// Tree is a whole repository as it shall be: a value, made without touching
// the place it is meant for.
type Tree struct {
	Release  *Release
	Packages []Package
	Past     []Generation

	// Files are in the order in which they must become visible: what nobody
	// refers to yet first, InRelease last.
	Files []File

	// Remove lists what no client can refer to any more once InRelease is out.
	Remove []string

	base string // SHA256 of the InRelease that this tree replaces, or ""
}

// Build makes the repository that lists packages, signed by key and dated at
// to the second. prev is what is published now. The result depends on the
// arguments alone: the same ones give the same bytes.
//
// It refuses a date before the published one, which clients would ignore, and
// a change of Origin, Label or Codename unless consented.
func Build(c Config, prev *Published, packages []Package, key signing.Signer, at time.Time, consented bool) (*Tree, error) {
	c, err := c.resolved()
	if err != nil {
		return nil, err
	}
	at = at.UTC().Truncate(time.Second)
	if err := prev.permits(&c, at, consented); err != nil {
		return nil, err
	}
	t := &Tree{Packages: packages, base: prev.base}
	t.addPool()
	t.addChangelogs()
	sums, err := t.addIndices(&c, prev, at)
	if err != nil {
		return nil, err
	}
	if err := t.addDownloads(&c, key); err != nil {
		return nil, err
	}
	t.Release = c.release(at, sums)
	if err := t.addRelease(key, at); err != nil {
		return nil, err
	}
	t.Remove = t.unreachable(prev)
	return t, nil
}

// Refresh signs what is published anew, valid for days from at: nothing else
// changes, and no package is read. Clients refuse a repository whose
// Valid-Until has passed.
func Refresh(prev *Published, key signing.Signer, at time.Time, days Days) (*Tree, error) {
	at = at.UTC().Truncate(time.Second)
	switch {
	case prev.Release == nil:
		return nil, errors.New("cannot refresh the repository: nothing is published yet")
	case at.Before(prev.Release.Date):
		return nil, tooOld(at, prev.Release.Date)
	case days == 0:
		days = defaultValidFor
	}
	release := *prev.Release
	release.Date, release.ValidUntil = at, at.Add(days.duration())
	t := &Tree{Release: &release, Packages: prev.Packages, Past: prev.Past, base: prev.base}
	return t, t.addRelease(key, at)
}

func tooOld(at, published time.Time) error {
	return fmt.Errorf("cannot publish with the date %s: the repository has %s, and clients ignore an older one: use a later date",
		at.Format(time.RFC3339), published.Format(time.RFC3339))
}

func (p *Published) permits(c *Config, at time.Time, consented bool) error {
	if p.codename != c.Codename {
		return fmt.Errorf("cannot build suite %s on top of suite %s: read the one that is to be replaced", c.Codename, p.codename)
	}
	if p.Release == nil {
		return nil
	}
	if at.Before(p.Release.Date) {
		return tooOld(at, p.Release.Date)
	}
	if consented {
		return nil
	}
	return consent(p.Release, c.release(at, nil))
}

func (c *Config) release(at time.Time, sums []Sum) *Release {
	r := &Release{
		Origin: c.Origin, Label: c.Label, Suite: c.Suite, Version: c.Version, Codename: c.Codename, Description: c.Description,
		Date: at, ValidUntil: at.Add(c.ValidFor.duration()), Snapshots: c.Snapshots,
		Architectures: c.Architectures, Components: c.Components,
		NotAutomatic: c.NotAutomatic, ButAutomaticUpgrades: c.ButAutomaticUpgrades, Sums: sums,
	}
	if c.URL != "" {
		r.Changelogs = c.URL + "/" + changelogs + "@CHANGEPATH@" + changelogSuffix
	}
	return r
}

func (t *Tree) add(path string, data []byte) {
	s := sumOf(path, data)
	t.Files = append(t.Files, File{Path: path, Data: data, Size: s.Size, SHA256: s.SHA256})
}

// addPool adds the packages that are not in the pool yet.
func (t *Tree) addPool() {
	for _, p := range t.Packages {
		if p.from != "" {
			t.Files = append(t.Files, File{Path: p.Filename, From: p.from, Size: p.Size, SHA256: p.SHA256})
		}
	}
}

const (
	changelogs      = "changelogs/"
	changelogSuffix = "_changelog"
)

func (t *Tree) addChangelogs() {
	seen := make(map[string]bool)
	for _, p := range t.Packages {
		path := changelogs + p.changePath() + changelogSuffix
		if p.changelog != nil && !seen[path] {
			seen[path] = true
			t.add(path, p.changelog)
		}
	}
}

// addIndices adds every index, by hash first, and returns their sums.
func (t *Tree) addIndices(c *Config, prev *Published, at time.Time) ([]Sum, error) {
	var plain []File
	var sums []Sum
	for _, component := range c.Components {
		for _, arch := range c.Architectures {
			path := component + "/binary-" + arch + "/Packages"
			files, err := compressed(path, packagesFile(t.Packages, component, arch))
			if err != nil {
				return nil, err
			}
			plain = append(plain, files...)
		}
	}
	for _, f := range plain {
		sums = append(sums, Sum{f.Path, f.Size, f.SHA256})
	}
	t.Past = prev.past(sums, at)
	history, err := historyFile(t.Past)
	if err != nil {
		return nil, err
	}
	plain = append(plain, history)
	sums = append(sums, Sum{history.Path, history.Size, history.SHA256})
	for i, f := range plain {
		t.add(prev.path(sums[i].byHash()), f.Data)
	}
	for _, f := range plain {
		t.add(prev.path(f.Path), f.Data)
	}
	return sums, nil
}

func compressed(path string, data []byte) ([]File, error) {
	var files []File
	for _, c := range compressions {
		packed, err := c.compress(data)
		if err != nil {
			return nil, fmt.Errorf("cannot compress %s: %w", path, err)
		}
		s := sumOf(path+c.suffix, packed)
		files = append(files, File{Path: s.Path, Data: packed, Size: s.Size, SHA256: s.SHA256})
	}
	return files, nil
}

// past returns the generations to keep once one with these sums is out at the
// time at: the last few, and all that clients may still hold.
func (p *Published) past(sums []Sum, at time.Time) []Generation {
	past := slices.Clone(p.Past)
	if p.Release != nil {
		indices := p.Release.indices()
		if !sameSums(indices, sums) {
			past = append([]Generation{{Date: p.Release.Date, Superseded: at, Sums: indices, packages: p.Packages}}, past...)
		}
	}
	for i, g := range past {
		if i >= keepGenerations && at.Sub(g.Superseded) > keepAge {
			return past[:i]
		}
	}
	return past
}

// indices returns the sums but for the history's own.
func (r *Release) indices() []Sum {
	return slices.DeleteFunc(slices.Clone(r.Sums), func(s Sum) bool { return s.Path == historyPath })
}

func sameSums(a, b []Sum) bool {
	return sumLines(a) == sumLines(b)
}

func historyFile(past []Generation) (File, error) {
	if past == nil {
		past = []Generation{}
	}
	data, err := json.MarshalIndent(past, "", " ")
	if err != nil {
		return File{}, fmt.Errorf("cannot write %s: %w", historyPath, err)
	}
	data = append(data, '\n')
	s := sumOf(historyPath, data)
	return File{Path: s.Path, Data: data, Size: s.Size, SHA256: s.SHA256}, nil
}

// addDownloads adds what a person fetches first: keyring, source and page.
func (t *Tree) addDownloads(c *Config, key signing.Signer) error {
	t.add(c.Keyring(), key.Public())
	t.add(strings.TrimSuffix(c.Keyring(), ".gpg")+".asc", key.Armored())
	if c.URL != "" {
		t.add(c.Name+".sources", []byte(c.sources().String()))
	}
	page, err := pageFile(c, t.Packages, key)
	if err != nil {
		return err
	}
	t.add("index.html", page)
	return nil
}

// sources is the deb822 source (sources.list(5)) that reads this repository.
func (c *Config) sources() Stanza {
	var s Stanza
	s.Set("Types", "deb")
	s.Set("URIs", c.URL)
	s.Set("Suites", c.Codename)
	var shown []string
	for _, component := range c.Components {
		if component != c.DebugComponent {
			shown = append(shown, component)
		}
	}
	s.Set("Components", strings.Join(shown, " "))
	s.Set("Signed-By", c.SignedBy())
	return s
}

// addRelease adds the files that make everything before them count.
func (t *Tree) addRelease(key signing.Signer, at time.Time) error {
	text := t.Release.Bytes()
	detached, err := key.Detach(text, at)
	if err != nil {
		return err
	}
	message, err := key.Clearsign(text, at)
	if err != nil {
		return err
	}
	dir := "dists/" + t.Release.Codename + "/"
	t.add(dir+"Release", text)
	t.add(dir+"Release.gpg", detached)
	t.add(dir+"InRelease", message)
	return nil
}

// InRelease returns the path and the bytes of the file that is published last.
func (t *Tree) InRelease() File { return t.Files[len(t.Files)-1] }

// unreachable lists what prev had and neither this tree nor a kept generation
// refers to, and by-hash files that a publish cut short left behind.
func (t *Tree) unreachable(prev *Published) []string {
	reachable := make(map[string]bool)
	for _, f := range t.Files {
		reachable[f.Path] = true
	}
	mark := func(sums []Sum, packages []Package) {
		for _, s := range sums {
			reachable[prev.path(s.byHash())] = true
		}
		for _, p := range packages {
			reachable[p.Filename] = true
		}
	}
	mark(t.Release.Sums, t.Packages)
	for _, g := range t.Past {
		mark(g.Sums, g.packages)
	}
	var gone []string
	for _, path := range append(prev.pool(), prev.byHash...) {
		if !reachable[path] {
			gone = append(gone, path)
		}
	}
	slices.Sort(gone)
	return slices.Compact(gone)
}

// pool lists every pool file that the published indices, now and past, name.
func (p *Published) pool() []string {
	var paths []string
	for _, q := range p.Packages {
		paths = append(paths, q.Filename)
	}
	for _, g := range p.Past {
		for _, q := range g.packages {
			paths = append(paths, q.Filename)
		}
	}
	return paths
}
