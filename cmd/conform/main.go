// Command conform judges any OCI runtime by the OCI runtime specification.
//
// It executes the runtime it is told to and believes only what the kernel
// shows; it needs no container image and no tool beside itself.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// Exit codes.
const (
	exitOK     = 0 // everything asked for was found good
	exitFailed = 1 // a clause is broken, something leaked, or a report got worse
	exitUsage  = 2 // the command line is wrong
	exitError  = 3 // the work could not be done
)

// verdict ends the program with exitFailed, the finding having been printed.
var errVerdict = errors.New("verdict")

// usageError is a wrong command line.
type usageError struct{ text string }

func (e usageError) Error() string { return e.text }

type verb struct {
	name, summary string
	run           func(context.Context, []string) error
}

var verbs = []verb{
	{"run", "run the checks against a runtime and report", runVerb},
	{"list", "list the checks and the clauses they prove", listVerb},
	{"leak", "find what a runtime leaves behind", leakVerb},
	{"runtime-tools", "run the validation programs of opencontainers/runtime-tools", runtimeToolsVerb},
	{"compare", "show what changed between two JSON reports", compareVerb},
}

func main() {
	syscall.Umask(0o022) // what the checks lay out must be within reach of users other than this one
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(code(dispatch(ctx, os.Args[1:])))
}

func dispatch(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return usageError{"no command given; see conform --help"}
	}
	switch args[0] {
	case "-h", "--help", "help":
		printHelp()
		return nil
	}
	for _, verb := range verbs {
		if verb.name == args[0] {
			return verb.run(ctx, args[1:])
		}
	}
	return usageError{fmt.Sprintf("unknown command %q; see conform --help", args[0])}
}

// code prints an error once and turns it into the exit code.
func code(err error) int {
	var usage usageError
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errVerdict):
		return exitFailed
	case errors.As(err, &usage):
		fmt.Fprintf(os.Stderr, "conform: error: %v\n", err)
		return exitUsage
	}
	fmt.Fprintf(os.Stderr, "conform: error: %v\n", err)
	return exitError
}

func printHelp() {
	fmt.Print(`conform judges any OCI runtime by the OCI runtime specification.

Usage: conform COMMAND [options]

Commands:
`)
	for _, verb := range verbs {
		fmt.Printf("  %-13s %s\n", verb.name, verb.summary)
	}
	fmt.Print(`
"conform COMMAND --help" shows the options of a command.

Examples:
  conform run --runtime runc
  conform run --runtime ./mine --filter '^lifecycle/' --format json --output report.json
  conform run --runtime crun --lenient -- --cgroup-manager=disabled
  conform leak --runtime ./mine
  conform compare yesterday.json today.json

Exit codes:
  0  everything asked for was found good
  1  a clause is broken, something leaked, or a report got worse
  2  the command line is wrong
  3  the work could not be done
`)
}
