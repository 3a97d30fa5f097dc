package aptrepo

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/berth-oci/berth/signing"
)

// Published is a suite as it stands at a source, with as much of its past as
// is still installable.
type Published struct {
	Release  *Release // nil where nothing is published yet
	Packages []Package
	Past     []Generation // superseded ones, the newest first

	codename string
	base     string // SHA256 of InRelease, or ""
	history  history

	// What only a source that can list tells: every by-hash file there is, and
	// the pool files that other suites name. Without the latter (shared nil)
	// nothing is ever removed from the pool.
	byHash []string
	shared map[string]bool
}

// Generation is one set of indices that clients may still hold.
type Generation struct {
	Date       time.Time `json:"date"`       // of its Release file
	Superseded time.Time `json:"superseded"` // date of the Release that replaced it
	Sums       []Sum     `json:"sums"`       // its indices

	packages []Package
}

// history is what historyPath holds.
type history struct {
	Generations []Generation `json:"generations"`

	// Removed lists the pool files that no kept generation names any more. A
	// publish that was cut short may have left them; the next one looks.
	Removed []string `json:"removed"`
}

// historyPath is the file, relative to the suite's folder, that records past
// generations. Release lists its hash like an index's, so it is as trustworthy
// as they are, and changes at the same instant.
const historyPath = "history.json"

// lister is a source that can say what it holds.
type lister interface {
	List(prefix string) ([]string, error)
}

// Read reads what is published under codename. A place where nothing is yet
// gives an empty Published. It believes the hashes only: where others can
// write to the source, check the signature too, with keyring (nil does not):
// whatever is read here is what the next publish signs.
func Read(src Source, codename string, keyring []byte) (*Published, error) {
	p := &Published{codename: codename}
	message, err := readAll(src, p.path("InRelease"))
	if errors.Is(err, fs.ErrNotExist) {
		return p, p.list(src)
	}
	if err == nil {
		err = p.read(src, message, keyring)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the repository at %s: %w", src, err)
	}
	return p, p.list(src)
}

func (p *Published) path(name string) string { return "dists/" + p.codename + "/" + name }

func (p *Published) read(src Source, message, keyring []byte) error {
	p.base = sumOf("", message).SHA256
	var err error
	if p.Release, err = readRelease(message, keyring); err != nil {
		return err
	}
	if p.Packages, err = p.readIndices(src, p.Release.Sums); err != nil {
		return err
	}
	return p.readPast(src)
}

// readRelease verifies the message at its own date: a key that has expired
// since still signed it rightly then.
func readRelease(message, keyring []byte) (*Release, error) {
	text := signedText(message)
	if text == nil {
		return nil, errors.New("InRelease is not a cleartext signed message")
	}
	release, err := ParseRelease(text)
	if err != nil || keyring == nil {
		return release, err
	}
	if text, _, err = signing.VerifyClearsigned(keyring, message, release.Date); err != nil {
		return nil, fmt.Errorf("InRelease: %w", err)
	}
	return ParseRelease(text)
}

func signedText(message []byte) []byte {
	_, rest, found := bytes.Cut(message, []byte("\n\n"))
	if !found || !bytes.HasPrefix(message, []byte("-----BEGIN PGP SIGNED MESSAGE-----\n")) {
		return nil
	}
	text, _, found := bytes.Cut(rest, []byte("\n-----BEGIN PGP SIGNATURE-----\n"))
	if !found {
		return nil
	}
	return append(bytes.Clone(text), '\n')
}

// readIndices reads the Packages files among sums.
func (p *Published) readIndices(src Source, sums []Sum) ([]Package, error) {
	var all []Package
	for _, s := range sums {
		component, file, _ := strings.Cut(s.Path, "/")
		if !strings.HasPrefix(file, "binary-") || !strings.HasSuffix(file, "/Packages") {
			continue
		}
		data, err := p.readSum(src, sums, s)
		if err != nil {
			return nil, err
		}
		packages, err := parsePackages(data, component)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.path(s.Path), err)
		}
		all = merge(all, packages)
	}
	slices.SortFunc(all, order)
	return all, nil
}

// readSum reads an index by its hash, falling back to its compressed forms and
// to its plain path, as other publishers' repositories may need.
func (p *Published) readSum(src Source, sums []Sum, s Sum) ([]byte, error) {
	var failures []error
	for _, suffix := range []string{"", ".xz", ".gz"} {
		i := slices.IndexFunc(sums, func(t Sum) bool { return t.Path == s.Path+suffix })
		if i < 0 {
			continue
		}
		for _, path := range []string{sums[i].byHash(), sums[i].Path} {
			data, err := readMatching(src, p.path(path), sums[i])
			if err == nil {
				data, err = expand(suffix, data)
			}
			if err == nil {
				err = s.matches(data)
			}
			if err == nil {
				return data, nil
			}
			failures = append(failures, err)
		}
	}
	return nil, fmt.Errorf("cannot read %s: %w", p.path(s.Path), errors.Join(failures...))
}

func readMatching(src Source, path string, s Sum) ([]byte, error) {
	data, err := readAll(src, path)
	if err != nil {
		return nil, err
	}
	return data, s.matches(data)
}

