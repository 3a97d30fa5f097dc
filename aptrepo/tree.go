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
	indices, err := t.indices(&c)
	if err != nil {
		return nil, err
	}
	t.Past = prev.past(sumsOf(indices), at)
	record, gone := t.history(prev, sumsOf(indices))
	ledger, err := record.file()
	if err != nil {
		return nil, err
	}
	indices = append(indices, ledger)
	sums := sumsOf(indices)
	t.addIndices(prev, indices)
	if err := t.addDownloads(&c, key); err != nil {
		return nil, err
	}
	t.Release = c.release(at, sums)
	if err := t.addRelease(key, at); err != nil {
		return nil, err
	}
	t.Remove = append(gone, t.orphans(prev)...)
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

// indices makes every Packages file in every form.
func (t *Tree) indices(c *Config) ([]File, error) {
	var all []File
	for _, component := range c.Components {
		for _, arch := range c.Architectures {
			path := component + "/binary-" + arch + "/Packages"
			files, err := compressed(path, packagesFile(t.Packages, component, arch))
			if err != nil {
				return nil, err
			}
			all = append(all, files...)
		}
	}
	return all, nil
}

func sumsOf(files []File) []Sum {
	var sums []Sum
	for _, f := range files {
		sums = append(sums, Sum{f.Path, f.Size, f.SHA256})
	}
	return sums
}

// addIndices adds the files by hash, which nobody asks for yet, and then under
// their plain paths, which only clients without by-hash read.
func (t *Tree) addIndices(prev *Published, files []File) {
	for i, s := range sumsOf(files) {
		t.add(prev.path(s.byHash()), files[i].Data)
	}
	for _, f := range files {
		t.add(prev.path(f.Path), f.Data)
	}
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

// history returns the record to publish and the pool files to remove. The same
// indices keep the same record, so that a rerun writes the same bytes.
func (t *Tree) history(prev *Published, sums []Sum) (next history, gone []string) {
	named := make(map[string]bool)
	for _, path := range (&Published{Packages: t.Packages, Past: t.Past}).pool() {
		named[path] = true
	}
	if prev.shared != nil {
		for _, path := range append(prev.pool(), prev.history.Removed...) {
			if !named[path] && !prev.shared[path] && strings.HasPrefix(path, "pool/") && cleanPath(path) {
				gone = append(gone, path)
			}
		}
	}
	slices.Sort(gone)
	gone = slices.Compact(gone)
	if prev.Release != nil && sameSums(prev.Release.indices(), sums) {
		return prev.history, gone
	}
	return history{Generations: t.Past, Removed: gone}, gone
}

func (h history) file() (File, error) {
	h.Generations, h.Removed = append([]Generation{}, h.Generations...), append([]string{}, h.Removed...)
	data, err := json.MarshalIndent(h, "", " ")
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

// orphans lists the by-hash files that no kept generation has: those of
// forgotten ones, and what a publish cut short left behind.
func (t *Tree) orphans(prev *Published) []string {
	named := make(map[string]bool)
	for _, sums := range append([][]Sum{t.Release.Sums}, generationSums(t.Past)...) {
		for _, s := range sums {
			named[prev.path(s.byHash())] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(prev.byHash), func(path string) bool { return named[path] })
}

func generationSums(past []Generation) [][]Sum {
	var all [][]Sum
	for _, g := range past {
		all = append(all, g.Sums)
	}
	return all
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
