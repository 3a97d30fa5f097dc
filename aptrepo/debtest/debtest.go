// Package debtest writes small .deb files for tests, in every compression that
// deb(5) allows and with nothing installed.
package debtest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// Deb describes a package. The zero value of each field has a default but for
// Name and Version.
type Deb struct {
	Name, Version string
	Arch          string // default amd64
	Compression   string // none, gz, xz or zst; default gz
	Fields        string // further control fields, each with its newline
	Changelog     string // default: one entry
	Content       string // of /usr/share/NAME/content; default: the version
	Postinst      string // a maintainer script, if any
}

// Write writes the package into dir and returns its path.
func (d Deb) Write(t testing.TB, dir string) string {
	t.Helper()
	d.defaults()
	path := filepath.Join(dir, fmt.Sprintf("%s_%s_%s.deb", d.Name, d.Version, d.Arch))
	if err := os.WriteFile(path, d.Bytes(t), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func (d *Deb) defaults() {
	for field, value := range map[*string]string{&d.Arch: "amd64", &d.Compression: "gz", &d.Content: d.Version,
		&d.Changelog: fmt.Sprintf("%s (%s) stable; urgency=medium\n\n  * Tested.\n\n -- A B <a@example.org>  Thu, 01 Jan 2026 00:00:00 +0000\n", d.Name, d.Version)} {
		if *field == "" {
			*field = value
		}
	}
}

// Bytes returns the package.
func (d Deb) Bytes(t testing.TB) []byte {
	t.Helper()
	d.defaults()
	control := fmt.Sprintf("Package: %s\nVersion: %s\nArchitecture: %s\nMaintainer: A B <a@example.org>\n%sDescription: test package %s\n Its long description\n .\n has two paragraphs.\n",
		d.Name, d.Version, d.Arch, d.Fields, d.Name)
	entries := []entry{{"./control", control, 0o644}}
	if d.Postinst != "" {
		entries = append(entries, entry{"./postinst", d.Postinst, 0o755})
	}
	doc := "./usr/share/doc/" + d.Name
	data := []entry{{"./usr/", "", 0o755}, {"./usr/share/", "", 0o755}, {"./usr/share/" + d.Name + "/", "", 0o755},
		{"./usr/share/" + d.Name + "/content", d.Content + "\n", 0o644}, {"./usr/share/doc/", "", 0o755}, {doc + "/", "", 0o755},
		{doc + "/changelog.Debian.gz", string(pack(t, "gz", []byte(d.Changelog))), 0o644}}
	var out bytes.Buffer
	out.WriteString("!<arch>\n")
	member(&out, "debian-binary", []byte("2.0\n"))
	suffix := map[string]string{"none": "", "gz": ".gz", "xz": ".xz", "zst": ".zst"}[d.Compression]
	member(&out, "control.tar"+suffix, pack(t, d.Compression, archive(t, entries)))
	member(&out, "data.tar"+suffix, pack(t, d.Compression, archive(t, data)))
	return out.Bytes()
}

type entry struct {
	name, content string
	mode          int64
}

func archive(t testing.TB, entries []entry) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Mode: e.mode, Size: int64(len(e.content)), Typeflag: tar.TypeReg, Uname: "root", Gname: "root"}
		if e.name[len(e.name)-1] == '/' {
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, e.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func member(out *bytes.Buffer, name string, data []byte) {
	fmt.Fprintf(out, "%-16s%-12d%-6d%-6d%-8o%-10d`\n", name, 0, 0, 0, 0o100644, len(data))
	out.Write(data)
	if len(data)%2 == 1 {
		out.WriteByte('\n')
	}
}

func pack(t testing.TB, kind string, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	var w io.WriteCloser
	var err error
	switch kind {
	case "none":
		return data
	case "gz":
		w = gzip.NewWriter(&out)
	case "xz":
		w, err = xz.NewWriter(&out)
	case "zst":
		w, err = zstd.NewWriter(&out)
	default:
		t.Fatalf("unknown compression %q", kind)
	}
	if err == nil {
		_, err = w.Write(data)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
