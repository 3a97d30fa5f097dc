package engines

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// Step is one command given to an engine and what must come of it.
type Step struct {
	Name  string
	Args  []string
	Code  int    // exit status
	Want  string // must be in what the command prints, on either stream
	Never string // must not be
	Until bool   // repeated until it comes out so, for a while: what it asks for takes its time
}

// longest is how long one command may take, and how long a step is repeated.
const longest = 90 * time.Second

// Do gives the engine the step's command. The error tells what was expected and what came.
func (e *Engine) Do(ctx context.Context, step Step) error {
	ctx, stop := context.WithTimeout(ctx, longest)
	defer stop()
	for {
		code, out := e.run(ctx, step.Args)
		problem := step.judge(code, out)
		if problem == "" {
			return nil
		}
		if !step.Until || ctx.Err() != nil {
			return fmt.Errorf("%s %s: %s; it printed:\n%s", e.Name, strings.Join(step.Args, " "), problem, out)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func (s Step) judge(code int, out string) string {
	switch {
	case code != s.Code:
		return fmt.Sprintf("exit status %d, not %d", code, s.Code)
	case !strings.Contains(out, s.Want):
		return fmt.Sprintf("no %q printed", s.Want)
	case s.Never != "" && strings.Contains(out, s.Never):
		return fmt.Sprintf("%q printed", s.Never)
	}
	return ""
}

// run returns the exit status of one command and what it printed on both streams; -1 where it could not be run.
func (e *Engine) run(ctx context.Context, args []string) (int, string) {
	if len(e.command) == 0 {
		return -1, ""
	}
	var out bytes.Buffer
	line := append(append([]string{}, e.command...), args...)
	cmd := exec.CommandContext(ctx, line[0], line[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = e.dir, e.env, &out, &out
	cmd.WaitDelay = 5 * time.Second // a monitor that keeps the pipe open does not keep the test
	err := cmd.Run()
	if cmd.ProcessState == nil {
		return -1, fmt.Sprint(out.String(), err)
	}
	return cmd.ProcessState.ExitCode(), out.String()
}

// must runs a command that prepares the engine.
func (e *Engine) must(ctx context.Context, args ...string) error {
	if code, out := e.run(ctx, args); code != 0 {
		return fmt.Errorf("%s %s: exit status %d: %s", e.Name, strings.Join(args, " "), code, out)
	}
	return nil
}
