package release

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// Plan prints what Run, or with a name that stage alone, would do. It decides what can be decided without acting, by the
// same code, so it fails where the version, the key, the changelog or the published repository would stop the release. It
// changes nothing, not even the folder of results.
func (p Pipeline) Plan(ctx context.Context, stage string) error {
	if stage != "" && !slices.Contains(Stages, stage) {
		return fmt.Errorf("cannot plan the stage %q: the stages are %s", stage, strings.Join(Stages, ", "))
	}
	if err := p.fill(); err != nil {
		return err
	}
	r := &work{Pipeline: p, tell: newTeller(p.Out), dry: true}
	v, err := r.version()
	if err != nil {
		return err
	}
	if err := r.readyToSign(v); err != nil {
		return err
	}
	changes, err := WriteChanges(r.Repo, v)
	if err != nil {
		return err
	}
	for _, line := range r.planned(Written{v, changes}) {
		if stage == "" || line.stage == stage {
			r.tell.fact(line.stage, line.what)
		}
	}
	fmt.Fprintln(r.Out, "\nThis was a plan: nothing was changed.")
	return ctx.Err()
}

type plannedLine struct{ stage, what string }

func (r *work) planned(w Written) []plannedLine {
	folder := r.folder(w.Version)
	lines := []plannedLine{{"changes", fmt.Sprintf("write %s and %s into %s:\n%s", changelogName, notesName, folder, strings.TrimRight(string(w.Entry), "\n"))}}
	for _, c := range r.Config.Commands {
		for _, arch := range r.Config.Archs {
			lines = append(lines, plannedLine{"build", fmt.Sprintf("%s for linux/%s into %s", c.Name, arch, filepath.Base(r.binaryPath(w.Version, c.Name, arch)))})
		}
	}
	for _, arch := range r.Config.Archs {
		lines = append(lines, plannedLine{"certify", r.plannedTrial(arch)})
	}
	lines = append(lines,
		plannedLine{"deb", fmt.Sprintf("pack what release/debian/control lists, version %s, for %s and all", w.Debian, strings.Join(r.Config.Archs, ", "))},
		plannedLine{"sign", sumsName + " of all this, with " + r.plannedKey()},
		plannedLine{"tree", fmt.Sprintf("suite %s, component %s of %s, signed with the same key", r.Config.Suite, r.Config.Component, r.Config.Origin)},
		plannedLine{"publish", "into " + r.aptFolder() + ", InRelease last"},
		plannedLine{"verify", "read back" + r.plannedApt()})
	return lines
}

func (r *work) plannedTrial(arch string) string {
	switch {
	case arch != runtime.GOARCH && r.NoMachines:
		return r.Config.Runtime + " for " + arch + ": not tried, virtual machines are not wanted"
	case arch != runtime.GOARCH:
		return r.Config.Runtime + " for " + arch + ": conformance and leaks in a virtual machine, where one can be had"
	case os.Geteuid() != 0:
		return r.Config.Runtime + " for " + arch + ": conformance and leaks here, but for the checks that need root"
	}
	return r.Config.Runtime + " for " + arch + ": conformance and leaks here"
}

func (r *work) plannedKey() string {
	if r.signer.Signer == nil {
		return "a throwaway key"
	}
	return "key " + r.signer.Fingerprint()
}

func (r *work) plannedApt() string {
	if err := r.aptHere(); err != nil {
		return "; apt's own install is not tried: " + err.Error()
	}
	return "; apt installs from file: and http: into systems of its own, and what it installed is run"
}
