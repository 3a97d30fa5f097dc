package release

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"github.com/berth-oci/berth/conformance"
	"github.com/berth-oci/berth/conformance/leak"
)

type binary = Binary

// Certified is a Binary that passed conformance and the leak check, or one for which the certificate says why that could
// not be tried here. Only a Certified can become a Package: its one field cannot be set outside this package, and
// certify alone sets it within.
type Certified struct {
	binary
}

// Certificate is what one architecture's binary was seen to do. It holds no time and no place, so that the same binary on
// the same kind of machine gets the same one.
type Certificate struct {
	Path string `json:"-"` // where it is written

	Command string           `json:"command"`
	Arch    string           `json:"arch"`
	SHA256  string           `json:"sha256"` // of the binary
	Spec    string           `json:"spec"`   // version of the runtime specification
	NotRun  string           `json:"notRun,omitempty"`
	Counts  map[string]int   `json:"counts,omitempty"` // outcome → checks
	Results []certificateRow `json:"results,omitempty"`

	Scenarios     int      `json:"leakScenarios,omitempty"`
	Leaks         []string `json:"leaks,omitempty"` // things left behind
	LeaksNotTried string   `json:"leaksNotTried,omitempty"`
}

type certificateRow struct {
	Check   string   `json:"check"`
	Outcome string   `json:"outcome"`
	Reasons []string `json:"reasons,omitempty"`
}

// certify lets the conformance suite judge every binary: the ones for this machine's architecture here, the others in a
// virtual machine. A clause broken or anything left behind stops the release before there is a package. What cannot be
// tried here (no root, no virtual machine) is said, counted and written into the certificate.
func (r *work) certify(ctx context.Context, b Built) (Proven, error) {
	if err := r.forget(b.Version, "certify"); err != nil {
		return Proven{}, err
	}
	dir, err := os.MkdirTemp("", "release-judge-")
	if err != nil {
		return Proven{}, fmt.Errorf("cannot certify: %w", err)
	}
	defer os.RemoveAll(dir)
	known, err := readWaivers(r.Repo, r.Config.Waivers)
	if err != nil {
		return Proven{}, err
	}
	proven := Proven{Written: b.Written}
	for _, bin := range b.Binaries {
		if bin.Command != r.Config.Runtime { // only runtimes have a specification to meet
			proven.Certified = append(proven.Certified, Certified{bin})
			continue
		}
		certificate, err := r.examine(ctx, dir, b.Version, bin, known)
		if err != nil {
			return Proven{}, err
		}
		proven.Certified = append(proven.Certified, Certified{bin})
		proven.Certificates = append(proven.Certificates, certificate)
	}
	return proven, r.saveProven(proven)
}

// examine judges one binary and writes its certificate; the error is the verdict where it is bad.
func (r *work) examine(ctx context.Context, dir string, v Version, bin Binary, known waivers) (Certificate, error) {
	stop := r.tell.doing("certify", fmt.Sprintf("%s for %s", bin.Command, bin.Arch))
	defer stop()
	c := Certificate{Command: bin.Command, Arch: bin.Arch, SHA256: bin.SHA256, Spec: conformance.SpecVersion,
		Path: filepath.Join(r.folder(v), "conformance_"+bin.Command+"_"+bin.Arch+".json")}
	found, err := r.trial(ctx, dir, bin)
	var unavailable *notHere
	switch {
	case errors.As(err, &unavailable):
		c.NotRun = unavailable.why
	case err != nil:
		return c, fmt.Errorf("cannot certify %s for %s: %w", bin.Command, bin.Arch, err)
	default:
		c.fill(found, known)
		if err := c.verdict(); err != nil {
			return c, fmt.Errorf("cannot certify %s for %s: %w", bin.Command, bin.Arch, err)
		}
	}
	text, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return c, fmt.Errorf("cannot write the certificate: %w", err)
	}
	r.tell.fact("certify", c.String())
	return c, r.writeFile("certify", c.Path, append(text, '\n'))
}

// notHere says why this machine cannot try a binary. It is a reason for a skip, not a failure.
type notHere struct{ why string }

func (n *notHere) Error() string { return n.why }

// court is a place where a binary can be tried: it runs the judge there and returns what that prints.
type court interface {
	hear(ctx context.Context, args ...string) ([]byte, error)
	close()
}

// findings are what a trial brought to light.
type findings struct {
	conformance.Report
	leaks        leak.Report
	leaksUnknown string // why nobody looked for leaks
}

