package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/berth-oci/berth/aptrepo/aptroot"
	"github.com/berth-oci/berth/aptrepo/debtest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"aptrepo": main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Condition: func(cond string) (bool, error) {
			if cond == "apt" {
				return aptroot.Available() == nil, nil
			}
			_, err := exec.LookPath(cond)
			return err == nil, nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"deb":  func(ts *testscript.TestScript, _ bool, args []string) { writeDeb(t, ts, args) },
			"apt":  runApt,
			"flip": flip,
		},
	})
}

// writeDeb: deb NAME VERSION [ARCH [CONTENT]] writes a package into the work
// directory.
func writeDeb(t *testing.T, ts *testscript.TestScript, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: deb NAME VERSION [ARCH [CONTENT]]")
	}
	args = append(args, "", "")
	d := debtest.Deb{Name: args[0], Version: args[1], Arch: args[2], Content: args[3]}
	d.Write(t, ts.Getenv("WORK"))
}

// runApt: apt DIR KEYRING PACKAGE... installs from the repository in an
// isolated root, without a warning. ! apt must fail.
func runApt(ts *testscript.TestScript, neg bool, args []string) {
	root, err := aptroot.New(ts.MkAbs("aptroot-"+filepath.Base(args[0])), "amd64",
		"Types: deb\nURIs: file:"+ts.MkAbs(args[0])+"\nSuites: stable\nComponents: main\nSigned-By: "+ts.MkAbs(args[1])+"\n")
	ts.Check(err)
	result, err := root.Update()
	if err == nil {
		result, err = root.Install(args[2:]...)
	}
	if err != nil && !neg {
		ts.Fatalf("%v\n%s", err, result.Output)
	}
	if err == nil && neg {
		ts.Fatalf("apt accepts it:\n%s", result.Output)
	}
}

// flip: flip FILE changes a byte.
func flip(ts *testscript.TestScript, _ bool, args []string) {
	data := []byte(ts.ReadFile(args[0]))
	data[100] ^= 1
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), data, 0o644))
}

func TestDatesAreReadInEveryForm(t *testing.T) {
	want := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	for _, text := range []string{"2026-01-02", "2026-01-02 00:00:00", "2026-01-02T01:00:00+01:00", "@1767312000"} {
		if got, err := parseTime(text); err != nil || !got.Equal(want) {
			t.Errorf("parseTime(%q) = %v, %v", text, got, err)
		}
	}
	if _, err := parseTime("yesterday"); err == nil {
		t.Error("parseTime accepts \"yesterday\"")
	}
}
