package release

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// debFile is one file of a package, or a symbolic link.
type debFile struct {
	dest string // path in the package, without leading slash
	mode fs.FileMode
	data []byte
	link string // target, where it is a link
}

// conffile says whether dpkg must ask before it overwrites an administrator's change: every file below /etc, as debhelper
// has it (dh_installdeb(1)).
func (f debFile) conffile() bool { return strings.HasPrefix(f.dest, "etc/") && f.link == "" }

// debContents is all that a package holds.
type debContents struct {
	files   []debFile
	scripts map[string][]byte // maintainer scripts by name
}

// installedSize is the Installed-Size field in KiB as dpkg-gencontrol counts it: each file and link rounded up to one KiB, each
// directory one, the root among them.
func (c debContents) installedSize() int64 {
	var size int64
	dirs := map[string]bool{".": true}
	for _, f := range c.files {
		bytes := max(len(f.data), len(f.link))
		size += (int64(bytes) + 1023) / 1024
		for dir := path.Dir(f.dest); dir != "."; dir = path.Dir(dir) {
			dirs[dir] = true
		}
	}
	return size + int64(len(dirs))
}

// sources is where the lines of an .install file find what they name.
type sources struct {
	dir       string                            // release/debian
	generated map[string]func() ([]byte, error) // by the name in the .install file
}

func (s sources) read(name string) ([]byte, error) {
	if make, ok := s.generated[name]; ok {
		return make()
	}
	if top, _, _ := strings.Cut(name, "/"); slices.Contains([]string{"built", "archive", "completion"}, top) {
		return nil, fmt.Errorf("nothing made %s", name)
	}
	return os.ReadFile(filepath.Join(s.dir, filepath.FromSlash(name)))
}

// contents collects what release/debian/PACKAGE.* say, as the debhelper commands do that these files are named after.
func (p Packing) contents(name, arch string, binaries []Certified) (debContents, error) {
	own, err := ownBinaries(arch, binaries)
	if err != nil {
		return debContents{}, err
	}
	src := sources{filepath.Join(p.Repo, debianDir), p.generated(name, own, binaries)}
	c := debContents{scripts: map[string][]byte{}}
	for _, step := range []func(string, sources) error{c.install, c.manpages, c.lintian, c.maintainerScripts} {
		if err := step(name, src); err != nil {
			return debContents{}, err
		}
	}
	if err := c.documents(p, name, src, own); err != nil {
		return debContents{}, err
	}
	if err := c.firstUpload(p.Changes.Full, name); err != nil {
		return debContents{}, err
	}
	slices.SortFunc(c.files, func(a, b debFile) int { return cmp.Compare(a.dest, b.dest) })
	return c, nil
}

// generated are the files that no folder holds: built/COMMAND; completion/SHELL/FILE, which the command prints itself, so that
// its completion can never be another version's; archive/PACKAGE.gpg, and archive/NAME.sources for PACKAGE NAME-archive-keyring.
func (p Packing) generated(name string, own map[string][]byte, binaries []Certified) map[string]func() ([]byte, error) {
	made := map[string]func() ([]byte, error){}
	given := func(data []byte) func() ([]byte, error) { return func() ([]byte, error) { return data, nil } }
	for command, data := range own {
		made["built/"+command] = given(data)
		for shell, file := range map[string]string{"bash": command, "zsh": "_" + command, "fish": command + ".fish"} {
			made["completion/"+shell+"/"+file] = func() ([]byte, error) { return completion(command, shell, binaries) }
		}
	}
	if len(p.Keyring) > 0 {
		made["archive/"+name+".gpg"] = given(p.Keyring)
		made["archive/"+strings.TrimSuffix(name, "-archive-keyring")+".sources"] = given(p.sourcesFile(name))
	}
	return made
}

// completion asks the binary for this machine, which is as certified as that for another.
func completion(command, shell string, binaries []Certified) ([]byte, error) {
	for _, b := range binaries {
		if b.Command != command || b.Arch != runtime.GOARCH {
			continue
		}
		path, err := filepath.Abs(b.Path)
		if err != nil {
			return nil, err
		}
		cmd := exec.Command(path, "completion", shell)
		cmd.Env = []string{"LC_ALL=C.UTF-8"}
		var said bytes.Buffer
		cmd.Stderr = &said
		text, err := cmd.Output()
		if err != nil {
			return nil, fmt.Errorf("%s completion %s: %w: %s", command, shell, err, strings.TrimSpace(said.String()))
		}
		return text, nil
	}
	return nil, fmt.Errorf("no %s for this machine (%s) to ask for its completion\nhint: build it for %s too", command, runtime.GOARCH, runtime.GOARCH)
}

// ownBinaries reads the binaries for arch and checks that they are still what was certified.
func ownBinaries(arch string, binaries []Certified) (map[string][]byte, error) {
	own := map[string][]byte{}
	for _, b := range binaries {
		if b.Arch != arch {
			continue
		}
		data, err := os.ReadFile(b.Path)
		if err != nil {
			return nil, err
		}
		if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != b.SHA256 {
			return nil, fmt.Errorf("%s changed since it was certified\nhint: build and certify again", b.Path)
		}
		if err := checkMachine(data, arch); err != nil {
			return nil, fmt.Errorf("%s: %w", b.Path, err)
		}
		own[b.Command] = data
	}
	return own, nil
}

