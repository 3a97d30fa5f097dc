package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/berth-oci/berth/conformance/probe"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"conform": main})
}

// TestScripts runs testdata/script. The condition [root] holds for root, and
// [static] where this program can be its own probe.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Condition: func(cond string) (bool, error) {
			switch cond {
			case "root":
				return os.Geteuid() == 0, nil
			case "static":
				return probe.Static("/proc/self/exe")
			}
			return false, nil
		},
	})
}
