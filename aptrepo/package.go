package aptrepo

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// Package is one .deb: in a file not yet published, or in the pool.
type Package struct {
	Name, Version, Architecture string

	// Component is the part of the suite that lists the package, such as main.
	// Empty means the configuration's first, or its debug component where the
	// package holds debug symbols.
	Component string

	Filename string // path in the repository; set when it is published
	Size     int64  // bytes
	SHA256   string // hex

	// Control has the fields of the package's control file, and nothing of the
	// index. A caller may add fields for apt before publishing, such as
	// Phased-Update-Percentage.
	Control Stanza

	changelog []byte // the Debian changelog, for apt changelog; nil if unknown
	from      string // the local file; empty once published
}

// The most that parts of a package may hold in memory: a hostile package must
// not exhaust it. Real control archives have kilobytes.
const (
	maxControl   = 16 << 20
	maxChangelog = 16 << 20
)

// ReadPackage reads a .deb file (deb(5)): its hash, its control fields and its
// changelog.
func ReadPackage(file string) (*Package, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("cannot read package: %w", err)
	}
	defer f.Close()
	p, err := parsePackage(f)
	if err != nil {
		return nil, fmt.Errorf("cannot read package %s: %w", file, err)
	}
	p.from = file
	return p, nil
}

func parsePackage(f io.Reader) (*Package, error) {
	sum := sha256.New()
	counter := &counted{r: io.TeeReader(f, sum)}
	p := &Package{}
	if err := p.readMembers(counter); err != nil {
		return nil, err
	}
	if _, err := io.Copy(io.Discard, counter); err != nil {
		return nil, err
	}
	p.Size, p.SHA256 = counter.n, hex.EncodeToString(sum.Sum(nil))
	return p, p.fill()
}

type counted struct {
	r io.Reader
	n int64
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	return n, err
}

// readMembers walks the ar archive: debian-binary, control.tar*, data.tar*.
func (p *Package) readMembers(r io.Reader) error {
	magic := make([]byte, 8)
	if _, err := io.ReadFull(r, magic); err != nil || string(magic) != "!<arch>\n" {
		return errors.New("not a .deb: it does not begin as an ar archive")
	}
	for {
		name, body, err := nextMember(r)
		if err == io.EOF {
			break
		}
		if err == nil {
			err = p.readMember(name, body)
		}
		if err == nil {
			_, err = io.Copy(io.Discard, body)
		}
		if err == nil && body.N > 0 {
			err = io.ErrUnexpectedEOF
		}
		if err == nil && body.odd {
			_, err = io.CopyN(io.Discard, r, 1)
		}
		if err != nil {
			return memberError(name, err)
		}
	}
	if p.Control == nil {
		return errors.New("not a .deb: it has no control archive")
	}
	return nil
}

func memberError(name string, err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || err == io.EOF {
		err = errors.New("it is cut short")
	}
	if name == "" {
		return err
	}
	return fmt.Errorf("%s: %w", name, err)
}

type member struct {
	io.LimitedReader
	odd bool
}

func nextMember(r io.Reader) (string, *member, error) {
	header := make([]byte, 60)
	if _, err := io.ReadFull(r, header); err != nil {
		return "", nil, err
	}
	size, err := strconv.ParseInt(strings.TrimSpace(string(header[48:58])), 10, 64)
	if err != nil || size < 0 || string(header[58:]) != "`\n" {
		return "", nil, errors.New("not a .deb: broken ar header")
	}
	name := strings.TrimSuffix(strings.TrimSpace(string(header[:16])), "/")
	return name, &member{io.LimitedReader{R: r, N: size}, size%2 == 1}, nil
}

func (p *Package) readMember(name string, body io.Reader) error {
	switch {
	case name == "debian-binary":
		version, err := io.ReadAll(io.LimitReader(body, 64))
		if err == nil && !strings.HasPrefix(string(version), "2.") {
			return fmt.Errorf("unknown format %q", version)
		}
		return err
	case strings.HasPrefix(name, "control.tar"):
		return walkTar(name, body, func(entry string, r io.Reader) (bool, error) {
			if entry != "control" {
				return false, nil
			}
			return true, p.readControl(r)
		})
	case strings.HasPrefix(name, "data.tar") && p.Control != nil:
		return p.readChangelog(name, body)
	}
	return nil
}

func (p *Package) readControl(r io.Reader) error {
	text, err := limited(r, maxControl)
	if err != nil {
		return err
	}
	stanzas, err := ParseStanzas(string(text))
	if err != nil {
		return fmt.Errorf("control file: %w", err)
	}
	if len(stanzas) != 1 {
		return fmt.Errorf("control file: %d stanzas, not 1", len(stanzas))
	}
	p.Control = stanzas[0]
	return nil
}

