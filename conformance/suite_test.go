package conformance

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/berth-oci/berth/conformance/probe"
)

// TestClauses proves that each citation is a sentence of the specification
// and stands in a section that exists.
func TestClausesAreQuotedFromTheSpecification(t *testing.T) {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/opencontainers/runtime-spec").Output()
	if err != nil || len(strings.TrimSpace(string(dir))) == 0 {
		t.Skipf("the text of the specification is not in the module cache: %v", err)
	}
	texts := map[string]string{}
	for _, check := range All() {
		clause := check.Clause
		if texts[clause.File] == "" {
			raw, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), clause.File))
			if err != nil {
				t.Errorf("%s: cites a file that does not exist: %v", check.Name, err)
				continue
			}
			texts[clause.File] = string(raw)
		}
		text := texts[clause.File]
		if !strings.Contains(text, `<a name="`+clause.Anchor+`" />`) {
			t.Errorf("%s: %s has no anchor %q", check.Name, clause.File, clause.Anchor)
		}
		if !strings.Contains(plain(text), plain(clause.Text)) {
			t.Errorf("%s: %s does not say %q", check.Name, clause.File, clause.Text)
		}
	}
}

var (
	link  = regexp.MustCompile(`\[([^\]]*)\](\([^)]*\)|\[[^\]]*\])`)
	marks = strings.NewReplacer("`", "", "**", "", "*", "", "_", "")
)

// plain takes the markup out of a text.
func plain(text string) string {
	text = link.ReplaceAllString(text, "$1")
	return strings.Join(strings.Fields(marks.Replace(text)), " ")
}

func TestNamesAreUnique(t *testing.T) {
	seen := map[string]bool{}
	for _, check := range All() {
		if seen[check.Name] {
			t.Errorf("two checks are named %s", check.Name)
		}
		seen[check.Name] = true
		if strings.Count(check.Name, "/") < 1 {
			t.Errorf("%s has no chapter", check.Name)
		}
		if check.Run == nil {
			t.Errorf("%s does nothing", check.Name)
		}
	}
	if len(seen) == 0 {
		t.Error("the suite is empty")
	}
}

// judge runs the suite with a probe that needs no dynamic loader.
func judge(t *testing.T, target Runtime, filter string) Report {
	t.Helper()
	options := Options{Filter: filter}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if static, err := probe.Static(self); err != nil {
		t.Fatal(err)
	} else if !static { // the tests were built with cgo
		options.Probe = buildProbe(t)
	}
	report, err := Run(context.Background(), target, options)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func buildProbe(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "probe")
	build := exec.Command("go", "build", "-o", path, "./probe/witness")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("cannot build the probe: %v\n%s", err, output)
	}
	return path
}
