package aptrepo_test

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-oci/berth/aptrepo"
	"github.com/berth-oci/berth/aptrepo/debtest"
)

var versionTable = []struct {
	a, b string
	want int
}{
	{"1.0", "1.0", 0}, {"1.0~rc1", "1.0", -1}, {"1.0", "1.0+b1", -1}, {"1.10", "1.9", 1}, {"1:0.1", "2.0", 1},
	{"1.0-1", "1.0-2", -1}, {"1.0-1~deb12u1", "1.0-1", -1}, {"1.0~~", "1.0~", -1}, {"1.0a", "1.0+", -1}, {"1.001", "1.1", 0},
	{"1.2.4~git20261122.abc1234-1", "1.2.4-1", -1}, {"1.2.3~rc.1-1", "1.2.3~rc.10-1", -1}, {"0:1", "1", 0}, {"1.0", "1.0-0", 0},
	{"1-1-1", "1-1", 1},
}

func TestVersionsCompareAsInDpkg(t *testing.T) {
	_, missing := exec.LookPath("dpkg")
	for _, test := range versionTable {
		if got := aptrepo.CompareVersions(test.a, test.b); sign(got) != test.want {
			t.Errorf("CompareVersions(%q, %q) = %d, want %d", test.a, test.b, got, test.want)
		}
		if got := aptrepo.CompareVersions(test.b, test.a); sign(got) != -test.want {
			t.Errorf("CompareVersions(%q, %q) = %d, want %d", test.b, test.a, got, -test.want)
		}
		if missing == nil {
			op := map[int]string{-1: "lt", 0: "eq", 1: "gt"}[test.want]
			if err := exec.Command("dpkg", "--compare-versions", test.a, op, test.b).Run(); err != nil {
				t.Errorf("dpkg disagrees that %s %s %s", test.a, op, test.b)
			}
		}
	}
}

func sign(n int) int {
	switch {
	case n < 0:
		return -1
	case n > 0:
		return 1
	}
	return 0
}

func TestStanzasSurviveARoundTrip(t *testing.T) {
	text := "Package: a\nDescription: short\n long\n .\n  indented\nConffiles:\n /etc/a 0123\n\n\nPackage: b\nEmpty:\n"
	stanzas, err := aptrepo.ParseStanzas(text)
	if err != nil || len(stanzas) != 2 {
		t.Fatalf("ParseStanzas = %v, %v", stanzas, err)
	}
	if got := stanzas[0].String() + "\n" + stanzas[1].String(); got != strings.ReplaceAll(text, "\n\n\n", "\n\n") {
		t.Errorf("printed as %q", got)
	}
	if got := stanzas[0].Get("description"); got != "short\n long\n .\n  indented" {
		t.Errorf("Description = %q", got)
	}
	for _, bad := range []string{" begins with a continuation\n", "no colon\n", "A: 1\nA: 2\n", "A: 1\na: 2\n", "-A: 1\n", "#A: 1\n", "A B: 1\n"} {
		if s, err := aptrepo.ParseStanzas(bad); err == nil {
			t.Errorf("ParseStanzas(%q) = %v, no error", bad, s)
		}
	}
}

func TestPackagesAreReadInEveryCompression(t *testing.T) {
	for _, compression := range []string{"none", "gz", "xz", "zst"} {
		d := debtest.Deb{Name: "hello", Version: "1.0-1", Compression: compression}
		path := d.Write(t, t.TempDir())
		p, err := aptrepo.ReadPackage(path)
		if err != nil {
			t.Errorf("%s: %v", compression, err)
			continue
		}
		if p.Name != "hello" || p.Version != "1.0-1" || p.Architecture != "amd64" || p.Size != int64(len(d.Bytes(t))) || !strings.Contains(string(p.Changelog()), "* Tested.") {
			t.Errorf("%s: read %+v", compression, p)
		}
		if _, err := exec.LookPath("dpkg-deb"); err != nil {
			continue
		}
		if out, err := exec.Command("dpkg-deb", "--info", path).CombinedOutput(); err != nil {
			t.Errorf("%s: dpkg-deb does not read it: %v\n%s", compression, err, out)
		}
	}
}

