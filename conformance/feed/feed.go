// Package feed writes conformance reports for readers: people (text), programs
// (json), test harnesses (tap) and dashboards (junit). A writer receives a
// finished report and judges nothing.
package feed

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"sort"
	"strings"
	"time"

	"github.com/berth-oci/berth/conformance"
)

// Writer writes a report in one format.
type Writer func(io.Writer, conformance.Report) error

var writers = map[string]Writer{"text": Text, "json": JSON, "tap": TAP, "junit": JUnit}

// Formats lists the names of the formats.
func Formats() []string { return []string{"text", "json", "tap", "junit"} }

// For returns the writer of a format.
func For(format string) (Writer, error) {
	writer, found := writers[format]
	if !found {
		return nil, fmt.Errorf("unknown format %q; the formats are %s", format, strings.Join(Formats(), ", "))
	}
	return writer, nil
}

// JSON writes the report as one indented JSON object.
func JSON(out io.Writer, report conformance.Report) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(report)
}

// Read reads what [JSON] wrote.
func Read(in io.Reader) (conformance.Report, error) {
	var report conformance.Report
	if err := json.NewDecoder(in).Decode(&report); err != nil {
		return report, fmt.Errorf("cannot read a report: %w", err)
	}
	if len(report.Results) == 0 {
		return report, fmt.Errorf("cannot read a report: it holds no results")
	}
	return report, nil
}

// Text writes what did not pass with the clause and the reason, the skips
// grouped by reason, and a summary.
func Text(out io.Writer, report conformance.Report) error {
	w := &sticky{out: out}
	w.printf("%s (%s)\nruntime-spec %s on %s\n", report.Runtime.Path, orUnknown(report.Version), report.Spec, report.Machine)
	for _, result := range append(report.Failed(), report.Warned()...) {
		w.printf("\n%s  %s%s\n", strings.ToUpper(string(result.Outcome)), result.Name, strictMark(result))
		w.printf("      %s\n", result.Clause)
		for _, reason := range result.Reasons {
			w.printf("      found: %s\n", indent(reason))
		}
		for _, remark := range result.Log {
			w.printf("      note: %s\n", indent(remark))
		}
	}
	writeSkips(w, report.Skipped())
	w.printf("\n%s\n", Summary(report))
	return w.err
}

// Summary is the outcome of a report in one line.
func Summary(report conformance.Report) string {
	failed := len(report.Failed())
	return fmt.Sprintf("%d checks: %d passed, %d failed (%d of them strict), %d warnings, %d skipped, in %v",
		len(report.Results), len(report.Passed()), failed, failed-len(report.Unexpected()),
		len(report.Warned()), len(report.Skipped()), report.Duration.Round(100*time.Millisecond))
}

// Line is one result in one line, for progress.
func Line(result conformance.Result) string {
	line := fmt.Sprintf("%-4s  %s%s", result.Outcome, result.Name, strictMark(result))
	if len(result.Reasons) > 0 {
		line += ": " + strings.Join(strings.Fields(result.Reasons[0]), " ")
	}
	return line
}

func writeSkips(w *sticky, skipped []conformance.Result) {
	names := map[string][]string{}
	for _, result := range skipped {
		reason := strings.Join(result.Reasons, "; ")
		names[reason] = append(names[reason], result.Name)
	}
	reasons := make([]string, 0, len(names))
	for reason := range names {
		reasons = append(reasons, reason)
	}
	sort.Strings(reasons)
	for _, reason := range reasons {
		w.printf("\nSKIP  %d: %s\n", len(names[reason]), reason)
		for _, name := range names[reason] {
			w.printf("      %s\n", name)
		}
	}
}

