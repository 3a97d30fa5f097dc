//go:build mage

// Berth's targets. Each parses its options and calls the package that does the work.
package main

import (
	"context"
	"os"

	"github.com/berth-oci/berth/magefiles/gate"
)

// Test runs every check and test of the tree and ends with how many passed, failed and were skipped for which reason.
func Test(ctx context.Context) error {
	return here().Test(ctx)
}

// Lint runs the checks that execute no test: gofmt, vet, staticcheck.
func Lint(ctx context.Context) error {
	return here().Lint(ctx)
}

func here() gate.Gate { return gate.Gate{Dir: ".", Out: os.Stdout} }
