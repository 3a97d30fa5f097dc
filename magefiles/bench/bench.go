// Package bench compares how long container runtimes take for the same bundles, in one run.
//
// Nobody is trusted to be fast: the runtimes take turns, in another order each round, so that whatever else the machine does, and
// whatever the one before has left to be done, hits each alike; and there are at least 10 ms between two runs, since back-to-back
// runs hide what moving a process into a cgroup costs.
package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	warmUp = 3
	pause  = 10 * time.Millisecond
)

// Contender is one runtime, by the name it is shown under.
type Contender struct {
	Name, Path string
	Version    string // the first line of what it prints for --version
}

// Contenders are the runtime and the peers that this machine has.
func Contenders(name, path string) []Contender {
	found := []Contender{{name, path, version(path)}}
	for _, peer := range []string{"crun", "runc"} {
		if path, err := exec.LookPath(peer); err == nil {
			found = append(found, Contender{peer, path, version(path)})
		}
	}
	return found
}

func version(path string) string {
	out, err := exec.Command(path, "--version").Output()
	if err != nil {
		return "unknown"
	}
	first, _, _ := strings.Cut(string(out), "\n")
	return first
}

// Comparison is what one run has found.
type Comparison struct {
	Contenders []Contender
	Rows       []Row
	Figures    []Figure
	Hidden     string // a mount that was taken out of the runtimes' sight
}

// Row is how long one thing took.
type Row struct {
	Name   string
	Rounds int
	Times  [][]time.Duration // by contender, each sorted
}

// Median of a contender's times.
func (r Row) Median(contender int) time.Duration {
	return r.Times[contender][len(r.Times[contender])/2]
}

// Figure is something else that was measured, by contender, in bytes; negative where it could not be.
type Figure struct {
	Name  string
	Bytes []int64
}

// scenario is one thing that is timed.
type scenario struct {
	name   string
	rounds int
	before func(ctx context.Context, c Contender, id string) error // once for each contender, untimed
	once   func(ctx context.Context, c Contender, id string) error
	after  func(ctx context.Context, c Contender, id string) error // after each round, untimed
	end    func(ctx context.Context, c Contender, id string) error // once for each contender, untimed
}

// Compare has the contenders run the scenarios in turns. Seccomp is the text of a linux.seccomp object for the scenarios under
// a profile. It needs root and a static busybox.
func Compare(ctx context.Context, contenders []Contender, seccomp []byte) (*Comparison, error) {
	c := &Comparison{Contenders: contenders}
	err := privately(func(hidden string) error {
		c.Hidden = hidden
		dir, err := os.MkdirTemp("", "bench-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		b, err := writeBundles(dir, contenders[0].Path, seccomp)
		if err != nil {
			return err
		}
		for i, s := range b.scenarios() {
			row, err := c.row(ctx, s, fmt.Sprintf("bench-%d-%d", os.Getpid(), i))
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			c.Rows = append(c.Rows, row)
		}
		c.Figures, err = b.figures(ctx, contenders)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("cannot compare runtimes: %w", err)
	}
	return c, nil
}

func (c *Comparison) row(ctx context.Context, s scenario, prefix string) (row Row, err error) {
	row = Row{Name: s.name, Rounds: s.rounds, Times: make([][]time.Duration, len(c.Contenders))}
	constant := func(i int) string { return fmt.Sprintf("%s-%s", prefix, c.Contenders[i].Name) }
	for i, contender := range c.Contenders {
		if s.end != nil {
			defer func() { err = errors.Join(err, s.end(context.WithoutCancel(ctx), contender, constant(i))) }()
		}
		if s.before != nil {
			if err := s.before(ctx, contender, constant(i)); err != nil {
				return row, fmt.Errorf("%s: %w", contender.Name, err)
			}
		}
	}
	for round := range warmUp + s.rounds {
		// In another order each round: what a runtime leaves to the kernel to do later falls on each of the others alike.
		for _, i := range rand.New(rand.NewPCG(0, uint64(round))).Perm(len(c.Contenders)) {
			contender, id := c.Contenders[i], constant(i)
			if s.before == nil {
				id = fmt.Sprintf("%s-%d", id, round)
			}
			began := time.Now()
			err := s.once(ctx, contender, id)
			took := time.Since(began)
			if err == nil && s.after != nil {
				err = s.after(ctx, contender, id)
			}
			if err != nil {
				return row, fmt.Errorf("%s: %w", contender.Name, err)
			}
			if round >= warmUp {
				row.Times[i] = append(row.Times[i], took)
			}
			time.Sleep(pause)
		}
	}
	for i := range row.Times {
		slices.Sort(row.Times[i])
	}
	return row, nil
}

// many is how many containers are started side by side.
const many = 50

// scenarios are what is timed, in the order of the report.
func (b bundles) scenarios() []scenario {
	run := func(bundle string) func(context.Context, Contender, string) error {
		return func(ctx context.Context, c Contender, id string) error {
			return command(ctx, c, "run", "--bundle", bundle, id)
		}
	}
	exec := func(name, bundle string) scenario {
		return scenario{name: name, rounds: 60,
			before: func(ctx context.Context, c Contender, id string) error {
				return command(ctx, c, "run", "--detach", "--bundle", bundle, id)
			},
			once: func(ctx context.Context, c Contender, id string) error {
				return command(ctx, c, "exec", id, "/bin/true")
			},
			end: remove,
		}
	}
	return []scenario{
		{name: "`run` of `/bin/true`", rounds: 100, once: run(b.true)},
		{name: "the same under Docker's seccomp profile", rounds: 100, once: run(b.trueSeccomp)},
		{name: "`create`, `start`, `delete`", rounds: 40,
			once: func(ctx context.Context, c Contender, id string) error {
				for _, args := range [][]string{{"create", "--bundle", b.sleep, id}, {"start", id}, {"delete", "--force", id}} {
					if err := command(ctx, c, args...); err != nil {
						return err
					}
				}
				return nil
			}},
		exec("`exec` of `/bin/true`", b.sleep),
		exec("the same under Docker's seccomp profile", b.sleepSeccomp),
		{name: fmt.Sprintf("%d containers side by side", many), rounds: 5, once: func(ctx context.Context, c Contender, id string) error {
			return sideBySide(ctx, c, b.true, id)
		}},
		{name: "`--version`", rounds: 60, once: func(ctx context.Context, c Contender, _ string) error { return command(ctx, c, "--version") }},
	}
}

// command runs a runtime's verb, and has what it printed in the error.
func command(ctx context.Context, c Contender, args ...string) error {
	said, err := os.CreateTemp("", "bench-") // a file, not a pipe: a detached container keeps it
	if err != nil {
		return err
	}
	defer os.Remove(said.Name())
	defer said.Close()
	cmd := exec.CommandContext(ctx, c.Path, args...)
	cmd.Stderr = said
	if err := cmd.Run(); err != nil {
		text, _ := os.ReadFile(said.Name())
		return fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(text)))
	}
	return nil
}

