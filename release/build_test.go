package release

import (
	"bytes"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// tinyProject is a git repository with one command, committed once, in a folder of its own.
func tinyProject(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":     "module example.org/tiny\n\ngo 1.26\n",
		".gitignore": "/cmd/tiny/ignored.go\n",
		"cmd/tiny/main.go": "package main\n\nvar version, commit string\n\nvar extra string\n\n" +
			"func main() { println(\"tiny version \" + version + extra); println(\"commit: \" + commit) }\n",
	} {
		writeFile(t, filepath.Join(dir, name), text)
	}
	git(t, dir, "init", "-q", "-b", "main")
	git(t, dir, "add", "-A")
	git(t, dir, "commit", "-q", "-m", "tiny: begin")
	return dir
}

var tinyCommand = Command{Name: "tiny", Package: "./cmd/tiny", VersionVar: "main.version", CommitVar: "main.commit"}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
}

// git runs git with nothing of the user's configuration and a fixed time, so that a commit's name is the same everywhere.
func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@example.org", "GIT_AUTHOR_DATE=2026-01-02T03:04:05Z",
		"GIT_COMMITTER_NAME=A", "GIT_COMMITTER_EMAIL=a@example.org", "GIT_COMMITTER_DATE=2026-01-02T03:04:05Z")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func tinyVersion(t *testing.T, repo string, dirty bool) Version {
	t.Helper()
	return Version{SemVer: "1.2.3", Debian: "1.2.3-1", Commit: git(t, repo, "rev-parse", "HEAD"),
		CommitTime: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Dirty: dirty, Snapshot: dirty}
}

func buildTiny(t *testing.T, repo, arch string, dirty bool) Binary {
	t.Helper()
	b, drop, err := newBuilder(t.Context(), repo, tinyVersion(t, repo, dirty))
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
		first := buildTiny(t, tinyProject(t), arch, false)

		t.Setenv("TZ", "Pacific/Chatham")
		t.Setenv("GOFLAGS", "-tags=other -ldflags=-X=main.extra=tampered")
		t.Setenv("GOAMD64", "v3")
		t.Setenv("GOARM64", "v9.0")
		t.Setenv("CGO_ENABLED", "1")
		old := syscall.Umask(0o077)
		second := buildTiny(t, tinyProject(t), arch, false)
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
		bin := buildTiny(t, repo, arch, false)
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
		commit := git(t, repo, "rev-parse", "HEAD")
		if !bytes.Contains(data, []byte(commit)) || !bytes.Contains(data, []byte("1.2.3")) {
			t.Errorf("%s: version or commit is not in the binary", arch)
		}
		if bytes.Contains(data, []byte(repo)) {
			t.Errorf("%s: the folder it was built in is in the binary", arch)
		}
	}
}

func TestIgnoredFilesAndLaterEditsDoNotReachCleanBuilds(t *testing.T) {
	repo := tinyProject(t)
	want := buildTiny(t, repo, "amd64", false)
	writeFile(t, filepath.Join(repo, "cmd/tiny/ignored.go"), "package main\n\nfunc init() { extra = \"ignored\" }\n")
	if got := buildTiny(t, repo, "amd64", false); got.SHA256 != want.SHA256 {
		t.Error("an ignored file changed the binary")
	}
	if got := buildTiny(t, repo, "amd64", true); got.SHA256 == want.SHA256 {
		t.Error("a build of the dirty tree lacks what makes it dirty: this test proves nothing")
	}
}

func TestFailingBuildNamesTheCommandAndTheCompilersWords(t *testing.T) {
	repo := tinyProject(t)
	writeFile(t, filepath.Join(repo, "cmd/tiny/broken.go"), "package main\n\nvar x int = \"text\"\n")
	git(t, repo, "add", "-A")
	git(t, repo, "commit", "-q", "-m", "tiny: break")
	b, drop, err := newBuilder(t.Context(), repo, tinyVersion(t, repo, false))
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