// trial lets the judge ask both questions: does it keep to the specification, and does it leave anything behind?
func (r *work) trial(ctx context.Context, dir string, bin Binary) (findings, error) {
	var f findings
	c, err := r.court(ctx, dir, bin)
	if err != nil {
		return f, err
	}
	defer c.close()
	text, err := c.hear(ctx, "run", "--format", "json")
	if err != nil {
		return f, err
	}
	if f.Report, err = readReport(text); err != nil {
		return f, err
	}
	if bin.Arch == runtime.GOARCH && os.Geteuid() != 0 {
		f.leaksUnknown = leak.ErrNotRoot.Error()
		return f, nil
	}
	if text, err = c.hear(ctx, "leak", "--format", "json"); err != nil {
		return f, err
	}
	if err := json.Unmarshal(text, &f.leaks); err != nil || len(f.leaks.Scenarios) == 0 {
		return f, fmt.Errorf("cannot read the report on leaks: %w", errors.Join(err, errNoScenario))
	}
	return f, nil
}

var errNoScenario = errors.New("it holds no scenario")

// court is here for this machine's architecture and in a virtual machine for the others.
func (r *work) court(ctx context.Context, dir string, bin Binary) (court, error) {
	judge, err := r.buildJudge(ctx, dir, bin.Arch)
	if err != nil {
		return nil, err
	}
	if bin.Arch != runtime.GOARCH {
		return r.openMachine(ctx, judge, bin)
	}
	// The name under which users will run it; some runtimes look at their own.
	path := filepath.Join(dir, bin.Arch, bin.Command)
	if err := copyExecutable(bin.Path, path); err != nil {
		return nil, err
	}
	return &hereCourt{judge, path, r.follow(bin.Arch)}, nil
}

// buildJudge builds the conformance command for an architecture. It comes from the module that this program is made of,
// not from the one that is released: whoever is judged does not bring the judge.
func (r *work) buildJudge(ctx context.Context, dir, arch string) (string, error) {
	if r.Judge != nil {
		return r.Judge(arch)
	}
	env, err := buildEnv(ctx, r.Repo)
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "conform-"+arch)
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-o", path, r.Config.Judge)
	cmd.Dir = r.Repo
	cmd.Env = append(env, "GOARCH="+arch)
	if _, err := output(cmd); err != nil {
		return "", fmt.Errorf("cannot build the conformance suite: %w", err)
	}
	return path, nil
}

// follow shows what the judge says while it works.
func (r *work) follow(arch string) func(string) {
	return func(line string) { r.tell.relabel("certify", arch+"  "+line) }
}

type hereCourt struct {
	judge, runtime string
	follow         func(string)
}

func (*hereCourt) close() {}

func (c *hereCourt) hear(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, c.judge, append(args, "--runtime", c.runtime)...)
	var out bytes.Buffer
	said := &tailWriter{each: c.follow}
	cmd.Stdout, cmd.Stderr = &out, said
	err := cmd.Run()
	if out.Len() == 0 { // what it exits with besides is its verdict, which is in the report
		return nil, fmt.Errorf("the conformance suite gave no report: %w\n%s", errors.Join(err, ctx.Err()), said)
	}
	return out.Bytes(), nil
}

func readReport(text []byte) (conformance.Report, error) {
	var report conformance.Report
	if err := json.Unmarshal(text, &report); err != nil {
		return report, fmt.Errorf("cannot read the conformance report: %w", err)
	}
	if len(report.Results) == 0 {
		return report, errors.New("the conformance report holds no check")
	}
	return report, nil
}

// verdict is the error of a certificate with a broken clause that is not waived, naming the first few.
func (c *Certificate) verdict() error {
	var text strings.Builder
	broken := 0
	for _, row := range c.Results {
		if row.Outcome != string(conformance.Fail) {
			continue
		}
		if broken++; broken <= 5 {
			fmt.Fprintf(&text, "\n  %s: %s", row.Check, strings.Join(row.Reasons, "; "))
		}
	}
	if broken > 5 {
		fmt.Fprintf(&text, "\n  … and %d more", broken-5)
	}
	var errs []error
	if broken > 0 {
		errs = append(errs, fmt.Errorf("it broke %d of %d conformance checks%s", broken, len(c.Results), text.String()))
	}
	if len(c.Leaks) > 0 {
		errs = append(errs, fmt.Errorf("it left %d things behind:\n  %s", len(c.Leaks), strings.Join(c.Leaks[:min(5, len(c.Leaks))], "\n  ")))
	}
	return errors.Join(errs...)
}

// waived is the outcome of a broken check that the project's waivers name.
const waived = "waived"