func expand(suffix string, data []byte) ([]byte, error) {
	if suffix == "" {
		return data, nil
	}
	r, err := decompress("index"+suffix, bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return limited(r, maxIndex)
}

// readPast reads the generations that are still whole. One that lost files can
// be installed by nobody and is forgotten.
func (p *Published) readPast(src Source) error {
	s, found := p.Release.sum(historyPath)
	if !found {
		return nil
	}
	data, err := p.readSum(src, p.Release.Sums, s)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, &p.history); err != nil {
		return fmt.Errorf("%s: %w", p.path(historyPath), err)
	}
	for _, g := range p.history.Generations {
		if g.packages, err = p.readIndices(src, g.Sums); err == nil {
			p.Past = append(p.Past, g)
		}
	}
	return nil
}

func (p *Published) list(src Source) error {
	l, ok := src.(lister)
	if !ok {
		return nil
	}
	files, err := l.List("dists")
	if err != nil {
		return fmt.Errorf("cannot list the repository at %s: %w", src, err)
	}
	p.shared = make(map[string]bool)
	for _, f := range files {
		suite, name, _ := strings.Cut(strings.TrimPrefix(f, "dists/"), "/")
		switch {
		case suite == p.codename && strings.Contains(f, "/by-hash/SHA256/"):
			p.byHash = append(p.byHash, f)
		case suite != p.codename && name == "InRelease":
			p.share(src, suite)
		}
	}
	return nil
}

// share notes what another suite of the same pool names. One that cannot be
// read might name anything.
func (p *Published) share(src Source, suite string) {
	other := &Published{codename: suite}
	message, err := readAll(src, other.path("InRelease"))
	if err == nil {
		err = other.read(src, message, nil)
	}
	if err != nil {
		p.shared = nil
	}
	if p.shared == nil {
		return
	}
	for _, path := range other.pool() {
		p.shared[path] = true
	}
}

// Add returns the packages there are once more have been added. A package
// already published is not added again; one with the same name, version and
// architecture but other bytes is refused.
func (p *Published) Add(c Config, more ...*Package) ([]Package, error) {
	c, err := c.resolved()
	if err != nil {
		return nil, err
	}
	all := slices.Clone(p.Packages)
	for _, m := range more {
		next := *m
		next.Component = c.componentOf(m)
		next.Filename = next.poolPath()
		if err := c.accepts(&next); err != nil {
			return nil, err
		}
		i := slices.IndexFunc(all, func(q Package) bool { return q.Filename == next.Filename || q.ID() == next.ID() })
		switch {
		case i < 0:
			all = append(all, next)
		case all[i].ID() != next.ID(): // they differ in the epoch alone
			return nil, fmt.Errorf("cannot add %s: its file %s is that of %s: raise the version", next.ID(), next.Filename, all[i].ID())
		case all[i].SHA256 != next.SHA256:
			return nil, fmt.Errorf("cannot add %s: that version is published with other bytes: raise the version", next.ID())
		}
	}
	slices.SortFunc(all, order)
	return keepNewest(all, c.KeepVersions), nil
}

func (c *Config) componentOf(p *Package) string {
	switch {
	case p.Component != "":
		return p.Component
	case c.DebugComponent != "" && p.debug():
		return c.DebugComponent
	}
	return c.Components[0]
}

func (c *Config) accepts(p *Package) error {
	if !slices.Contains(c.Components, p.Component) {
		return fmt.Errorf("cannot add %s: the repository has no component %s", p.ID(), p.Component)
	}
	if p.Architecture != "all" && !slices.Contains(c.Architectures, p.Architecture) {
		return fmt.Errorf("cannot add %s: the repository has no architecture %s (it has %s)",
			p.ID(), p.Architecture, strings.Join(c.Architectures, ", "))
	}
	return nil
}

// keepNewest drops all but the newest count versions of each package and
// architecture from a sorted list.
func keepNewest(all []Package, count int) []Package {
	if count == 0 {
		return all
	}
	seen := make(map[string]int)
	return slices.DeleteFunc(slices.Clone(all), func(p Package) bool {
		key := p.Name + ":" + p.Architecture
		seen[key]++
		return seen[key] > count
	})
}

// Retract returns the packages there are once those named are gone, each as
// NAME=VERSION or NAME:ARCH=VERSION. Their files stay in the pool for as long
// as past indices name them.
func (p *Published) Retract(ids ...string) ([]Package, error) {
	all := slices.Clone(p.Packages)
	for _, id := range ids {
		before := len(all)
		all = slices.DeleteFunc(all, func(q Package) bool { return id == q.ID() || id == q.Name+"="+q.Version })
		if len(all) == before {
			return nil, fmt.Errorf("cannot retract %s: no such package is published (name it NAME=VERSION or NAME:ARCH=VERSION)", id)
		}
	}
	return all, nil
}

// At returns the packages as they were published at date: what a rollback
// publishes again, under a new date, since clients ignore an older one.
func (p *Published) At(date time.Time) ([]Package, error) {
	for _, g := range p.Past {
		if !g.Date.After(date) && date.Before(g.Superseded) {
			return slices.Clone(g.packages), nil
		}
	}
	if p.Release != nil && !p.Release.Date.After(date) {
		return slices.Clone(p.Packages), nil
	}
	return nil, fmt.Errorf("cannot roll back to %s: that generation is not kept any more (see the list of those that are)", date.UTC().Format(time.RFC3339))
}
