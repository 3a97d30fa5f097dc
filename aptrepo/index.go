package aptrepo

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/ulikunitz/xz"
)

// indexFields are the fields that the index adds to a package's control
// fields. SHA256 is the only hash: apt has asked for nothing weaker since 1.6.
var indexFields = []string{"Filename", "Size", "MD5sum", "SHA1", "SHA256", "SHA512"}

// stanza is the package's entry in a Packages file.
func (p *Package) stanza() Stanza {
	s := append(Stanza(nil), p.Control...)
	description := s.Get("Description")
	s.Set("Description", "")
	s.Set("Filename", p.Filename)
	s.Set("Size", strconv.FormatInt(p.Size, 10))
	s.Set("SHA256", p.SHA256)
	s.Set("Description", description)
	return s
}

// packageOf is the inverse of stanza.
func packageOf(s Stanza, component string) (Package, error) {
	p := Package{Component: component, Filename: s.Get("Filename"), SHA256: s.Get("SHA256"), Control: s}
	size, err := strconv.ParseInt(s.Get("Size"), 10, 64)
	if err != nil || size < 0 {
		return p, fmt.Errorf("package %s: Size %q is not a size", s.Get("Package"), s.Get("Size"))
	}
	p.Size = size
	if len(p.SHA256) != 64 || !strings.HasPrefix(p.Filename, "pool/") || !cleanPath(p.Filename) {
		return p, fmt.Errorf("package %s: no SHA256, or Filename %q is not in the pool", s.Get("Package"), p.Filename)
	}
	return p, p.fill()
}

// order is the order of an index: by name, the newest version first, so that a
// reader who stops early has what apt would install.
func order(a, b Package) int {
	return cmp.Or(strings.Compare(a.Name, b.Name), CompareVersions(b.Version, a.Version),
		strings.Compare(b.Version, a.Version), strings.Compare(a.Architecture, b.Architecture))
}

// packagesFile writes the Packages file of one component and architecture. It
// lists packages for all architectures too, so that no client needs a
// binary-all index.
func packagesFile(all []Package, component, arch string) []byte {
	var stanzas []string
	for _, p := range all {
		if p.Component == component && (p.Architecture == arch || p.Architecture == "all") {
			stanzas = append(stanzas, p.stanza().String())
		}
	}
	return []byte(strings.Join(stanzas, "\n"))
}

func parsePackages(data []byte, component string) ([]Package, error) {
	stanzas, err := ParseStanzas(string(data))
	if err != nil {
		return nil, err
	}
	var all []Package
	for _, s := range stanzas {
		p, err := packageOf(s, component)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

// merge adds to all what it does not hold yet: a package for all architectures
// stands in every index.
func merge(all, more []Package) []Package {
	for _, p := range more {
		if !slices.ContainsFunc(all, func(q Package) bool { return q.Filename == p.Filename && q.SHA256 == p.SHA256 }) {
			all = append(all, p)
		}
	}
	return all
}

// compressions are the forms in which an index is served. apt prefers xz; gz
// is for everything else that reads repositories.
var compressions = []struct {
	suffix   string
	compress func([]byte) ([]byte, error)
}{
	{"", func(b []byte) ([]byte, error) { return b, nil }},
	{".gz", gzipBytes},
	{".xz", xzBytes},
}

// gzipBytes writes neither a name nor a time: the same bytes in, the same out.
func gzipBytes(data []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	return closed(&out, w, data)
}

func xzBytes(data []byte) ([]byte, error) {
	var out bytes.Buffer
	// CRC32 is what every decoder knows; a dictionary larger than the data only costs.
	w, err := xz.WriterConfig{CheckSum: xz.CRC32, DictCap: min(max(len(data), 1<<16), 8<<20)}.NewWriter(&out)
	if err != nil {
		return nil, err
	}
	return closed(&out, w, data)
}

func closed(out *bytes.Buffer, w io.WriteCloser, data []byte) ([]byte, error) {
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// Sum is a file as Release lists it. Path is relative to the suite's folder.
type Sum struct {
	Path   string `json:"path"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

func sumOf(path string, data []byte) Sum {
	digest := sha256.Sum256(data)
	return Sum{path, int64(len(data)), hex.EncodeToString(digest[:])}
}

// byHash is where apt looks for the file when Release says Acquire-By-Hash.
func (s Sum) byHash() string {
	dir := ""
	if i := strings.LastIndexByte(s.Path, '/'); i >= 0 {
		dir = s.Path[:i+1]
	}
	return dir + "by-hash/SHA256/" + s.SHA256
}

func (s Sum) matches(data []byte) error {
	got := sumOf(s.Path, data)
	switch {
	case got.Size != s.Size:
		return fmt.Errorf("%s has %d bytes, Release says %d", s.Path, got.Size, s.Size)
	case got.SHA256 != s.SHA256:
		return fmt.Errorf("%s has another SHA256 than Release says", s.Path)
	}
	return nil
}
