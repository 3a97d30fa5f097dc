package vm

import (
	"bytes"
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

var update = flag.Bool("update", false, "rewrite golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("differs from %s:\n%s", path, got)
	}
}

func TestInitialFileSystemIsNewcAndDependsOnNothingElse(t *testing.T) {
	tree := t.TempDir()
	for _, name := range []string{"b", "a"} { // made in another order than they are written
		if err := os.WriteFile(filepath.Join(tree, name), []byte(name+name), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	c := newCpio(&out)
	c.device("dev/console", syscall.S_IFCHR|0o600, 5, 1)
	c.file("/etc/x/file", 0o4755, 5, strings.NewReader("hello"))
	c.symlink("bin", "usr/bin")
	c.tree(tree)
	if err := c.close(); err != nil {
		t.Fatal(err)
	}
	golden(t, "initramfs.golden", hex.Dump(out.Bytes()))
}

func TestFileThatShrinksIsAnError(t *testing.T) {
	c := newCpio(&bytes.Buffer{})
	c.file("f", 0o644, 10, strings.NewReader("short"))
	if err := c.close(); err == nil || !strings.Contains(err.Error(), "shrank") {
		t.Errorf("error %v", err)
	}
}

func TestQemuIsGivenTheMachine(t *testing.T) {
	var text strings.Builder
	for _, m := range []Machine{{Arch: "amd64"}, {Arch: "arm64", CPUs: 1, Memory: 256, CPU: "max", Append: "apparmor=0"}} {
		text.WriteString(strings.Join(m.withDefaults().arguments(kernel{image: "/k/vmlinuz"}), "\n") + "\n\n")
	}
	golden(t, "arguments.golden", text.String())
}

func TestMirrorIsReadFromAptSources(t *testing.T) {
	const other = "Types: deb\nURIs: https://other.invalid/x\nSuites: nodistro\nComponents: main\n"
	for _, c := range []struct{ name, text, want string }{
		{"one-line", "# deb http://no.invalid stable main\ndeb-src http://no.invalid stable main\ndeb http://a.invalid/debian bookworm main contrib\n", "http://a.invalid/debian"},
		{"one-line with options", "deb [arch=amd64 signed-by=/k.gpg] http://a.invalid/debian sid main\n", "http://a.invalid/debian"},
		{"security is no complete archive", "deb http://s.invalid/sec bookworm-security main\ndeb http://a.invalid/debian stable main\n", "http://a.invalid/debian"},
		{"other archives are not Debian's", "deb https://other.invalid/x cloud main\n", ""},
		{"stanza", other + "\n# comment\nTypes: deb deb-src\n# URIs: http://no.invalid\nURIs: http://a.invalid/debian http://b.invalid\nSuites: trixie trixie-updates\nComponents: main\n", "http://a.invalid/debian"},
		{"disabled stanza", "Enabled: no\nTypes: deb\nURIs: http://a.invalid\nSuites: trixie\nComponents: main\n", ""},
	} {
		if got := mirrorIn(c.text, strings.Contains(c.text, "Types:")); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestModulesComeAfterThoseTheyNeed(t *testing.T) {
	k, err := fetchKernel(t.Context(), "bookworm", "amd64") // where virtio is modules
	if IsUnavailable(err) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	mods, err := k.load([]string{"virtio_console", "ext4"})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range mods {
		names = append(names, m.name)
	}
	if want := []string{"virtio", "virtio_ring", "virtio_console"}; len(names) != 3 || names[2] != want[2] || !slices.Contains(names, "virtio_ring") {
		t.Errorf("order %q, want %q: ext4 is built in", names, want)
	}
	if _, err := k.load([]string{"no_such"}); err == nil || !strings.Contains(err.Error(), "has no module no_such") {
		t.Errorf("error %v", err)
	}
}

func TestCacheHoldsWholeDirectoriesOnly(t *testing.T) {
	t.Setenv(CacheVariable, t.TempDir())
	fail := os.ErrDeadlineExceeded
	if _, err := cached("a/b", func(dir string) error {
		_ = os.WriteFile(filepath.Join(dir, "half"), nil, 0o644)
		return fail
	}); err != fail {
		t.Fatalf("error %v", err)
	}
	fills := 0
	for range 2 {
		dir, err := cached("a/b", func(dir string) error { fills++; return os.WriteFile(filepath.Join(dir, "whole"), nil, 0o644) })
		if err != nil {
			t.Fatal(err)
		}
		if names, _ := filepath.Glob(filepath.Join(dir, "*")); len(names) != 1 || filepath.Base(names[0]) != "whole" {
			t.Errorf("the directory holds %q", names)
		}
	}
	if fills != 1 {
		t.Errorf("filled %d times", fills)
	}
}
