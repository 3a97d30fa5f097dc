package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/berth-oci/berth/conformance"
	"github.com/berth-oci/berth/conformance/feed"
)

func compareVerb(_ context.Context, args []string) error {
	set := newFlagSet("compare", "conform compare [options] BEFORE.json AFTER.json", `
Exits with 1 where a check got worse: it passed and fails or is skipped now.
`)
	format := set.String("format", "text", "`FORMAT`: text or json")
	if err := parse(set, args); err != nil {
		return err
	}
	if set.NArg() != 2 {
		return usageError{"two reports are needed; see conform compare --help"}
	}
	before, err := readReport(set.Arg(0))
	if err != nil {
		return err
	}
	after, err := readReport(set.Arg(1))
	if err != nil {
		return err
	}
	changes := conformance.Compare(before, after)
	if err := printChanges(*format, changes); err != nil {
		return err
	}
	for _, change := range changes {
		if change.Worse() {
			return errVerdict
		}
	}
	return nil
}

func readReport(path string) (conformance.Report, error) {
	file, err := os.Open(path)
	if err != nil {
		return conformance.Report{}, fmt.Errorf("cannot compare: %w", err)
	}
	defer file.Close()
	report, err := feed.Read(file)
	if err != nil {
		return report, fmt.Errorf("%s: %w", path, err)
	}
	return report, nil
}

func printChanges(format string, changes []conformance.Change) error {
	switch format {
	case "json":
		encoder := json.NewEncoder(os.Stdout)
		encoder.SetIndent("", "  ")
		return encoder.Encode(changes)
	case "text":
		printChangeLines(changes)
		return nil
	}
	return usageError{fmt.Sprintf("unknown format %q; the formats are text, json", format)}
}

func printChangeLines(changes []conformance.Change) {
	worse := 0
	for _, change := range changes {
		word := "better"
		if change.Worse() {
			word = "worse"
			worse++
		}
		fmt.Printf("%-6s  %s: %s -> %s\n", word, change.Name, change.Was, change.Is)
		for _, reason := range change.Reasons {
			fmt.Printf("        %s\n", reason)
		}
	}
	fmt.Printf("%d changes, %d worse\n", len(changes), worse)
}