var machines = map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}

func checkMachine(data []byte, arch string) error {
	f, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("not an executable: %w", err)
	}
	if want, known := machines[arch]; !known || f.Machine != want {
		return fmt.Errorf("an executable for %v, not for %s", f.Machine, arch)
	}
	return nil
}

// sourcesFile is an apt source of the archive that trusts the keyring package's key (sources.list(5)).
func (p Packing) sourcesFile(keyring string) []byte {
	return fmt.Appendf(nil, "Types: deb\nURIs: %s\nSuites: %s\nComponents: %s\nSigned-By: /usr/share/keyrings/%s.gpg\n",
		p.URL, p.Suite, cmp.Or(p.Component, "main"), keyring)
}

// install reads PACKAGE.install: a source and a directory on each line (dh_install(1)). Programs are executable.
func (c *debContents) install(name string, src sources) error {
	return src.eachLine(name+".install", func(line string) error {
		source, dir, ok := strings.Cut(line, " ")
		dir = strings.Trim(dir, " /")
		if !ok || dir == "" {
			return errors.New("a line is a file and the directory it goes to")
		}
		data, err := src.read(source)
		if err != nil {
			return err
		}
		mode := fs.FileMode(0o644)
		if base := path.Base(dir); base == "bin" || base == "sbin" || strings.HasPrefix(dir, "usr/libexec") {
			mode = 0o755
		}
		c.files = append(c.files, debFile{dest: path.Join(dir, path.Base(source)), mode: mode, data: data})
		return nil
	})
}

// manpages reads PACKAGE.manpages: a page on each line (dh_installman(1)).
func (c *debContents) manpages(name string, src sources) error {
	return src.eachLine(name+".manpages", func(page string) error {
		section := strings.TrimPrefix(path.Ext(page), ".")
		if section == "" {
			return fmt.Errorf("the page %s has no section in its name", page)
		}
		data, err := src.read(page)
		if err != nil {
			return err
		}
		return c.compressed("usr/share/man/man"+section+"/"+path.Base(page)+".gz", data)
	})
}

// eachLine calls use for every line of an optional file that is not empty or a comment.
func (s sources) eachLine(file string, use func(line string) error) error {
	text, err := os.ReadFile(filepath.Join(s.dir, file))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for i, line := range strings.Split(string(text), "\n") {
		line = strings.Join(strings.Fields(line), " ")
		if line == "" || line[0] == '#' {
			continue
		}
		if err := use(line); err != nil {
			return fmt.Errorf("%s/%s line %d: %w", debianDir, file, i+1, err)
		}
	}
	return nil
}

// lintian takes PACKAGE.lintian-overrides (dh_lintian(1)).
func (c *debContents) lintian(name string, src sources) error {
	data, err := src.read(name + ".lintian-overrides")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	c.files = append(c.files, debFile{dest: "usr/share/lintian/overrides/" + name, mode: 0o644, data: data})
	return err
}

// firstUpload overrides what lintian expects of a package that is new in Debian, while the changelog has one entry: later the
// override would be one too many.
func (c *debContents) firstUpload(text []byte, name string) error {
	log, err := parseChangelog(text)
	if err != nil || len(log.entries) != 1 {
		return err
	}
	dest := "usr/share/lintian/overrides/" + name
	i := slices.IndexFunc(c.files, func(f debFile) bool { return f.dest == dest })
	if i < 0 {
		i = len(c.files)
		c.files = append(c.files, debFile{dest: dest, mode: 0o644})
	}
	c.files[i].data = fmt.Appendf(c.files[i].data, "# The archive is not Debian's: no bug of Debian's asks for the package.\n"+
		"%s: initial-upload-closes-no-bugs [usr/share/doc/%s/changelog.Debian.gz:1]\n", name, name)
	return nil
}

// maintainerScripts takes PACKAGE.preinst and so on (dh_installdeb(1)).
func (c *debContents) maintainerScripts(name string, src sources) error {
	for _, script := range []string{"preinst", "postinst", "prerm", "postrm"} {
		data, err := src.read(name + "." + script)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		c.scripts[script] = data
	}
	return nil
}

// documents are the changelog and the copyright file that Debian Policy 12.7 and 12.5 ask for.
func (c *debContents) documents(p Packing, name string, src sources, own map[string][]byte) error {
	text, err := copyright(src, own)
	if err != nil {
		return err
	}
	doc := "usr/share/doc/" + name + "/"
	c.files = append(c.files, debFile{dest: doc + "copyright", mode: 0o644, data: text})
	return c.compressed(doc+"changelog.Debian.gz", p.Changes.Full)
}

// compressed adds a file as gzip -9n makes it: no name, no date.
func (c *debContents) compressed(dest string, data []byte) error {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := z.Write(data); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	c.files = append(c.files, debFile{dest: dest, mode: 0o644, data: b.Bytes()})
	return nil
}
