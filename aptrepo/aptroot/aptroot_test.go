package aptroot

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAnIsolatedRootUsesNothingOfTheMachine(t *testing.T) {
	if err := Available(); err != nil {
		t.Skip(err)
	}
	root, err := New(t.TempDir(), "arm64")
	if err != nil {
		t.Fatal(err)
	}
	result, err := root.Run("apt-config", "dump")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(result.Output) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch name {
		case "APT::Architecture":
			if value != `"arm64";` {
				t.Errorf("APT::Architecture is %s", value)
			}
		case "Dir::State", "Dir::State::status", "Dir::State::lists", "Dir::Cache", "Dir::Cache::archives", "Dir::Etc::sourceparts", "Dir::Log":
			if !strings.HasPrefix(value, `"`+root.Dir()+"/") {
				t.Errorf("%s is %s, outside %s", name, value, root.Dir())
			}
		case "DPkg::Pre-Install-Pkgs::", "DPkg::Post-Invoke::", "APT::Update::Post-Invoke::":
			t.Errorf("a hook of the machine is left: %s", line)
		}
	}
	if v, err := root.Version("dpkg"); err != nil || v != "" {
		t.Errorf("the empty system has dpkg %q, %v", v, err)
	}
}

func TestUpdateFailsWhereAptOnlyWarns(t *testing.T) {
	if err := Available(); err != nil {
		t.Skip(err)
	}
	root, err := New(t.TempDir(), "", "Types: deb\nURIs: file:/nonexistent\nSuites: stable\nComponents: main\n")
	if err != nil {
		t.Fatal(err)
	}
	result, err := root.Update()
	if err == nil || len(result.Warnings) == 0 {
		t.Errorf("no error for a repository that is not there:\n%s", result.Output)
	}
	if err := root.Sources(); err != nil {
		t.Fatal(err)
	}
	if _, err := root.Update(); err != nil {
		t.Errorf("without any source: %v", err)
	}
}

func TestWarningsAreFoundInAptsOutput(t *testing.T) {
	got := warnings("Get:1 file:/x\nW: one\nreading\nE: two\nN: Download is performed unsandboxed as root as file x\nN: three\n")
	if strings.Join(got, "|") != "W: one|E: two|N: three" {
		t.Errorf("warnings = %q", got)
	}
}

func TestPathsThatAptCannotQuoteAreRefused(t *testing.T) {
	if _, err := New(filepath.Join(t.TempDir(), `a "b"`), "amd64"); err == nil {
		t.Error("no error")
	}
	if _, err := Chroot(t.TempDir()); err == nil {
		t.Error("a chroot without apt is no error")
	}
}

func TestCleanForgetsWhatWasFetched(t *testing.T) {
	root, err := New(t.TempDir(), "amd64")
	if err != nil {
		t.Fatal(err)
	}
	file := root.own("lists/x")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := root.Clean(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("it is still there")
	}
}
