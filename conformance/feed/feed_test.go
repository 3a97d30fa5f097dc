package feed

import (
	"bytes"
	"encoding/xml"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/berth-oci/berth/conformance"
)

var update = flag.Bool("update", false, "write the golden files anew")

// sample has one result of each outcome, with text that formats must escape.
func sample() conformance.Report {
	clause := conformance.Clause{File: "runtime.md", Anchor: "runtimeDelete", Level: conformance.Must, Text: `it MUST <do> & "say"`}
	softer := clause
	softer.Level = conformance.Should
	result := func(name string, outcome conformance.Outcome, strict bool, clause conformance.Clause, reasons ...string) conformance.Result {
		return conformance.Result{
			Check:   conformance.Check{Name: name, Clause: clause, Strict: strict},
			Outcome: outcome, Reasons: reasons, Duration: 1500 * time.Millisecond,
		}
	}
	return conformance.Report{
		Runtime: conformance.Runtime{Path: "/usr/bin/example"}, Version: "example 1.0", Spec: "1.3.0", Machine: "Linux 6.1 x86_64, cgroup v2",
		Began: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Duration: 12340 * time.Millisecond,
		Results: []conformance.Result{
			result("a/passes", conformance.Pass, false, clause),
			result("a/fails", conformance.Fail, false, clause, "first # line\nsecond <line>", "another"),
			result("b/fails-strictly", conformance.Fail, true, clause, "known"),
			result("b/warns", conformance.Warn, false, softer, "not followed"),
			result("c/skipped", conformance.Skip, false, clause, "needs # root"),
			result("c/skipped-too", conformance.Skip, false, clause, "needs # root"),
		},
	}
}

func TestFormatsMatchTheirGoldenFiles(t *testing.T) {
	for _, format := range Formats() {
		write, err := For(format)
		if err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		if err := write(&got, sample()); err != nil {
			t.Fatalf("%s: %v", format, err)
		}
		golden := filepath.Join("testdata", "report."+format)
		if *update {
			if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Bytes(), want) {
			t.Errorf("%s is not what %s holds:\n%s", format, golden, got.String())
		}
	}
}

func TestReadReturnsWhatJSONWrote(t *testing.T) {
	var text bytes.Buffer
	if err := JSON(&text, sample()); err != nil {
		t.Fatal(err)
	}
	got, err := Read(&text)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, sample()) {
		t.Errorf("read %+v, want %+v", got, sample())
	}
}

func TestReadRefusesWhatIsNoReport(t *testing.T) {
	for _, text := range []string{"", "{}", "[]", `{"results":[]}`} {
		if _, err := Read(bytes.NewReader([]byte(text))); err == nil {
			t.Errorf("Read accepted %q", text)
		}
	}
}

func TestJUnitIsWellFormed(t *testing.T) {
	var text bytes.Buffer
	if err := JUnit(&text, sample()); err != nil {
		t.Fatal(err)
	}
	var suite suiteXML
	if err := xml.Unmarshal(text.Bytes(), &suite); err != nil {
		t.Fatal(err)
	}
	if suite.Tests != 6 || suite.Failures != 2 || suite.Skipped != 2 || len(suite.Cases) != 6 {
		t.Errorf("the suite counts %d tests, %d failures, %d skipped, %d cases", suite.Tests, suite.Failures, suite.Skipped, len(suite.Cases))
	}
	if got := suite.Cases[1].Failure.Text; got != "first # line\nsecond <line>\nanother" {
		t.Errorf("the failure reads %q", got)
	}
}

func TestForRefusesUnknownFormats(t *testing.T) {
	if _, err := For("yaml"); err == nil {
		t.Error("For accepted yaml")
	}
}
