package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/berth-oci/berth/conformance"
	"github.com/berth-oci/berth/conformance/leak"
)

func leakVerb(ctx context.Context, args []string) error {
	var target conformance.Runtime
	var options leak.Options
	set := newFlagSet("leak", "conform leak --runtime PATH [options] [-- GLOBAL-ARGUMENT...]", `
Lets the runtime live through several scenarios in namespaces of their own and
names every process, mount, cgroup, network link, descriptor, file, keyring, loop
device and System V object that it leaves behind. Needs root.
`)
	set.StringVar(&target.Path, "runtime", "", "`PATH` or name of the runtime (required)")
	set.StringVar(&options.Filter, "filter", "", "play only scenarios whose name matches `REGEXP`")
	set.StringVar(&options.Probe, "probe", "", "static `EXECUTABLE` to run inside containers (default: conform itself)")
	set.DurationVar(&options.Timeout, "timeout", 0, "longest `TIME` for one command of the runtime (default 30s)")
	format := set.String("format", "text", "`FORMAT` of the report: text or json")
	if err := parse(set, args); err != nil {
		return err
	}
	if target.Path == "" {
		return usageError{"no runtime given; use --runtime PATH"}
	}
	target.Args = set.Args()
	if *format != "text" && *format != "json" {
		return usageError{fmt.Sprintf("unknown format %q; the formats are text, json", *format)}
	}
	report, err := leak.Check(ctx, target, options)
	if err != nil {
		return err
	}
	if err := printLeaks(*format, report); err != nil {
		return err
	}
	if len(report.Leaked()) > 0 || len(report.Problems()) > 0 {
		return errVerdict
	}
	return nil
}

func printLeaks(format string, report leak.Report) error {
	if format == "json" {
		encoder := json.NewEncoder(os.Stdout)
		encoder.SetIndent("", "  ")
		encoder.SetEscapeHTML(false)
		return encoder.Encode(report)
	}
	for _, scenario := range report.Scenarios {
		verdict := "clean"
		if len(scenario.Findings) > 0 {
			verdict = fmt.Sprintf("%d left behind", len(scenario.Findings))
		}
		if scenario.Problem != "" {
			verdict += "; did not go as planned: " + scenario.Problem
		}
		fmt.Printf("%s: %s\n", scenario.Name, verdict)
		for _, finding := range scenario.Findings {
			fmt.Printf("    %s: %s\n", finding.Kind, finding.Name)
		}
	}
	fmt.Printf("%d scenarios, %d left behind, %d not as planned\n", len(report.Scenarios), len(report.Leaked()), len(report.Problems()))
	return nil
}
