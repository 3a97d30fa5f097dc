package release

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// waivers are conformance checks that a release may break, each with the reason: what a project knows that it does not do
// yet, said in its own repository, and again by every release. A check that is broken and not waived stops the release.
type waivers []waiver

type waiver struct {
	check  *regexp.Regexp // whole names
	name   string         // the line's first word
	reason string
}

// readWaivers reads the file of a project's waivers: a pattern of check names and the reason per line, # begins a comment. A
// project without the file waives nothing.
func readWaivers(repo, name string) (waivers, error) {
	if name == "" {
		return nil, nil
	}
	text, err := os.ReadFile(filepath.Join(repo, name))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the waived checks: %w", err)
	}
	var all waivers
	for i, line := range strings.Split(string(text), "\n") {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		w, err := parseWaiver(line)
		if err != nil {
			return nil, fmt.Errorf("cannot read the waived checks: %s line %d: %w", name, i+1, err)
		}
		all = append(all, w)
	}
	return all, nil
}

func parseWaiver(line string) (waiver, error) {
	name, reason, _ := strings.Cut(line, " ")
	reason = strings.TrimSpace(reason)
	if reason == "" {
		return waiver{}, fmt.Errorf("%s is waived for no reason\nhint: write why after the name", name)
	}
	check, err := regexp.Compile("^(?:" + name + ")$")
	if err != nil {
		return waiver{}, fmt.Errorf("%s is no pattern: %w", name, err)
	}
	return waiver{check, name, reason}, nil
}

// reason says why the check may be broken, or "".
func (all waivers) reason(check string) string {
	for _, w := range all {
		if w.check.MatchString(check) {
			return w.reason
		}
	}
	return ""
}
