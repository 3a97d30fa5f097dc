package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/berth-oci/berth/conformance/runtimetools"
)

// runtimeToolsVerb runs the validation programs of runtime-tools against several runtimes, one after the other.
func runtimeToolsVerb(ctx context.Context, args []string) error {
	set := newFlagSet("runtime-tools", "conform runtime-tools --runtime PATH[,PATH...]", "\nNeeds root, Go and the Go module proxy. The table goes to standard output.\n")
	list := set.String("runtime", "", "`PATHS` or names of the runtimes, with commas between (required)")
	if err := parse(set, args); err != nil {
		return err
	}
	if *list == "" {
		return usageError{"no runtime given; use --runtime PATH"}
	}
	dir, err := os.MkdirTemp("", "runtime-tools-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := runtimetools.Build(ctx, dir); err != nil {
		return err
	}
	programs, err := runtimetools.Programs(dir)
	if err != nil {
		return err
	}
	return runtimetools.WriteTable(os.Stdout, programs, strings.Split(*list, ","), func(program, runtime string) runtimetools.Outcome {
		o := runtimetools.Run(ctx, dir, program, runtime)
		fmt.Fprintf(os.Stderr, "%s %s %s %s\n", runtime, program, o.Verdict(), o.Detail)
		return o
	})
}
