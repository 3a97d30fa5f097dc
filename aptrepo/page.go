package aptrepo

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"slices"
	"strings"

	"github.com/berth-oci/berth/signing"
)

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// pageData is what page.html shows.
type pageData struct {
	Config       *Config
	Fingerprints []string
	Sources      string
	SourcesPath  string
	Commands     string
	Packages     []pagePackage
}

type pagePackage struct {
	Name, Version, Architectures, Summary string
	Older                                 []string
}

// pageFile writes index.html, which tells a person how to install. It loads
// nothing from elsewhere and shows no date, so that signing anew leaves it
// alone.
func pageFile(c *Config, packages []Package, key signing.Signer) ([]byte, error) {
	data := pageData{Config: c, Sources: c.sources().String(), SourcesPath: "/etc/apt/sources.list.d/" + c.Name + ".sources"}
	for fpr := range strings.SplitSeq(key.Fingerprint(), ",") {
		data.Fingerprints = append(data.Fingerprints, grouped(fpr))
	}
	data.Packages = pagePackages(c, packages)
	data.Commands = strings.Join(InstallCommands(*c, packages), "\n")
	var out bytes.Buffer
	if err := pageTemplate.Execute(&out, data); err != nil {
		return nil, fmt.Errorf("cannot write index.html: %w", err)
	}
	return out.Bytes(), nil
}

// InstallCommands returns the lines that a person pastes to install from the
// repository; none where the configuration has no URL.
func InstallCommands(c Config, packages []Package) []string {
	if c.URL == "" {
		return nil
	}
	install := c.Page.Install
	if shown := pagePackages(&c, packages); len(install) == 0 && len(shown) > 0 {
		install = []string{shown[0].Name}
	}
	fetch := func(file, to string) string {
		if dir, local := strings.CutPrefix(c.URL, "file:"); local {
			return "sudo install -m 644 " + "/" + strings.TrimLeft(dir, "/") + "/" + file + " " + to
		}
		return "sudo curl -fsSLo " + to + " " + c.URL + "/" + file
	}
	return []string{
		fetch(c.Keyring(), c.SignedBy()),
		fetch(c.Name+".sources", "/etc/apt/sources.list.d/"+c.Name+".sources"),
		"sudo apt update",
		"sudo apt install " + strings.Join(install, " "),
	}
}

// grouped writes a fingerprint as gpg shows it, for comparing by eye.
func grouped(fpr string) string {
	var groups []string
	for chunk := range slices.Chunk([]byte(fpr), 4) {
		groups = append(groups, string(chunk))
	}
	return strings.Join(groups, " ")
}

// pagePackages folds the index (sorted) into one row per package.
func pagePackages(c *Config, packages []Package) []pagePackage {
	var rows []pagePackage
	for _, p := range packages {
		if c.DebugComponent != "" && p.Component == c.DebugComponent {
			continue
		}
		if len(rows) == 0 || rows[len(rows)-1].Name != p.Name {
			summary, _, _ := strings.Cut(p.Control.Get("Description"), "\n")
			rows = append(rows, pagePackage{Name: p.Name, Version: p.Version, Architectures: p.Architecture, Summary: summary})
			continue
		}
		row := &rows[len(rows)-1]
		switch {
		case p.Version == row.Version:
			row.Architectures += ", " + p.Architecture
		case !slices.Contains(row.Older, p.Version):
			row.Older = append(row.Older, p.Version)
		}
	}
	return rows
}