// TAP writes the Test Anything Protocol, version 13.
func TAP(out io.Writer, report conformance.Report) error {
	w := &sticky{out: out}
	w.printf("TAP version 13\n1..%d\n", len(report.Results))
	for i, result := range report.Results {
		verdict, directive := "ok", ""
		switch result.Outcome {
		case conformance.Fail:
			verdict = "not ok"
		case conformance.Warn: // a SHOULD: shown as not ok, counted as expected
			verdict, directive = "not ok", " # TODO a SHOULD, not a MUST"
		case conformance.Skip:
			directive = " # SKIP " + indentless(result.Reasons)
		}
		w.printf("%s %d - %s%s\n", verdict, i+1, result.Name, directive)
		if verdict == "not ok" {
			writeYAML(w, result)
		}
	}
	return w.err
}

func writeYAML(w *sticky, result conformance.Result) {
	w.printf("  ---\n  clause: %q\n  level: %s\n  strict: %v\n  found:\n", result.Clause.String(), result.Clause.Level, result.Strict)
	for _, reason := range result.Reasons {
		w.printf("    - %q\n", reason)
	}
	w.printf("  ...\n")
}

type suiteXML struct {
	XMLName  xml.Name  `xml:"testsuite"`
	Name     string    `xml:"name,attr"`
	Tests    int       `xml:"tests,attr"`
	Failures int       `xml:"failures,attr"`
	Skipped  int       `xml:"skipped,attr"`
	Time     string    `xml:"time,attr"`
	When     string    `xml:"timestamp,attr"`
	Cases    []caseXML `xml:"testcase"`
}

type caseXML struct {
	Class   string      `xml:"classname,attr"`
	Name    string      `xml:"name,attr"`
	Time    string      `xml:"time,attr"`
	Failure *messageXML `xml:"failure"`
	Skip    *messageXML `xml:"skipped"`
	Out     string      `xml:"system-out,omitempty"`
}

type messageXML struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// JUnit writes one testsuite element in the XML format of JUnit.
func JUnit(out io.Writer, report conformance.Report) error {
	suite := suiteXML{
		Name: "runtime-spec " + report.Spec + ": " + orUnknown(report.Version), Tests: len(report.Results),
		Failures: len(report.Failed()), Skipped: len(report.Skipped()), Time: seconds(report.Duration),
		When: report.Began.UTC().Format("2006-01-02T15:04:05"),
	}
	for _, result := range report.Results {
		suite.Cases = append(suite.Cases, caseOf(result))
	}
	if _, err := io.WriteString(out, xml.Header); err != nil {
		return err
	}
	encoder := xml.NewEncoder(out)
	encoder.Indent("", "  ")
	if err := encoder.Encode(suite); err != nil {
		return err
	}
	_, err := io.WriteString(out, "\n")
	return err
}

func caseOf(result conformance.Result) caseXML {
	c := caseXML{Class: "conformance." + result.Chapter(), Name: result.Name, Time: seconds(result.Duration)}
	reasons := strings.Join(result.Reasons, "\n")
	switch result.Outcome {
	case conformance.Fail:
		c.Failure = &messageXML{Message: result.Clause.String(), Text: reasons}
	case conformance.Skip:
		c.Skip = &messageXML{Message: reasons}
	case conformance.Warn:
		c.Out = "warning: " + reasons + "\n" + result.Clause.String()
	}
	return c
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }

func orUnknown(version string) string {
	if version == "" {
		return "version unknown"
	}
	return version
}

func strictMark(result conformance.Result) string {
	if result.Strict {
		return " (strict)"
	}
	return ""
}

func indent(text string) string { return strings.ReplaceAll(text, "\n", "\n             ") }

// indentless makes one line of reasons, without the sign that starts a TAP directive.
func indentless(reasons []string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(strings.Join(reasons, "; ")), " "), "#", "")
}

// sticky keeps the first write error, so that the writers above read like the output.
type sticky struct {
	out io.Writer
	err error
}

func (w *sticky) printf(format string, args ...any) {
	if w.err == nil {
		_, w.err = fmt.Fprintf(w.out, format, args...)
	}
}
