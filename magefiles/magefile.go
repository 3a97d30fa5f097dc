//go:build mage

// Berth's targets. Each parses its options and calls the package that does the work.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"

	"github.com/berth-oci/berth/magefiles/bench"
	"github.com/berth-oci/berth/magefiles/gate"
	"github.com/berth-oci/berth/release"

	// The nine stages alone, as release:version … release:verify.
	//mage:import release
	_ "github.com/berth-oci/berth/magefiles/stages"

	// What brings a release to its users, as site:fetch, site:push, site:attach.
	//mage:import site
	_ "github.com/berth-oci/berth/magefiles/site"
)

// Test runs every check and test of the tree and ends with how many passed, failed and were skipped for which reason.
func Test(ctx context.Context) error {
	return here().Test(ctx)
}

// Lint runs the checks that execute no test: gofmt, vet, staticcheck.
func Lint(ctx context.Context) error {
	return here().Lint(ctx)
}

// Release takes the repository from source to a signed apt repository that apt installs from. With -n it prints what it
// would do and changes nothing; -dist names another folder than dist for the results, -url where they will be served;
// -official refuses to sign with a throwaway key.
func Release(ctx context.Context, n *bool, dist, url *string, official *bool) error {
	p := release.FromFlags(os.Stdout, dist, url)
	p.Official = official != nil && *official
	if n != nil && *n {
		return p.Plan(ctx, "")
	}
	_, err := p.Run(ctx)
	return err
}

// Conformance builds the runtime for this machine and lets the conformance suite and the leak check judge it. The
// certificate is written beside the build, in dist/VERSION.
func Conformance(ctx context.Context, dist *string) error {
	p := release.FromFlags(os.Stdout, dist, nil)
	p.Config.Archs = []string{runtime.GOARCH}
	if err := p.Stage(ctx, "build"); err != nil {
		return err
	}
	return p.Stage(ctx, "certify")
}

// Coverage runs the tests and prints which share of each package they and the commands they ran reached.
func Coverage(ctx context.Context) error {
	return here().Coverage(ctx)
}

// Bench compares the runtime with the others that this machine has, in one run, and writes docs/performance.md. It needs root.
func Bench(ctx context.Context, dist *string) error {
	p := release.FromFlags(os.Stdout, dist, nil)
	path, err := p.BuildRuntime(ctx)
	if err != nil {
		return err
	}
	seccomp, err := os.ReadFile("runtime/internal/seccomp/dockerprofile/docker-" + runtime.GOARCH + ".json")
	if err != nil {
		return err
	}
	results, err := bench.Compare(ctx, bench.Contenders(p.Config.Runtime, path), seccomp)
	if err != nil {
		return err
	}
	f, err := os.Create("docs/performance.md")
	if err != nil {
		return fmt.Errorf("cannot write down the comparison: %w", err)
	}
	defer f.Close()
	return results.Write(io.MultiWriter(os.Stdout, f))
}

// BenchStats measures one sample of 500 idle containers, and writes it into docs/resources.md. It needs root.
func BenchStats(ctx context.Context, dist *string) error {
	const containers, file = 500, "docs/resources.md"
	p := release.FromFlags(os.Stdout, dist, nil)
	path, err := p.BuildRuntime(ctx)
	if err != nil {
		return err
	}
	results, err := bench.Stats(ctx, path, containers)
	if err != nil {
		return err
	}
	var section strings.Builder
	if err := bench.WriteStats(io.MultiWriter(os.Stdout, &section), containers, results); err != nil {
		return err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("cannot write down the measurement: %w", err)
	}
	return os.WriteFile(file, []byte(bench.ReplaceSection(string(text), bench.StatsHeading, section.String())), 0o644)
}

// Bump writes the changelog entry of a new version, commits it and tags the commit. VERSION is major, minor, patch or a
// version such as 1.2.0-rc.1.
func Bump(version string) error {
	v, err := release.Bump(".", version)
	if err != nil {
		return err
	}
	fmt.Printf("%s is tagged %s; push both with: git push --follow-tags\n", v.SemVer, v.Tag)
	return nil
}

func here() gate.Gate { return gate.Gate{Dir: ".", Out: os.Stdout} }
