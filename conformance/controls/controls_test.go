// Package controls proves the suite right by runtimes that are known: every
// failure of theirs is argued from the specification, or it is the suite's mistake.
// It is a package of its own since it takes minutes.
package controls

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-oci/berth/conformance"
	"github.com/berth-oci/berth/conformance/probe"
)

// control runs the whole suite against a runtime that is installed on the
// machine. testdata/known holds, for one version of it, the clauses that it is
// known to break, each argued from the text; any other failure is the suite's mistake
// until proven otherwise.
func control(t *testing.T, name string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("running containers needs root")
	}
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed", name)
	}
	report := judge(t, conformance.Runtime{Path: path}, os.Getenv("CONFORM_FILTER"))
	known, err := readKnown(filepath.Join("testdata", "known", name+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(report.Version, known.version) {
		t.Skipf("the known failures are those of %q, this is %q", known.version, report.Version)
	}
	for _, result := range report.Failed() {
		if known.reasons[result.Name] == "" {
			t.Errorf("%s: fails, and is not known to: %s", result.Name, strings.Join(result.Reasons, "; "))
		}
	}
	if passed := len(report.Passed()); os.Getenv("CONFORM_FILTER") == "" && passed < 300 {
		t.Errorf("only %d checks passed", passed)
	}
}

// known is a file of testdata/known: the version on the first line, then a
// check and the reason on each line.
type known struct {
	version string
	reasons map[string]string
}

func readKnown(path string) (known, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return known{}, err
	}
	version, rest, _ := strings.Cut(string(text), "\n")
	found := known{version: version, reasons: map[string]string{}}
	for line := range strings.Lines(rest) {
		name, reason, ok := strings.Cut(strings.TrimSpace(line), " ")
		if name != "" && !ok {
			return known{}, fmt.Errorf("%s: %s is listed without a reason", path, name)
		}
		found.reasons[name] = strings.TrimSpace(reason)
	}
	return found, nil
}

// judge runs the suite with a probe that needs no dynamic loader.
func judge(t *testing.T, target conformance.Runtime, filter string) conformance.Report {
	t.Helper()
	options := conformance.Options{Filter: filter}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if static, err := probe.Static(self); err != nil {
		t.Fatal(err)
	} else if !static { // the tests were built with cgo
		options.Probe = buildProbe(t)
	}
	report, err := conformance.Run(context.Background(), target, options)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func buildProbe(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "probe")
	build := exec.Command("go", "build", "-o", path, "../probe/witness")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("cannot build the probe: %v\n%s", err, output)
	}
	return path
}

func TestControlRunc(t *testing.T) { control(t, "runc") }

// TestControlCrun shows crun a machine with cgroup v1 alone where it is
// hybrid, which crun refuses.
func TestControlCrun(t *testing.T) {
	env := conformance.NewEnv()
	if env.Unified || env.Controllers[""] == "" || os.Getenv("CONFORM_V1") != "" || os.Geteuid() != 0 {
		control(t, "crun")
		return
	}
	const world = `d=$(mktemp -d) && mount -t tmpfs none $d && for c in /sys/fs/cgroup/*; do
	n=$(basename $c); [ $n = unified ] && continue
	if [ -L $c ]; then ln -s $(readlink $c) $d/$n; else mkdir $d/$n && mount --bind $c $d/$n; fi
done && mount --rbind $d /sys/fs/cgroup && umount -R $d && rmdir $d && exec "$@"`
	cmd := exec.Command("unshare", "-m", "sh", "-c", world, "sh", "/proc/self/exe", "-test.run=^TestControlCrun$", "-test.v")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Args[6] = self
	cmd.Env = append(os.Environ(), "CONFORM_V1=1")
	output, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, output)
	}
	if strings.Contains(string(output), "--- SKIP") {
		t.Skipf("%s", output)
	}
}