func TestBrokenPackagesAreRefusedByName(t *testing.T) {
	good := debtest.Deb{Name: "hello", Version: "1.0-1"}.Bytes(t)
	tests := map[string]struct {
		data []byte
		want string
	}{
		"text":           {[]byte("hello"), "not a .deb"},
		"empty":          {nil, "not a .deb"},
		"only magic":     {[]byte("!<arch>\n"), "no control archive"},
		"cut short":      {good[:len(good)-20], "cut short"},
		"cut in control": {good[:200], "cut short"},
		"format 3":       {bytes.Replace(good, []byte("2.0\n"), []byte("3.0\n"), 1), "unknown format"},
		"name":           {debtest.Deb{Name: "Hello", Version: "1"}.Bytes(t), `Package "Hello"`},
		"path":           {debtest.Deb{Name: "hello", Version: "1/../../x"}.Bytes(t), "not a Debian version"},
		"source":         {debtest.Deb{Name: "hello", Version: "1", Fields: "Source: ../../etc\n"}.Bytes(t), "not a source package"},
		"arch":           {debtest.Deb{Name: "hello", Version: "1", Arch: "../x"}.Bytes(t), "not an architecture"},
		"field":          {debtest.Deb{Name: "hello", Version: "1", Fields: "Version: 2\n"}.Bytes(t), "field Version twice"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "bad.deb")
			if err := os.WriteFile(path, test.data, 0o644); err != nil {
				t.Fatal(err)
			}
			_, err := aptrepo.ReadPackage(path)
			mustFail(t, err, "cannot read package "+path, test.want)
		})
	}
}

func TestEveryByteOfAPackageCountsSomewhere(t *testing.T) {
	// Reading must not panic or hang on damaged input, whatever it makes of it.
	good := debtest.Deb{Name: "hello", Version: "1.0-1"}.Bytes(t)
	p := filepath.Join(t.TempDir(), "x.deb")
	if err := os.WriteFile(p, good, 0o644); err != nil {
		t.Fatal(err)
	}
	want, err := aptrepo.ReadPackage(p)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(good); i += 7 {
		bad := bytes.Clone(good)
		bad[i] ^= 0xff
		if err := os.WriteFile(p, bad, 0o644); err != nil {
			t.Fatal(err)
		}
		if got, err := aptrepo.ReadPackage(p); err == nil && got.SHA256 == want.SHA256 {
			t.Fatalf("byte %d changed, and the hash is the same", i)
		}
	}
}

// TestIndicesAgreeWithDebiansTools compares field by field: order and hashes
// beyond SHA256 are the tools' own.
func TestIndicesAgreeWithDebiansTools(t *testing.T) {
	r := newRepo(t)
	r.config.Architectures = []string{"amd64"}
	r.publish(debtest.Deb{Name: "hello", Version: "1.0-1", Fields: "Section: utils\nDepends: base (>= 1),\n other\n"},
		debtest.Deb{Name: "hello", Version: "1.1-1", Compression: "xz"}, debtest.Deb{Name: "hello-doc", Version: "1.0-1", Arch: "all"})
	data, err := os.ReadFile(filepath.Join(r.dir, "dists/stable/main/binary-amd64/Packages"))
	if err != nil {
		t.Fatal(err)
	}
	ours := byName(t, string(data))
	for _, tool := range [][]string{{"dpkg-scanpackages", "--multiversion", "pool"}, {"apt-ftparchive", "packages", "pool"}} {
		t.Run(tool[0], func(t *testing.T) {
			if _, err := exec.LookPath(tool[0]); err != nil {
				t.Skipf("%s is not installed", tool[0])
			}
			cmd := exec.Command(tool[0], tool[1:]...)
			cmd.Dir = r.dir
			out, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			if theirs := byName(t, string(out)); !maps.Equal(ours, theirs) {
				t.Errorf("ours:\n%v\ntheirs:\n%v", ours, theirs)
			}
		})
	}
}

// byName maps PACKAGE_VERSION/FIELD to its value, without what only some tools
// write.
func byName(t *testing.T, packages string) map[string]string {
	t.Helper()
	stanzas, err := aptrepo.ParseStanzas(packages)
	if err != nil {
		t.Fatal(err)
	}
	values := make(map[string]string)
	for _, s := range stanzas {
		for _, f := range s {
			switch f.Name {
			case "MD5sum", "SHA1", "SHA512", "Description-md5":
			default:
				values[fmt.Sprintf("%s_%s/%s", s.Get("Package"), s.Get("Version"), f.Name)] = strings.Join(strings.Fields(f.Value), " ")
			}
		}
	}
	if len(values) == 0 {
		t.Fatal("no packages")
	}
	return values
}
