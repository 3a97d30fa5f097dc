package conformance

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

// A Check proves one clause of the specification by making a runtime do
// something and asking the kernel for the effect.
type Check struct {
	// Name is chapter/subject/behaviour, unique in the suite.
	Name   string `json:"name"`
	Clause Clause `json:"clause"`
	// Since is the first version of the specification that holds the clause, "1.0.0" where empty.
	Since string `json:"since,omitempty"`
	// Strict marks a clause that widely used runtimes are known to break; a
	// failure is a failure, but not a surprise.
	Strict bool `json:"strict,omitempty"`
	// Feature is the optional feature, in the words of features.md, that the check is about. A runtime that declares
	// it unsupported is not tried; that it refuses it instead of ignoring it, features/unsupported-is-refused proves.
	Feature string `json:"feature,omitempty"`
	// Needs are what the machine must offer; the first one missing is the reason for a skip.
	Needs []Need `json:"-"`
	// Unprivileged marks a check that does not need root.
	Unprivileged bool `json:"-"`

	Run func(*T) `json:"-"`
}

// Chapter is the first part of the check's name.
func (c Check) Chapter() string {
	chapter, _, _ := strings.Cut(c.Name, "/")
	return chapter
}

// Outcome is how a check ended.
type Outcome string

// The outcomes. A Warn is a departure from a SHOULD.
const (
	Pass Outcome = "pass"
	Fail Outcome = "fail"
	Warn Outcome = "warn"
	Skip Outcome = "skip"
)

// Result is the outcome of one check, with the reason for anything but a pass.
type Result struct {
	Check
	Outcome  Outcome       `json:"outcome"`
	Reasons  []string      `json:"reasons,omitempty"`
	Log      []string      `json:"log,omitempty"`
	Duration time.Duration `json:"durationNanoseconds"`
}

// T is what a running check holds: the runtime under test, a directory of its
// own and the means to say what it found. Like testing.T, its Fatalf and Skipf
// end the check at once.
type T struct {
	Env     *Env
	Runtime Runtime
	// Dir is the check's own directory; it disappears with the check.
	Dir string

	ctx      context.Context
	options  *Options
	serial   int // of the check in this run
	bundles  int
	reasons  []string
	log      []string
	skipped  string
	cleanups []func()
}

// Errorf records a failure and lets the check go on.
func (t *T) Errorf(format string, args ...any) {
	t.reasons = append(t.reasons, fmt.Sprintf(format, args...))
}

// Fatalf records a failure and ends the check.
func (t *T) Fatalf(format string, args ...any) {
	t.Errorf(format, args...)
	runtime.Goexit()
}

// Skipf ends the check without a verdict; the reason is counted and shown.
func (t *T) Skipf(format string, args ...any) {
	t.skipped = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// Logf keeps a remark that is shown with a failure.
func (t *T) Logf(format string, args ...any) {
	t.log = append(t.log, fmt.Sprintf(format, args...))
}

// Cleanup runs undo after the check, last registered first.
func (t *T) Cleanup(undo func()) { t.cleanups = append(t.cleanups, undo) }

// Must ends the check where err is not nil; doing says what could not be done.
func (t *T) Must(err error, doing string) {
	if err != nil {
		t.Fatalf("cannot %s: %v", doing, err)
	}
}

// runCheck performs one check in a goroutine of its own, so that Fatalf can end it.
func runCheck(ctx context.Context, check Check, t *T) Result {
	began := time.Now()
	result := Result{Check: check, Outcome: Pass}
	if reason := t.Env.missing(check, t.options); reason != "" {
		result.Outcome, result.Reasons = Skip, []string{reason}
		return result
	}
	if err := os.Mkdir(t.Dir, 0o755); err != nil {
		result.Outcome, result.Reasons = Fail, []string{fmt.Sprintf("cannot make the check's directory: %v", err)}
		return result
	}
	t.ctx = ctx
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer t.finish()
		check.Run(t)
	}()
	<-done
	result.judge(t)
	result.Duration = time.Since(began)
	return result
}

// finish runs the cleanups and removes the check's directory. A panic in a
// check is a failure of that check, not of the run.
func (t *T) finish() {
	if problem := recover(); problem != nil {
		t.Errorf("the check itself panicked: %v\n%s", problem, debug.Stack())
	}
	for len(t.cleanups) > 0 {
		last := len(t.cleanups) - 1
		undo := t.cleanups[last]
		t.cleanups = t.cleanups[:last]
		undo()
	}
	if t.options.Keep {
		t.Logf("kept %s", t.Dir)
		return
	}
	if err := os.RemoveAll(t.Dir); err != nil {
		t.Logf("cannot remove %s: %v", t.Dir, err)
	}
}

func (r *Result) judge(t *T) {
	switch {
	case len(t.reasons) > 0 && r.Clause.Level == Should:
		r.Outcome, r.Reasons = Warn, t.reasons
	case len(t.reasons) > 0:
		r.Outcome, r.Reasons = Fail, t.reasons
	case t.skipped != "":
		r.Outcome, r.Reasons = Skip, []string{t.skipped}
	}
	if r.Outcome == Fail || r.Outcome == Warn {
		r.Log = t.log
	}
}

// path returns a path inside the check's directory.
func (t *T) path(parts ...string) string {
	return filepath.Join(append([]string{t.Dir}, parts...)...)
}

// awaitHost blocks until a file appears, at most as long as a command may take.
func (t *T) awaitHost(path string) {
	deadline := time.Now().Add(t.options.Timeout)
	for time.Now().Before(deadline) {
		if _, err := os.Lstat(path); err == nil {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("%s did not appear within %v", path, t.options.Timeout)
}
