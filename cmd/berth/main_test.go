package main

import (
	"fmt"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"berth": main, "recvtty": recvtty})
}

// TestScripts runs the scripts of testdata/script, one for each behaviour. A script that needs root or a program that is
// missing skips with the reason.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Condition:           condition,
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"bundle": bundle, "detached": detached, "status": waitStatus, "waitfile": waitFile},
		Setup: func(env *testscript.Env) error {
			env.Setenv("XDG_RUNTIME_DIR", env.WorkDir)
			env.Setenv("ROOT", env.WorkDir+"/state")
			env.Defer(func() { removeContainers(t, env.WorkDir+"/state") })
			return nil
		},
	})
}

// condition adds [root].
func condition(name string) (bool, error) {
	if name == "root" {
		return os.Geteuid() == 0, nil
	}
	return false, fmt.Errorf("unknown condition %q", name)
}

// removeContainers deletes what a script left behind, as one does that fails half-way.
func removeContainers(t *testing.T, root string) {
	entries, err := os.ReadDir(root)
	if os.IsNotExist(err) {
		return
	}
	if err != nil {
		t.Error(err)
	}
	for _, e := range entries {
		if code := run([]string{"--root", root, "delete", "--force", e.Name()}); code != exitOK {
			t.Errorf("cannot delete container %s that a script left: exit code %d", e.Name(), code)
		}
	}
}
