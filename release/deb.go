package release

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goreleaser/nfpm/v2"
	"github.com/goreleaser/nfpm/v2/deb"
	"github.com/goreleaser/nfpm/v2/files"
)

// Packing is everything besides the binaries that packages are made from.
type Packing struct {
	Repo      string  // top of the work tree: release/debian below it says what goes where
	Out       string  // folder that gets the .deb files, made where it is missing
	Version   Version // the version of every package
	Changes   Changes
	Keyring   []byte // public key of the archive, binary OpenPGP, for the keyring package
	URL       string // where the repository will be served, for the example of a .sources file
	Suite     string // the suite that the example names
	Component string // the component that the example names; empty is main
}

// Pack makes the packages of release/debian/control: one per architecture of the binaries, and the Architecture: all ones
// once. The result is ordered by name, then architecture; the same input gives the same bytes whatever the clock, the time
// zone, the umask and the folder.
//
// A binary that is no longer what was certified, or is not for its architecture, is an error, and so is a file that the
// packaging names and nobody has. Files that were written before an error stay in Out; none of them is incomplete.
func Pack(p Packing, binaries ...Certified) ([]Package, error) {
	control, err := readControl(p.Repo)
	if err != nil {
		return nil, fmt.Errorf("cannot pack: %w", err)
	}
	if err := os.MkdirAll(p.Out, 0o755); err != nil {
		return nil, fmt.Errorf("cannot pack: %w", err)
	}
	var made []Package
	for _, s := range control.packages {
		archs := architectures(s, binaries)
		if len(archs) == 0 {
			return nil, fmt.Errorf("cannot pack %s: no binary for %s", s["Package"], s["Architecture"])
		}
		for _, arch := range archs {
			one, err := p.pack(control, s, arch, binaries)
			if err != nil {
				return nil, fmt.Errorf("cannot pack %s for %s: %w", s["Package"], arch, err)
			}
			made = append(made, one)
		}
	}
	slices.SortFunc(made, func(a, b Package) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Arch, b.Arch))
	})
	return made, nil
}

// architectures are those that the stanza names and a binary was built for, or all.
func architectures(s stanza, binaries []Certified) []string {
	named := strings.Fields(s["Architecture"])
	if slices.Contains(named, "all") {
		return []string{"all"}
	}
	var built []string
	for _, b := range binaries {
		if (slices.Contains(named, b.Arch) || slices.Contains(named, "any")) && !slices.Contains(built, b.Arch) {
			built = append(built, b.Arch)
		}
	}
	return built
}

// pack makes one package, in memory, and writes it under its own name once it is whole.
func (p Packing) pack(c control, s stanza, arch string, binaries []Certified) (Package, error) {
	contents, err := p.contents(s["Package"], arch, binaries)
	if err != nil {
		return Package{}, err
	}
	stage, err := os.MkdirTemp("", "deb-")
	if err != nil {
		return Package{}, err
	}
	defer os.RemoveAll(stage)
	info := p.info(c.common, s, arch)
	if err := p.stage(info, contents, stage); err != nil {
		return Package{}, err
	}
	var packed bytes.Buffer
	if err := deb.Default.Package(info, &packed); err != nil {
		return Package{}, err
	}
	whole, err := withInstalledSize(packed.Bytes(), contents.installedSize())
	if err != nil {
		return Package{}, err
	}
	return writePackage(whole, p.Out, Package{Name: s["Package"], Version: p.Version.Debian, Arch: arch})
}

// writePackage writes the .deb beside its name and renames it, so that the name never holds half of it.
func writePackage(whole []byte, dir string, one Package) (Package, error) {
	sum := sha256.Sum256(whole)
	one.SHA256, one.Size = hex.EncodeToString(sum[:]), int64(len(whole))
	one.File = filepath.Join(dir, fmt.Sprintf("%s_%s_%s.deb", one.Name, one.Version, one.Arch))
	if err := os.WriteFile(one.File+".new", whole, 0o644); err != nil {
		return Package{}, errors.Join(err, os.RemoveAll(one.File+".new"))
	}
	if err := os.Chmod(one.File+".new", 0o644); err != nil { // whatever the umask
		return Package{}, err
	}
	return one, os.Rename(one.File+".new", one.File)
}

