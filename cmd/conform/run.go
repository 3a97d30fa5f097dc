package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/berth-oci/berth/conformance"
	"github.com/berth-oci/berth/conformance/feed"
)

type runFlags struct {
	target  conformance.Runtime
	options conformance.Options
	format  string
	output  string
	lenient bool
	quiet   bool
}

func runVerb(ctx context.Context, args []string) error {
	flags, err := parseRun(args)
	if err != nil {
		return err
	}
	write, err := feed.For(flags.format)
	if err != nil {
		return usageError{err.Error()}
	}
	if !flags.quiet {
		flags.options.Progress = func(result conformance.Result) { fmt.Fprintln(os.Stderr, feed.Line(result)) }
	}
	report, err := conformance.Run(ctx, flags.target, flags.options)
	if err != nil {
		return err
	}
	if err := deliver(flags.output, report, write); err != nil {
		return err
	}
	if flags.output != "" {
		fmt.Fprintln(os.Stderr, feed.Summary(report))
	}
	if len(report.Unexpected()) > 0 || len(report.Failed()) > 0 && !flags.lenient {
		return errVerdict
	}
	return nil
}

func parseRun(args []string) (runFlags, error) {
	var f runFlags
	set := newFlagSet("run", "conform run --runtime PATH [options] [-- GLOBAL-ARGUMENT...]", `
Arguments after "--" are given to the runtime before each operation's name.
Progress goes to standard error, the report to standard output or --output.
`)
	set.StringVar(&f.target.Path, "runtime", "", "`PATH` or name of the runtime (required)")
	set.StringVar(&f.target.Root, "root", "", "make working directories in `DIR` (default: the temporary directory)")
	set.StringVar(&f.options.Filter, "filter", "", "run only checks whose name matches `REGEXP`")
	set.StringVar(&f.options.Spec, "spec", conformance.SpecVersion, "leave out clauses younger than this `VERSION` of the specification")
	set.IntVar(&f.options.Parallel, "parallel", 0, "run `N` checks at once (default: one for each processor)")
	set.DurationVar(&f.options.Timeout, "timeout", 0, "longest `TIME` for one command of the runtime (default 30s)")
	set.StringVar(&f.options.Probe, "probe", "", "static `EXECUTABLE` to run inside containers (default: conform itself)")
	set.BoolVar(&f.options.Keep, "keep", false, "keep the working directories")
	set.StringVar(&f.format, "format", "text", "`FORMAT` of the report: text, json, tap or junit")
	set.StringVar(&f.output, "output", "", "write the report to `FILE`")
	set.BoolVar(&f.lenient, "lenient", false, "exit with 0 where only strict checks fail")
	set.BoolVar(&f.quiet, "quiet", false, "no progress")
	if err := parse(set, args); err != nil {
		return f, err
	}
	if f.target.Path == "" {
		return f, usageError{"no runtime given; use --runtime PATH"}
	}
	f.target.Args = set.Args()
	return f, nil
}

// deliver writes a report to standard output, or to a file that appears whole or not at all.
func deliver(path string, report conformance.Report, write feed.Writer) error {
	if path == "" {
		return write(os.Stdout, report)
	}
	file, err := os.CreateTemp(filepath.Dir(path), ".conform-")
	if err != nil {
		return fmt.Errorf("cannot write the report: %w", err)
	}
	defer os.Remove(file.Name())
	if err := writeAndClose(file, report, write); err != nil {
		return fmt.Errorf("cannot write the report %s: %w", path, err)
	}
	return os.Rename(file.Name(), path)
}

func writeAndClose(file *os.File, report conformance.Report, write feed.Writer) error {
	if err := write(io.Writer(file), report); err != nil {
		file.Close()
		return err
	}
	if err := file.Chmod(0o644); err != nil {
		file.Close()
		return err
	}
	return file.Close()
}

func newFlagSet(name, usage, more string) *flag.FlagSet {
	set := flag.NewFlagSet("conform "+name, flag.ContinueOnError)
	set.SetOutput(os.Stderr)
	set.Usage = func() {
		fmt.Fprintf(set.Output(), "Usage: %s\n%s\nOptions:\n", usage, more)
		set.PrintDefaults()
	}
	return set
}

// parse separates a request for help (an answer) from a wrong flag (an error).
func parse(set *flag.FlagSet, args []string) error {
	for _, arg := range args {
		if arg == "--" {
			break
		}
		if arg == "-h" || arg == "--help" || arg == "-help" {
			set.SetOutput(os.Stdout)
			set.Usage()
			os.Exit(exitOK)
		}
	}
	set.SetOutput(io.Discard)
	if err := set.Parse(args); err != nil {
		return usageError{fmt.Sprintf("%v; see %s --help", err, set.Name())}
	}
	return nil
}
