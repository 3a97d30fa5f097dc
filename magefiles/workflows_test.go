package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// What a workflow may run: a target or the gate, as root where that is needed. All else would be logic that only the host can try.
var ofWorkflow = regexp.MustCompile(`^(sudo( --preserve-env=[A-Z_,]+)?( env( "?[A-Z]+=[^ ]+)+)? )?(\.ci/run( --install)?|go tool mage( [a-z:]+| -[a-z]+)+)$`)

// A tag can be moved to other code, a commit cannot.
var pinned = regexp.MustCompile(`^actions/[a-z-]+@[0-9a-f]{40}$`)

func TestWorkflowsOnlyCallTargetsAndHaveNoRightTheyDoNotUse(t *testing.T) {
	files, err := filepath.Glob("../.github/workflows/*.yml")
	if err != nil || len(files) < 3 {
		t.Fatalf("the workflows are %q (%v)", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(file)
		if !strings.Contains(string(text), "\npermissions:\n  contents: read\n\n") {
			t.Errorf("%s does not begin with the right to read alone", name)
		}
		for i, line := range strings.Split(string(text), "\n") {
			key, value, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "- "), ": ")
			value, _, _ = strings.Cut(value, " # ")
			switch {
			case key == "run" && !ofWorkflow.MatchString(value):
				t.Errorf("%s:%d: runs %q", name, i+1, value)
			case key == "uses" && !pinned.MatchString(value):
				t.Errorf("%s:%d: uses %s, which is not the host's own, by the hash of its commit", name, i+1, value)
			case value == "write" && (name != "release.yml" || key != "contents") || value == "write-all":
				t.Errorf("%s:%d: has the right to write %s", name, i+1, key)
			}
		}
	}
	// The signing key and the right to write are never in one job.
	text, err := os.ReadFile("../.github/workflows/release.yml")
	if err != nil {
		t.Fatal(err)
	}
	jobs := regexp.MustCompile(`(?m)^  [a-z]+:$`).Split(string(text[strings.Index(string(text), "\njobs:"):]), -1)
	if len(jobs) != 3 {
		t.Fatalf("release.yml has %d jobs, want 2", len(jobs)-1)
	}
	for _, job := range jobs {
		if strings.Contains(job, "secrets.") && strings.Contains(job, "contents: write") {
			t.Errorf("a job has the key and may write:\n%s", job)
		}
	}
}

func TestShellIsNoTarget(t *testing.T) {
	for command, want := range map[string]bool{
		"go tool mage test": true, "sudo .ci/run --install": true, "go tool mage release -official": true,
		`sudo env "PATH=$PATH" "HOME=$HOME" CI=true .ci/run`: true, "go tool mage site:push": true,
		"|": false, "git push": false, "go tool mage test && git push": false, "make": false, "go run ./x": false, "sudo sh -c 'go tool mage test'": false,
	} {
		if got := ofWorkflow.MatchString(command); got != want {
			t.Errorf("%s is allowed: %v", command, got)
		}
	}
}
