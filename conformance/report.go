package conformance

import (
	"os/exec"
	"strings"
	"time"
)

// Report is what a run found out.
type Report struct {
	Runtime  Runtime       `json:"runtime"`
	Version  string        `json:"version"` // what the runtime says it is
	Spec     string        `json:"spec"`
	Machine  string        `json:"machine"`
	Began    time.Time     `json:"began"`
	Duration time.Duration `json:"durationNanoseconds"`
	Results  []Result      `json:"results"`
}

func newReport(target Runtime) Report {
	return Report{Runtime: target, Version: versionOf(target), Spec: SpecVersion, Machine: NewEnv().Describe(), Began: time.Now().UTC()}
}

// versionOf asks the runtime for its version: the first line, or "" where it has no answer.
func versionOf(target Runtime) string {
	output, err := exec.Command(target.Path, append(target.Args, "--version")...).Output()
	if err != nil {
		return ""
	}
	first, _, _ := strings.Cut(string(output), "\n")
	return strings.TrimSpace(first)
}

// Select returns the results with one of the given outcomes.
func (r Report) Select(outcomes ...Outcome) []Result {
	var found []Result
	for _, result := range r.Results {
		for _, outcome := range outcomes {
			if result.Outcome == outcome {
				found = append(found, result)
			}
		}
	}
	return found
}

// Passed returns the checks that passed.
func (r Report) Passed() []Result { return r.Select(Pass) }

// Failed returns the checks that proved a MUST broken, strict ones included.
func (r Report) Failed() []Result { return r.Select(Fail) }

// Warned returns the checks that found a SHOULD not followed.
func (r Report) Warned() []Result { return r.Select(Warn) }

// Skipped returns the checks that could not run here, each with its reason.
func (r Report) Skipped() []Result { return r.Select(Skip) }

// Unexpected returns the failures of checks that are not strict.
func (r Report) Unexpected() []Result {
	var found []Result
	for _, result := range r.Failed() {
		if !result.Strict {
			found = append(found, result)
		}
	}
	return found
}