// nfpmFields are those that nfpm writes from fields of its own; every other one goes through as it stands.
var nfpmFields = []string{"Package", "Source", "Architecture", "Section", "Priority", "Maintainer", "Homepage", "Description",
	"Depends", "Pre-Depends", "Recommends", "Suggests", "Conflicts", "Breaks", "Replaces", "Provides"}

// info is the control file as nfpm takes it. The package's own fields win over those of the source.
func (p Packing) info(common, s stanza, arch string) *nfpm.Info {
	field := func(name string) string { return cmp.Or(s[name], common[name]) }
	relation := func(name string) []string { return relations(s[name], p.Version.Debian) }
	info := &nfpm.Info{
		Name: s["Package"], Arch: arch, Platform: "linux", Version: p.Version.Debian,
		Section: field("Section"), Priority: cmp.Or(field("Priority"), "optional"), Maintainer: common["Maintainer"],
		Homepage: field("Homepage"), Description: unfold(s["Description"]),
		MTime: p.Version.CommitTime, DisableGlobbing: true,
	}
	info.Depends, info.Recommends, info.Suggests = relation("Depends"), relation("Recommends"), relation("Suggests")
	info.Conflicts, info.Replaces, info.Provides = relation("Conflicts"), relation("Replaces"), relation("Provides")
	info.Deb = nfpm.Deb{Compression: "xz", Predepends: relation("Pre-Depends"), Breaks: relation("Breaks"), Fields: map[string]string{}}
	for name, value := range s {
		if !slices.Contains(nfpmFields, name) {
			info.Deb.Fields[name] = value
		}
	}
	return info
}

// relations splits a relationship field at its commas, and writes the version where it says ${binary:Version}
// (deb-substvars(5)).
func relations(value, version string) []string {
	var all []string
	for one := range strings.SplitSeq(strings.ReplaceAll(value, "${binary:Version}", version), ",") {
		if one = strings.TrimSpace(one); one != "" {
			all = append(all, one)
		}
	}
	return all
}

// unfold takes the space off each line of an extended description, which nfpm puts there itself; a lone dot is an empty line.
func unfold(description string) string {
	lines := strings.Split(description, "\n")
	for i, line := range lines {
		if lines[i] = strings.TrimSpace(line); lines[i] == "." {
			lines[i] = ""
		}
	}
	return strings.Join(lines, "\n")
}

// stage writes the files where nfpm can read them, and says of each where it goes, with what mode and date.
func (p Packing) stage(info *nfpm.Info, contents debContents, dir string) error {
	for i, f := range contents.files {
		source := filepath.Join(dir, fmt.Sprint(i))
		if err := os.WriteFile(source, f.data, 0o600); err != nil {
			return err
		}
		c := &files.Content{Source: source, Destination: "/" + f.dest, Type: files.TypeFile,
			FileInfo: &files.ContentFileInfo{Owner: "root", Group: "root", Mode: f.mode, MTime: info.MTime}}
		switch {
		case f.link != "":
			c.Type, c.Source, c.FileInfo.Mode = files.TypeSymlink, f.link, 0o777
		case f.conffile():
			c.Type = files.TypeConfig
		}
		info.Contents = append(info.Contents, c)
	}
	for name, target := range map[string]*string{"preinst": &info.Scripts.PreInstall, "postinst": &info.Scripts.PostInstall,
		"prerm": &info.Scripts.PreRemove, "postrm": &info.Scripts.PostRemove} {
		if text, ok := contents.scripts[name]; ok {
			*target = filepath.Join(dir, name)
			if err := os.WriteFile(*target, text, 0o600); err != nil {
				return err
			}
		}
	}
	return nil
}