// readChangelog finds the Debian changelog where Policy 12.7 puts it.
func (p *Package) readChangelog(name string, body io.Reader) error {
	doc := "usr/share/doc/" + p.Control.Get("Package") + "/"
	return walkTar(name, body, func(entry string, r io.Reader) (bool, error) {
		if entry != doc+"changelog.Debian.gz" && entry != doc+"changelog.gz" {
			return false, nil
		}
		z, err := gzip.NewReader(r)
		if err != nil {
			return false, nil // a broken changelog is lintian's business
		}
		text, err := limited(z, maxChangelog)
		if err != nil {
			return false, nil
		}
		p.changelog = text
		return strings.HasSuffix(entry, "Debian.gz"), nil
	})
}

func limited(r io.Reader, most int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, most+1))
	if err == nil && int64(len(data)) > most {
		err = fmt.Errorf("larger than %d bytes", most)
	}
	return data, err
}

// walkTar calls visit for each regular file until it says it is done.
func walkTar(name string, body io.Reader, visit func(string, io.Reader) (bool, error)) error {
	plain, err := decompress(name, body)
	if err != nil {
		return err
	}
	defer plain.Close()
	for t := tar.NewReader(plain); ; {
		h, err := t.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		if done, err := visit(strings.TrimPrefix(path.Clean("/"+h.Name), "/"), t); done || err != nil {
			return err
		}
	}
}

// decompress undoes the compressions that deb(5) allows.
func decompress(name string, r io.Reader) (io.ReadCloser, error) {
	switch path.Ext(name) {
	case ".tar":
		return io.NopCloser(r), nil
	case ".gz":
		return gzip.NewReader(r)
	case ".xz":
		x, err := xz.NewReader(bufio.NewReader(r))
		return io.NopCloser(x), err
	case ".zst":
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(1<<30))
		if err != nil {
			return nil, err
		}
		return z.IOReadCloser(), nil
	}
	return nil, fmt.Errorf("unknown compression %q (known: gz, xz, zst, none)", path.Ext(name))
}

var nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]+$`)

// fill takes the identifying fields from the control stanza and checks them:
// they become parts of paths.
func (p *Package) fill() error {
	p.Name, p.Version, p.Architecture = p.Control.Get("Package"), p.Control.Get("Version"), p.Control.Get("Architecture")
	if !nameForm.MatchString(p.Name) {
		return fmt.Errorf("control file: Package %q is not a package name", p.Name)
	}
	if err := checkVersion(p.Version); err != nil {
		return fmt.Errorf("control file: Version %w", err)
	}
	if !nameForm.MatchString(p.Architecture) {
		return fmt.Errorf("control file: Architecture %q is not an architecture", p.Architecture)
	}
	if source, version := p.source(); !nameForm.MatchString(source) || checkVersion(version) != nil {
		return fmt.Errorf("control file: Source %q is not a source package", p.Control.Get("Source"))
	}
	for _, name := range []string{"Maintainer", "Description"} {
		if p.Control.Get(name) == "" {
			return fmt.Errorf("control file: no field %s", name)
		}
	}
	for _, name := range indexFields {
		p.Control.Set(name, "")
	}
	return nil
}

// source returns the source package's name and version: "Source: name
// (version)", each part defaulting to the binary package's.
func (p *Package) source() (name, version string) {
	name, version, found := strings.Cut(p.Control.Get("Source"), " ")
	if name == "" {
		name = p.Name
	}
	version = strings.Trim(strings.TrimSpace(version), "()")
	if !found || version == "" {
		version = p.Version
	}
	return name, version
}

// ID names the package as apt does on its command line, with its architecture.
func (p *Package) ID() string { return p.Name + ":" + p.Architecture + "=" + p.Version }

// Changelog returns the Debian changelog found in the .deb, or nil.
func (p *Package) Changelog() []byte { return p.changelog }

// debug says whether the package holds detached debug symbols.
func (p *Package) debug() bool {
	return p.Control.Get("Auto-Built-Package") == "debug-symbols"
}

// poolPath is where the package goes, as Debian's archive has it (without the
// epoch, whose colon file systems and URLs dislike).
func (p *Package) poolPath() string {
	source, _ := p.source()
	return fmt.Sprintf("pool/%s/%s/%s/%s_%s_%s.deb", p.Component, poolPrefix(source), source, p.Name, noEpoch(p.Version), p.Architecture)
}

// changePath is what apt puts for @CHANGEPATH@ (apt's pkgAcqChangelog).
func (p *Package) changePath() string {
	source, version := p.source()
	return fmt.Sprintf("%s/%s/%s/%s_%s", p.Component, poolPrefix(source), source, source, noEpoch(version))
}

func noEpoch(version string) string {
	if _, rest, found := strings.Cut(version, ":"); found {
		return rest
	}
	return version
}

func poolPrefix(source string) string {
	if strings.HasPrefix(source, "lib") && len(source) > 3 {
		return source[:4]
	}
	return source[:1]
}