func (c *Certificate) fill(report findings, known waivers) {
	c.Scenarios, c.LeaksNotTried = len(report.leaks.Scenarios), report.leaksUnknown
	for _, l := range report.leaks.Leaked() {
		c.Leaks = append(c.Leaks, withoutPlaces(l.String()))
	}
	for _, p := range report.leaks.Problems() {
		c.Leaks = append(c.Leaks, "not tried as planned: "+withoutPlaces(p))
	}
	c.Counts = map[string]int{}
	for _, res := range report.Results {
		row := certificateRow{Check: res.Name, Outcome: string(res.Outcome)}
		for _, reason := range res.Reasons {
			row.Reasons = append(row.Reasons, withoutPlaces(reason))
		}
		if why := known.reason(res.Name); why != "" && res.Outcome == conformance.Fail {
			row.Outcome, row.Reasons = waived, []string{why}
		}
		c.Counts[row.Outcome]++
		c.Results = append(c.Results, row)
	}
}

var placeOfRun = regexp.MustCompile(`\S*/conform-\d+|pid \d+`)

// withoutPlaces removes what differs from run to run.
func withoutPlaces(reason string) string { return placeOfRun.ReplaceAllString(reason, "…") }

// String is the certificate in one line, with the reasons of what was not tried.
func (c Certificate) String() string {
	name := c.Command + " for " + c.Arch
	if c.NotRun != "" {
		return name + ": NOT TRIED: " + c.NotRun
	}
	line := fmt.Sprintf("%s: %d checks passed, %d failed, %d waived, %d skipped", name,
		c.Counts[string(conformance.Pass)]+c.Counts[string(conformance.Warn)], c.Counts[string(conformance.Fail)], c.Counts[waived], c.Counts[string(conformance.Skip)])
	line += fmt.Sprintf("; nothing left behind in %d scenarios", c.Scenarios)
	if c.LeaksNotTried != "" {
		line = strings.TrimSuffix(line, "; nothing left behind in 0 scenarios") + "; LEAKS NOT LOOKED FOR: " + c.LeaksNotTried
	}
	for _, reason := range append(c.reasons(waived, "waived"), c.reasons(string(conformance.Skip), "skipped")...) {
		line += "\n" + strings.Repeat(" ", 12) + reason
	}
	return line
}

// reasons counts the checks of one outcome by the reason they give.
func (c Certificate) reasons(outcome, word string) []string {
	counts := map[string]int{}
	for _, row := range c.Results {
		if row.Outcome == outcome {
			counts[strings.Join(row.Reasons, "; ")]++
		}
	}
	var lines []string
	for reason, n := range counts {
		lines = append(lines, fmt.Sprintf("%3d %s: %s", n, word, reason))
	}
	slices.Sort(lines)
	return lines
}

// saveProven records which binaries were certified, by their sums.
func (r *work) saveProven(p Proven) error {
	var sums, paths []string
	for _, c := range p.Certified {
		sums, paths = append(sums, c.SHA256), append(paths, c.Path)
	}
	for _, c := range p.Certificates {
		paths = append(paths, c.Path)
	}
	return r.save(p.Version, "certify", sums, paths...)
}

// loadProven gives the standing of Certified back to the binaries that were certified, byte for byte.
func (r *work) loadProven(w Written) (Proven, error) {
	built, err := r.loadBuilt(w)
	if err != nil {
		return Proven{}, err
	}
	var sums []string
	if err := r.load(w.Version, "certify", &sums); err != nil {
		return Proven{}, err
	}
	p := Proven{Written: w}
	for _, bin := range built.Binaries {
		if !slices.Contains(sums, bin.SHA256) {
			return Proven{}, fmt.Errorf("cannot go on from the stage certify: %s was built after it\nhint: run that stage again", filepath.Base(bin.Path))
		}
		p.Certified = append(p.Certified, Certified{bin})
		if bin.Command == r.Config.Runtime {
			p.Certificates = append(p.Certificates, Certificate{Arch: bin.Arch,
				Path: filepath.Join(r.folder(w.Version), "conformance_"+bin.Command+"_"+bin.Arch+".json")})
		}
	}
	return p, nil
}

func copyExecutable(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o755)
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// tailWriter hands each line on and keeps the last ones for an error.
type tailWriter struct {
	each func(string)
	rest bytes.Buffer
	last []string
}

func (w *tailWriter) Write(data []byte) (int, error) {
	w.rest.Write(data)
	for {
		line, err := w.rest.ReadString('\n')
		if err != nil {
			w.rest.WriteString(line)
			return len(data), nil
		}
		line = strings.TrimRight(line, "\n")
		w.each(line)
		w.last = append(w.last, line)
		if len(w.last) > 20 {
			w.last = w.last[1:]
		}
	}
}

func (w *tailWriter) String() string { return strings.Join(append(w.last, w.rest.String()), "\n") }
