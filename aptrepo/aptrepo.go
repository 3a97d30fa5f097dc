// Package aptrepo makes, publishes and checks apt repositories.
//
// The parties: a publisher has packages and a key (package signing); a server
// or an object store only holds files and is not trusted; a client holds the
// public keyring and believes InRelease by its signature, an index by the hash
// in InRelease, and a package by the hash in the index. What this package
// decides is which files there are; what it promises is that at every moment,
// whatever fails, a client finds one whole repository: the old or the new.
//
// The road:
//
//	Read      a Source           → Published  what is there now, with its past
//	Add, …    Published          → packages   what shall be there next
//	Build     packages, Config   → Tree       every file of the new repository, signed: a pure value
//	Publish   Tree, Destination  → nothing    staged whole, then renamed in order, InRelease last
//	Verify    a Source, keyring  → Report     read back as apt reads
package aptrepo

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Config is what the owner of a repository decides.
type Config struct {
	// Name names the files to download, NAME.sources and
	// NAME-archive-keyring.gpg, and the keyring's place on a client.
	Name string `json:"name"`

	// Origin, Label and Codename are what clients hold on to: once published
	// they change only by consent (see [Build]). Codename is also the suite's
	// folder below dists/ and what goes into Suites: of a source.
	Origin   string `json:"origin"`
	Label    string `json:"label,omitempty"` // default: Origin
	Codename string `json:"codename"`

	Suite       string `json:"suite,omitempty"` // default: Codename
	Version     string `json:"version,omitempty"`
	Description string `json:"description,omitempty"`

	Architectures []string `json:"architectures"`
	Components    []string `json:"components,omitempty"` // default: main

	// DebugComponent, if set, takes packages of debug symbols, out of the way
	// of clients who do not ask for it.
	DebugComponent string `json:"debug_component,omitempty"`

	// ValidFor is how long clients believe a Release file: so long can an
	// attacker on the network hold updates back. Sign anew (see [Refresh])
	// well before. 0 means 30 days.
	ValidFor Days `json:"valid_for_days,omitempty"`

	NotAutomatic         bool `json:"not_automatic,omitempty"`
	ButAutomaticUpgrades bool `json:"but_automatic_upgrades,omitempty"`

	// URL is where the repository is served, without a slash at the end. It
	// goes into the .sources file, the page and Changelogs; empty leaves out
	// the first and the last.
	URL string `json:"url,omitempty"`

	// Snapshots is the address, with @SNAPSHOTID@ in it, of a server that keeps
	// the repository's past, if there is one.
	Snapshots string `json:"snapshots,omitempty"`

	// KeepVersions is how many versions of each package the index lists; 0
	// means all.
	KeepVersions int `json:"keep_versions,omitempty"`

	Page Page `json:"page,omitzero"`
}

// Page is what index.html says to a person besides what the repository knows.
type Page struct {
	Title    string   `json:"title,omitempty"`   // default: Origin
	Summary  string   `json:"summary,omitempty"` // a paragraph of plain text
	Homepage string   `json:"homepage,omitempty"`
	Install  []string `json:"install,omitempty"` // packages of the example; default: the first by name

	// Unofficial, if set, is shown loudly at the top: why nobody should install
	// from here without knowing who made it.
	Unofficial string `json:"unofficial,omitempty"`
}

// Days is a duration in whole days.
type Days int

func (d Days) duration() time.Duration { return time.Duration(d) * 24 * time.Hour }

const (
	defaultValidFor = Days(30)

	// How much of the past stays installable after a publish: clients that
	// fetched an older InRelease still find its indices and packages.
	keepGenerations = 3
	keepAge         = 14 * 24 * time.Hour
)

// Check says what is wrong with the configuration, if anything.
func (c Config) Check() error {
	_, err := c.resolved()
	return err
}

// resolved returns the configuration with its defaults, checked.
func (c Config) resolved() (Config, error) {
	if c.Label == "" {
		c.Label = c.Origin
	}
	if c.Suite == "" {
		c.Suite = c.Codename
	}
	if len(c.Components) == 0 {
		c.Components = []string{"main"}
	}
	if c.DebugComponent != "" && !slices.Contains(c.Components, c.DebugComponent) {
		c.Components = append(slices.Clone(c.Components), c.DebugComponent)
	}
	if c.ValidFor == 0 {
		c.ValidFor = defaultValidFor
	}
	if c.Page.Title == "" {
		c.Page.Title = c.Origin
	}
	c.URL = strings.TrimRight(c.URL, "/")
	if err := c.check(); err != nil {
		return c, fmt.Errorf("cannot use the repository's configuration: %w", err)
	}
	return c, nil
}

var wordForm = regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]*$`)

func (c *Config) check() error {
	for _, f := range []struct{ name, value string }{{"name", c.Name}, {"codename", c.Codename}} {
		if !wordForm.MatchString(f.value) {
			return fmt.Errorf("%s %q: use lower-case letters, digits and the signs + - . only", f.name, f.value)
		}
	}
	for _, f := range []struct{ name, value string }{{"origin", c.Origin}, {"label", c.Label}, {"suite", c.Suite},
		{"version", c.Version}, {"description", c.Description}, {"snapshots", c.Snapshots}, {"url", c.URL}} {
		if strings.ContainsAny(f.value, "\r\n") || strings.TrimSpace(f.value) != f.value {
			return fmt.Errorf("%s %q: use one line without blanks around it", f.name, f.value)
		}
	}
	if c.Origin == "" {
		return errors.New("no origin: name who publishes")
	}
	if len(c.Architectures) == 0 || slices.Contains(c.Architectures, "all") {
		return fmt.Errorf("architectures %q: name at least one, and not \"all\", which every index holds anyway", c.Architectures)
	}
	if strings.ContainsAny(c.URL, " \t\"<>") {
		return fmt.Errorf("url %q: blanks and quotes are not allowed", c.URL)
	}
	if c.ValidFor < 0 || c.KeepVersions < 0 {
		return errors.New("valid_for_days and keep_versions cannot be negative")
	}
	return c.checkWords()
}

func (c *Config) checkWords() error {
	for name, list := range map[string][]string{"architecture": c.Architectures, "component": c.Components} {
		for i, word := range list {
			if !wordForm.MatchString(word) {
				return fmt.Errorf("%s %q: use lower-case letters, digits and the signs + - . only", name, word)
			}
			if slices.Contains(list[:i], word) {
				return fmt.Errorf("%s %q is named twice", name, word)
			}
		}
	}
	return nil
}

// Keyring is the file name of the public keyring.
func (c *Config) Keyring() string { return c.Name + "-archive-keyring.gpg" }

// SignedBy is where the keyring belongs on a client: where the keyring package
// installs it too, so that a rotation reaches every client by an upgrade.
func (c *Config) SignedBy() string { return "/usr/share/keyrings/" + c.Keyring() }
