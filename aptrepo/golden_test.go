package aptrepo_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/berth-oci/berth/aptrepo"
	"github.com/berth-oci/berth/aptrepo/debtest"
	"github.com/berth-oci/berth/signing"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares data with a file of testdata/golden.
func golden(t *testing.T, name string, data []byte) {
	t.Helper()
	path := filepath.Join("testdata/golden", name)
	if *update {
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, data) {
		t.Errorf("%s is not as before:\n%s", path, data)
	}
}

// goldenTree has a fixed key, fixed packages and fixed dates.
func goldenTree(t *testing.T) *aptrepo.Tree {
	t.Helper()
	at := time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
	key, err := signing.LoadKey(signing.Source{File: "testdata/test-key.asc"}, at)
	if err != nil {
		t.Fatal(err)
	}
	r := &repo{t: t, dir: filepath.Join(t.TempDir(), "repo"), key: key, at: at, config: aptrepo.Config{
		Name: "example", Origin: "Example", Codename: "stable", Suite: "stable", Description: "Packages of the <Example> project",
		Architectures: []string{"amd64", "arm64"}, DebugComponent: "debug", URL: "https://apt.example.org/",
		Page: aptrepo.Page{Title: "Example & Co", Summary: "Things <b>for</b> tests.", Homepage: "https://example.org",
			Unofficial: "Signed with a throwaway key."},
	}}
	r.publish(debtest.Deb{Name: "hello", Version: "1:1.0~rc1-1"}, debtest.Deb{Name: "hello", Version: "1.0-1", Arch: "arm64"})
	r.at = r.at.Add(time.Hour)
	return r.tree(
		debtest.Deb{Name: "hello", Version: "1:1.0-1", Fields: "Section: utils\nPriority: optional\nHomepage: https://example.org\n"},
		debtest.Deb{Name: "hello-doc", Version: "1.0-1", Arch: "all", Fields: "Source: hello (1:1.0-1)\n"},
		debtest.Deb{Name: "hello-dbgsym", Version: "1:1.0-1", Fields: "Auto-Built-Package: debug-symbols\nSource: hello\n"},
		debtest.Deb{Name: "libhello", Version: "1.0-1", Arch: "arm64"})
}

func TestGoldenFiles(t *testing.T) {
	tree := goldenTree(t)
	var paths []string
	for _, f := range tree.Files {
		paths = append(paths, f.Path)
		switch {
		case strings.Contains(f.Path, "by-hash"), f.From != "":
		case strings.HasSuffix(f.Path, "/Packages"), strings.HasSuffix(f.Path, "/Release"), strings.HasSuffix(f.Path, "/InRelease"),
			strings.HasSuffix(f.Path, "/history.json"), f.Path == "example.sources", f.Path == "index.html":
			golden(t, strings.ReplaceAll(strings.TrimPrefix(f.Path, "dists/stable/"), "/", "_"), f.Data)
		}
	}
	golden(t, "order", []byte(strings.Join(paths, "\n")+"\n"))
	if last := paths[len(paths)-1]; last != "dists/stable/InRelease" {
		t.Errorf("the last file is %s, not InRelease", last)
	}
}

func TestThePageLoadsNothingFromElsewhereAndEscapesWhatItShows(t *testing.T) {
	for _, f := range goldenTree(t).Files {
		if f.Path != "index.html" {
			continue
		}
		page := string(f.Data)
		for _, bad := range []string{"<b>for", "src=", "<script", "<link", "@import", "url("} {
			if strings.Contains(page, bad) {
				t.Errorf("the page holds %q", bad)
			}
		}
		for _, good := range []string{`lang="en"`, "<main>", "Unofficial repository", "Example &amp; Co", "scope=\"col\"",
			"sudo apt install hello", "sudo curl -fsSLo /usr/share/keyrings/example-archive-keyring.gpg https://apt.example.org/example-archive-keyring.gpg"} {
			if !strings.Contains(page, good) {
				t.Errorf("the page lacks %q", good)
			}
		}
		return
	}
	t.Error("no page")
}