func remove(ctx context.Context, c Contender, id string) error {
	return command(ctx, c, "delete", "--force", id)
}

func sideBySide(ctx context.Context, c Contender, bundle, id string) error {
	running := make([]*exec.Cmd, many)
	for i := range running {
		running[i] = exec.CommandContext(ctx, c.Path, "run", "--bundle", bundle, fmt.Sprintf("%s-%d", id, i))
	}
	var errs []error
	started := running[:0:0]
	for _, cmd := range running {
		if err := cmd.Start(); err != nil {
			errs = append(errs, err)
			break
		}
		started = append(started, cmd)
	}
	for _, cmd := range started {
		errs = append(errs, cmd.Wait())
	}
	return errors.Join(errs...)
}

// figures are what is measured once.
func (b bundles) figures(ctx context.Context, contenders []Contender) ([]Figure, error) {
	size := Figure{Name: "size of the program"}
	held := Figure{Name: "memory of a created container's first process (Pss)"}
	least := Figure{Name: "smallest memory limit under which `/bin/true` runs"}
	for _, c := range contenders {
		info, err := os.Stat(c.Path)
		if err != nil {
			return nil, err
		}
		size.Bytes = append(size.Bytes, info.Size())
		n, err := b.pss(ctx, c)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.Name, err)
		}
		held.Bytes = append(held.Bytes, n)
		n, err = b.leastMemory(ctx, c)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.Name, err)
		}
		least.Bytes = append(least.Bytes, n)
	}
	return []Figure{size, held, least}, nil
}

// pss is the memory of a container's first process that waits to be started, as proc_pid_smaps(5) counts it.
func (b bundles) pss(ctx context.Context, c Contender) (int64, error) {
	id, pidFile := fmt.Sprintf("bench-%d-pss", os.Getpid()), filepath.Join(b.dir, "pid")
	if err := command(ctx, c, "create", "--bundle", b.sleep, "--pid-file", pidFile, id); err != nil {
		return 0, err
	}
	pid, err := os.ReadFile(pidFile)
	var rollup []byte
	if err == nil {
		rollup, err = os.ReadFile(filepath.Join("/proc", string(pid), "smaps_rollup"))
	}
	if err = errors.Join(err, remove(ctx, c, id)); err != nil {
		return 0, err
	}
	return 1024 * int64(number(string(rollup), "Pss:")), nil
}

const page = 4096

// leastMemory is the smallest limit, in bytes, under which three runs of three succeed; -1 where 128 MiB are too little.
func (b bundles) leastMemory(ctx context.Context, c Contender) (int64, error) {
	runs := func(pages int) (bool, error) {
		if err := b.limit(int64(pages) * page); err != nil {
			return false, err
		}
		for range 3 {
			id := fmt.Sprintf("bench-%d-limit", os.Getpid())
			if command(ctx, c, "run", "--bundle", b.limited, id) != nil {
				_ = remove(ctx, c, id) // what a runtime that was killed has left
				return false, ctx.Err()
			}
		}
		return true, nil
	}
	low, high := 0, 128<<20/page // the limit is above low and at most high
	if ok, err := runs(high); !ok || err != nil {
		return -1, err
	}
	for high-low > 1 {
		middle := (low + high) / 2
		ok, err := runs(middle)
		if err != nil {
			return 0, err
		}
		if ok {
			high = middle
		} else {
			low = middle
		}
	}
	return int64(high) * page, nil
}
