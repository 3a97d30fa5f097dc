// Package conformance judges any OCI runtime by the OCI runtime specification.
//
// The parties: the suite (this package) executes a runtime it does not trust,
// as callers do, through the customary command line (create, start, state,
// kill, delete). The runtime starts the probe (package probe), which reports
// what the kernel shows it. A check believes the kernel, and cites the clause
// of the specification that it proves. The suite knows no runtime by name and
// imports none.
package conformance

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// SpecVersion is the version of the specification that the checks cite.
const SpecVersion = "1.3.0"

// Options tune a run. The zero value runs everything.
type Options struct {
	// Filter is a regular expression; checks whose name does not match are left out.
	Filter string
	// Spec leaves out checks of clauses younger than this version; empty means [SpecVersion].
	Spec string
	// Parallel is how many checks run at once; 0 means one for each processor.
	Parallel int
	// Timeout bounds one command of the runtime; 0 means 30 seconds.
	Timeout time.Duration
	// Probe is a static executable that imports package probe; empty means
	// the running program, which must be static then.
	Probe string
	// Keep leaves the directories of the checks for inspection.
	Keep bool
	// Progress, where set, is called after each check, from one goroutine at a time.
	Progress func(Result)
}

// Suite is an ordered list of checks.
type Suite []Check

// All returns every check, chapter by chapter in the order of the specification.
func All() Suite {
	return slices.Concat(
		lifecycleChecks, stateChecks, configChecks, rootChecks, mountChecks, processChecks, userChecks,
		hostnameChecks, hookChecks, annotationChecks, namespaceChecks, deviceChecks, netDeviceChecks,
		cgroupChecks, sysctlChecks, seccompChecks, pathChecks, personalityChecks, featuresChecks,
	)
}

// Filter returns the checks whose names match the regular expression.
func (s Suite) Filter(pattern string) (Suite, error) {
	if pattern == "" {
		return s, nil
	}
	match, err := regexp.Compile(pattern)
	if err != nil {
		return nil, fmt.Errorf("cannot filter checks: %w", err)
	}
	var kept Suite
	for _, check := range s {
		if match.MatchString(check.Name) {
			kept = append(kept, check)
		}
	}
	if len(kept) == 0 {
		return nil, fmt.Errorf("cannot filter checks: no name matches %q", pattern)
	}
	return kept, nil
}

// Run judges a runtime by all checks that options select. The error tells
// that the run could not take place; what the runtime did wrong is in the report.
func Run(ctx context.Context, target Runtime, options Options) (Report, error) {
	suite, err := All().Filter(options.Filter)
	if err != nil {
		return Report{}, err
	}
	return suite.Run(ctx, target, options)
}

// Run judges a runtime by the checks of this suite; see the function [Run].
func (s Suite) Run(ctx context.Context, target Runtime, options Options) (Report, error) {
	options.fill()
	if err := target.resolve(); err != nil {
		return Report{}, err
	}
	base, err := os.MkdirTemp(target.Root, "conform-")
	if err != nil {
		return Report{}, fmt.Errorf("cannot make a working directory: %w", err)
	}
	if !options.Keep {
		defer os.RemoveAll(base)
	}
	// Users other than root must be able to pass through to a root filesystem.
	if err := os.Chmod(base, 0o755); err != nil {
		return Report{}, fmt.Errorf("cannot open the working directory: %w", err)
	}
	if options.Probe, err = placeProbe(options.Probe, base); err != nil {
		return Report{}, err
	}
	defer adoptOrphans()()

	report := newReport(target)
	report.Results = s.runAll(ctx, target, &options, base)
	report.Duration = time.Since(report.Began)
	return report, ctx.Err()
}

func (o *Options) fill() {
	if o.Spec == "" {
		o.Spec = SpecVersion
	}
	if o.Parallel <= 0 {
		o.Parallel = runtime.NumCPU()
	}
	if o.Timeout <= 0 {
		o.Timeout = 30 * time.Second
	}
}

// runAll runs the checks on a few workers and returns the results in the suite's order.
func (s Suite) runAll(ctx context.Context, target Runtime, options *Options, base string) []Result {
	env := NewEnv()
	env.Declined = declined(ctx, target)
	results := make([]Result, len(s))
	next := make(chan int)
	var workers sync.WaitGroup
	var telling sync.Mutex
	for range options.Parallel {
		workers.Go(func() {
			for i := range next {
				t := &T{Env: env, Runtime: target, options: options, serial: i, Dir: filepath.Join(base, strconv.Itoa(i))}
				results[i] = runCheck(ctx, s[i], t)
				if options.Progress != nil {
					telling.Lock()
					options.Progress(results[i])
					telling.Unlock()
				}
			}
		})
	}
	for i := range s {
		if ctx.Err() != nil {
			results[i] = Result{Check: s[i], Outcome: Skip, Reasons: []string{"the run was interrupted"}}
			continue
		}
		next <- i
	}
	close(next)
	workers.Wait()
	return results
}

// adoptOrphans makes this process the one that container processes fall to
// when the runtime's create has exited, so that a check can see their exit
// status (prctl(2), PR_SET_CHILD_SUBREAPER). It returns the undo.
func adoptOrphans() func() {
	var before int
	if unix.Prctl(unix.PR_GET_CHILD_SUBREAPER, uintptrOf(&before), 0, 0, 0) != nil || before != 0 {
		return func() {}
	}
	_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	return func() { _ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0) }
}
