package release

import (
	"bytes"
	"debug/elf"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// tinyProject is a repository with one command, committed once, in a folder of its own.
func tinyProject(t *testing.T) *testRepo {
	t.Helper()
	r := newRepo(t)
	r.write("go.mod", "module example.org/tiny\n\ngo 1.26\n")
	r.write(".gitignore", "/cmd/tiny/ignored.go\n")
	r.write("cmd/tiny/main.go", "package main\n\nvar version, commit string\n\nvar extra string\n\n"+
		"func main() { println(\"tiny version \" + version + extra); println(\"commit: \" + commit) }\n")
	r.git("add", "-A")
	r.git("commit", "-q", "-m", "tiny: begin")
	return r
}

var tinyCommand = Command{Name: "tiny", Package: "./cmd/tiny", VersionVar: "main.version", CommitVar: "main.commit"}

func (r *testRepo) build(arch string, dirty bool) Binary {
	t := r.t
	t.Helper()
	v := Version{SemVer: "1.2.3", Debian: "1.2.3-1", Commit: r.git("rev-parse", "HEAD"), Dirty: dirty}
	b, drop, err := newBuilder(t.Context(), r.dir, v)
	if err != nil {
		t.Fatal(err)
	}
	defer drop()
	bin, err := b.build(t.Context(), tinyCommand, arch, filepath.Join(t.TempDir(), arch, "tiny"))
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

func TestSameCommitGivesTheSameBytesInAnotherFolderZoneUmaskAndSettings(t *testing.T) {
	for _, arch := range []string{"amd64", "arm64"} {
		first := tinyProject(t).build(arch, false)

		t.Setenv("TZ", "Pacific/Chatham")
		t.Setenv("GOFLAGS", "-tags=other -ldflags=-X=main.extra=tampered")
		t.Setenv("GOAMD64", "v3")
		t.Setenv("GOARM64", "v9.0")
		t.Setenv("CGO_ENABLED", "1")
		old := syscall.Umask(0o077)
		second := tinyProject(t).build(arch, false)
		syscall.Umask(old)

		if first.SHA256 != second.SHA256 {
			t.Errorf("%s: %s is not %s", arch, first.SHA256, second.SHA256)
		}
		if mode := modeOf(t, second.Path); mode != 0o755 {
			t.Errorf("%s: mode %o", arch, mode)
		}
	}
}

func modeOf(t *testing.T, path string) os.FileMode {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode().Perm()
}

func TestBinaryIsStaticForItsArchitectureAndTellsVersionAndCommit(t *testing.T) {
	repo := tinyProject(t)
	for arch, machine := range map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64} {
		bin := repo.build(arch, false)
		f, err := elf.Open(bin.Path)
		if err != nil {
			t.Fatal(err)
		}
		if f.Machine != machine {
			t.Errorf("%s: machine %v", arch, f.Machine)
		}
		for _, p := range f.Progs {
			if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
				t.Errorf("%s: has %v: it would need another file to start", arch, p.Type)
			}
		}
		f.Close()
		data, err := os.ReadFile(bin.Path)
		if err != nil {
			t.Fatal(err)
		}
		commit := repo.git("rev-parse", "HEAD")
		if !bytes.Contains(data, []byte(commit)) || !bytes.Contains(data, []byte("1.2.3")) {
			t.Errorf("%s: version or commit is not in the binary", arch)
		}
		if bytes.Contains(data, []byte(repo.dir)) {
			t.Errorf("%s: the folder it was built in is in the binary", arch)
		}
	}
}

func TestIgnoredFilesAndLaterEditsDoNotReachCleanBuilds(t *testing.T) {
	repo := tinyProject(t)
	want := repo.build("amd64", false)
	repo.write("cmd/tiny/ignored.go", "package main\n\nfunc init() { extra = \"ignored\" }\n")
	if got := repo.build("amd64", false); got.SHA256 != want.SHA256 {
		t.Error("an ignored file changed the binary")
	}
	if got := repo.build("amd64", true); got.SHA256 == want.SHA256 {
		t.Error("a build of the dirty tree lacks what makes it dirty: this test proves nothing")
	}
}

func TestFailingBuildNamesTheCommandAndTheCompilersWords(t *testing.T) {
	repo := tinyProject(t)
	repo.commitFile("cmd/tiny/broken.go", "package main\n\nvar x int = \"text\"\n", "tiny: break")
	b, drop, err := newBuilder(t.Context(), repo.dir, Version{Commit: repo.git("rev-parse", "HEAD")})
	if err != nil {
		t.Fatal(err)
	}
	defer drop()
	_, err = b.build(t.Context(), tinyCommand, "amd64", filepath.Join(t.TempDir(), "tiny"))
	if err == nil {
		t.Fatal("a broken command was built")
	}
	for _, want := range []string{"cannot build tiny for amd64", "broken.go"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
}
