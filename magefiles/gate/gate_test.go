package gate

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const stream = `{"Action":"start","Package":"example.org/berth/a"}
{"Action":"run","Package":"example.org/berth/a","Test":"TestOne"}
{"Action":"pass","Package":"example.org/berth/a","Test":"TestOne","Elapsed":0.1}
{"Action":"run","Package":"example.org/berth/a","Test":"TestRoot"}
{"Action":"output","Package":"example.org/berth/a","Test":"TestRoot","Output":"=== RUN   TestRoot\n"}
{"Action":"output","Package":"example.org/berth/a","Test":"TestRoot","Output":"    a_test.go:12: needs root\n"}
{"Action":"output","Package":"example.org/berth/a","Test":"TestRoot","Output":"--- SKIP: TestRoot (0.00s)\n"}
{"Action":"skip","Package":"example.org/berth/a","Test":"TestRoot","Elapsed":0}
{"Action":"run","Package":"example.org/berth/a","Test":"TestTable"}
{"Action":"run","Package":"example.org/berth/a","Test":"TestTable/x"}
{"Action":"output","Package":"example.org/berth/a","Test":"TestTable/x","Output":"    a_test.go:20: needs root\n"}
{"Action":"skip","Package":"example.org/berth/a","Test":"TestTable/x"}
{"Action":"pass","Package":"example.org/berth/a","Test":"TestTable/y"}
{"Action":"pass","Package":"example.org/berth/a","Test":"TestTable"}
{"Action":"pass","Package":"example.org/berth/a","Elapsed":0.2}
`

const failing = `{"Action":"run","Package":"example.org/berth/b","Test":"TestBad"}
{"Action":"output","Package":"example.org/berth/b","Test":"TestBad/deep","Output":"    b_test.go:7: want 1, got 2\n"}
{"Action":"fail","Package":"example.org/berth/b","Test":"TestBad/deep"}
{"Action":"fail","Package":"example.org/berth/b","Test":"TestBad"}
{"Action":"fail","Package":"example.org/berth/b","Elapsed":0.2}
{"ImportPath":"example.org/berth/c [c.test]","Action":"build-output","Output":"c.go:3:1: syntax error\n"}
{"Action":"fail","Package":"example.org/berth/c","Elapsed":0,"FailedBuild":"example.org/berth/c [c.test]"}
`

func TestSummaryCountsLeavesAndNamesEveryReason(t *testing.T) {
	got, err := summarise(t, stream)
	if err != nil {
		t.Errorf("a passing run was refused: %v", err)
	}
	for _, want := range []string{"  2  needs root  (a.TestRoot, a.TestTable/x)", "\n2 passed, 0 failed, 2 skipped\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("summary lacks %q:\n%s", want, got)
		}
	}
}

func TestFailuresAndBrokenBuildsAreShownAndRefused(t *testing.T) {
	got, err := summarise(t, stream+failing)
	if err == nil {
		t.Error("a failing run was accepted")
	}
	for _, want := range []string{"b_test.go:7: want 1, got 2", "c.go:3:1: syntax error", "\n2 passed, 2 failed, 2 skipped\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("summary lacks %q:\n%s", want, got)
		}
	}
}

func TestRunThatExecutedNothingIsRefused(t *testing.T) {
	onlySkips := strings.Join(strings.Split(stream, "\n")[3:8], "\n")
	for name, in := range map[string]string{"nothing": "", "only skips": onlySkips} {
		if _, err := summarise(t, in); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func summarise(t *testing.T, stream string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	tally := newTally(&out)
	if err := tally.read(strings.NewReader(stream)); err != nil {
		t.Fatal(err)
	}
	tally.report(&out)
	return out.String(), tally.verdict()
}

func TestCoverageOfBlockCountsWhereAnyRunReachedIt(t *testing.T) {
	p := profile{}
	for _, line := range []string{"mode: set", "m/a/x.go:1.1,2.2 3 0", "m/a/x.go:1.1,2.2 3 1", "m/a/x.go:4.1,5.2 1 0", "m/b/y.go:1.1,9.2 4 0"} {
		p.add(line)
	}
	got := p.byPackage()
	if got["m/a"] != (share{3, 4}) || got["m/b"] != (share{0, 4}) {
		t.Errorf("got %v", got)
	}
}

func TestUnformattedFileIsNamed(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "ugly.go"), []byte("package  ugly\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	err := Gate{Dir: dir}.gofmt(t.Context())
	if err == nil || !strings.Contains(err.Error(), "ugly.go") {
		t.Errorf("got %v, want an error that names ugly.go", err)
	}
}
