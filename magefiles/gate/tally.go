package gate

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Event is one line of `go test -json` (go doc test2json).
type event struct {
	Action      string
	Package     string
	ImportPath  string
	Test        string
	Output      string
	Elapsed     float64
	FailedBuild string
}

// Tally counts what the tests of one run came to.
type tally struct {
	out      io.Writer
	passed   int
	failed   int
	skipped  int
	parents  map[string]bool     // tests that have subtests: the leaves count, not they
	reasons  map[string][]string // why → which tests
	failures []string            // "package.Test", in order of arrival

	output map[string][]string // what a test, a package or a build printed and nobody has judged yet
	leaf   map[string]string   // test → verdict
}

func newTally(out io.Writer) *tally {
	return &tally{out: out, parents: map[string]bool{}, reasons: map[string][]string{},
		output: map[string][]string{}, leaf: map[string]string{}}
}

// runTests executes every test of the module once, uncached, because most of them prove an effect on this kernel.
// GOCOVERDIR is set for them: a test that builds a command passes -cover then, and the command's own run counts too.
func (g Gate) runTests(ctx context.Context, coverDir string) (*tally, error) {
	unit, binary := filepath.Join(coverDir, "unit"), filepath.Join(coverDir, "binary")
	for _, dir := range []string{unit, binary} {
		if err := os.Mkdir(dir, 0o777); err != nil {
			return nil, fmt.Errorf("cannot measure coverage: %w", err)
		}
	}
	cmd := g.command(ctx, "go", "test", "-json", "-count=1", "-timeout=60m", "-cover", "-coverpkg=./...", "./...",
		"-args", "-test.gocoverdir="+unit)
	cmd.Env = append(cmd.Env, "GOCOVERDIR="+binary)
	cmd.Stderr = g.Out
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("cannot run the tests: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot run the tests: %w", err)
	}
	t := newTally(g.Out)
	readErr := t.read(pipe)
	if err := cmd.Wait(); err != nil && len(t.failures) == 0 {
		return nil, fmt.Errorf("cannot run the tests: go test: %w", err)
	}
	return t, readErr
}

// read consumes the stream until its end. A line that is no JSON is the go command talking; it is passed on.
func (t *tally) read(r io.Reader) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			fmt.Fprintln(t.out, lines.Text())
			continue
		}
		t.take(e)
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("cannot read the results of go test: %w", err)
	}
	return nil
}

func (t *tally) take(e event) {
	key := e.Package + e.ImportPath
	if e.Test != "" {
		key = e.Package + "." + e.Test
		if parent, _, ok := cutLast(e.Test, "/"); ok {
			t.parents[e.Package+"."+parent] = true
		}
	}
	switch e.Action {
	case "output", "build-output":
		t.output[key] = append(t.output[key], e.Output)
	case "pass", "fail", "skip":
		t.judge(e, key)
	}
}

func (t *tally) judge(e event, key string) {
	if e.Test == "" {
		t.judgePackage(e, key)
		return
	}
	t.leaf[key] = e.Action
	if e.Action == "skip" {
		reason := skipReason(t.output[key])
		t.reasons[reason] = append(t.reasons[reason], key)
	}
	if e.Action == "fail" {
		t.failures = append(t.failures, key)
		t.print(key)
	}
	delete(t.output, key)
}

// judgePackage closes a package: one line, and where it failed with no test to blame (it did not build, it paniced, it
// ran out of time) the package itself is the failure.
func (t *tally) judgePackage(e event, key string) {
	if e.Action == "skip" { // no test files
		return
	}
	took := time.Duration(e.Elapsed * float64(time.Second))
	fmt.Fprintf(t.out, "%-4s  %-60s %6.1fs\n", map[string]string{"pass": "ok", "fail": "FAIL"}[e.Action], e.Package, took.Seconds())
	if e.Action == "fail" && !t.blamed(e.Package) {
		t.print(e.FailedBuild)
		t.print(key)
		t.failures = append(t.failures, e.Package)
		t.leaf[e.Package] = "fail"
	}
}

func (t *tally) blamed(pkg string) bool {
	return slices.ContainsFunc(t.failures, func(f string) bool { return strings.HasPrefix(f, pkg+".Test") })
}

func (t *tally) print(key string) {
	for _, line := range t.output[key] {
		fmt.Fprint(t.out, line)
	}
}

// count turns verdicts into numbers. A test with subtests stands for them and is not counted again, unless it failed or
// was skipped by itself.
func (t *tally) count() {
	t.passed, t.failed, t.skipped = 0, 0, 0
	for key, verdict := range t.leaf {
		switch {
		case t.parents[key] && verdict == "pass":
		case verdict == "pass":
			t.passed++
		case verdict == "skip":
			t.skipped++
		case t.parents[key] && t.hasFailedChild(key):
		default:
			t.failed++
		}
	}
}

func (t *tally) hasFailedChild(parent string) bool {
	for key, verdict := range t.leaf {
		if verdict == "fail" && strings.HasPrefix(key, parent+"/") {
			return true
		}
	}
	return false
}

// report prints the skips by reason, the failures by name, and the closing line.
func (t *tally) report(w io.Writer) {
	t.count()
	if len(t.reasons) > 0 {
		fmt.Fprintln(w, "\nskipped, by reason:")
	}
	for _, reason := range sortedKeys(t.reasons) {
		tests := t.reasons[reason]
		fmt.Fprintf(w, "  %3d  %s  (%s)\n", len(tests), reason, shortList(tests))
	}
	if len(t.failures) > 0 {
		fmt.Fprintln(w, "\nfailed:")
	}
	for _, f := range t.failures {
		fmt.Fprintf(w, "  %s\n", f)
	}
	fmt.Fprintf(w, "\n%d passed, %d failed, %d skipped\n", t.passed, t.failed, t.skipped)
}

func (t *tally) verdict() error {
	switch {
	case len(t.failures) > 0:
		return fmt.Errorf("cannot pass the tests: %d failed", t.failed)
	case t.passed == 0:
		return errors.New("cannot pass the tests: none was executed")
	}
	return nil
}

var (
	logPlace = regexp.MustCompile(`^\s*[\w.-]+\.go:\d+: `)
	// What differs between two skips for the same reason: temporary paths and numbers after a colon.
	frame = regexp.MustCompile(`^(=== |--- |\s*--- )`)
)

// skipReason is what the test said last before it gave up, without the place it said it at.
func skipReason(output []string) string {
	var reason []string
	for _, line := range strings.Split(strings.Join(output, ""), "\n") {
		switch {
		case frame.MatchString(line) || strings.TrimSpace(line) == "":
		case logPlace.MatchString(line):
			reason = []string{logPlace.ReplaceAllString(line, "")}
		case len(reason) > 0:
			reason = append(reason, strings.TrimSpace(line))
		}
	}
	if len(reason) == 0 {
		return "no reason given"
	}
	return strings.Join(reason, " ")
}

func shortList(tests []string) string {
	names := make([]string, len(tests))
	for i, t := range tests {
		_, names[i], _ = cutLast(t, "/berth/")
		if names[i] == "" {
			names[i] = t
		}
	}
	slices.Sort(names)
	if len(names) > 3 {
		return strings.Join(names[:3], ", ") + ", …"
	}
	return strings.Join(names, ", ")
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
