package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Sampling is what the runtime's stats verb needs for one form of output.
type Sampling struct {
	Format string
	Sample time.Duration // from the begin of one sample of all containers to its last byte
	CPU    time.Duration // processor time of one sample
	Once   time.Duration // the whole command for one sample, with what it waits between two readings of the processor time
	Peak   int           // most memory that the process had resident, in KiB
}

const (
	samples  = 30
	interval = 10 * time.Millisecond
)

// Stats starts n idle containers and measures the runtime's stats verb, for a table and for JSON. It needs root and a static
// busybox. The runtime must have berth's options.
func Stats(ctx context.Context, path string, n int) (results []Sampling, err error) {
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return nil, fmt.Errorf("cannot measure stats: %w", err)
	}
	defer os.RemoveAll(dir)
	m := metered{path: path, state: filepath.Join(dir, "state"), n: n}
	if err := writeBundle(dir, path, "sleep", "100000"); err != nil {
		return nil, fmt.Errorf("cannot measure stats: %w", err)
	}
	defer func() { err = errors.Join(err, m.remove()) }()
	if err := m.start(ctx, dir); err != nil {
		return nil, fmt.Errorf("cannot measure stats: %w", err)
	}
	for _, format := range []string{"table", "json"} {
		s, err := m.measure(ctx, format)
		if err != nil {
			return nil, fmt.Errorf("cannot measure stats: %w", err)
		}
		results = append(results, s)
	}
	return results, nil
}

// metered are the containers that are measured.
type metered struct {
	path, state string
	n           int
}

func (m metered) id(i int) string { return fmt.Sprintf("bench-stats-%d-%d", os.Getpid(), i) }

func (m metered) command(ctx context.Context, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, m.path, append([]string{"--root", m.state}, args...)...)
}

func (m metered) start(ctx context.Context, bundle string) error {
	for i := range m.n {
		if err := m.command(ctx, "run", "--detach", "--bundle", bundle, m.id(i)).Run(); err != nil {
			return fmt.Errorf("start container %d: %w", i, err)
		}
	}
	return nil
}

func (m metered) remove() (err error) {
	ids, _ := os.ReadDir(m.state)
	for _, id := range ids {
		err = errors.Join(err, m.command(context.Background(), "delete", "--force", id.Name()).Run())
	}
	return err
}

func (m metered) measure(ctx context.Context, format string) (Sampling, error) {
	s := Sampling{Format: format}
	var times []time.Duration
	for range 5 {
		began := time.Now()
		if err := m.command(ctx, "stats", "--once", "--format", format).Run(); err != nil {
			return s, err
		}
		times = append(times, time.Since(began))
	}
	slices.Sort(times)
	s.Once = times[len(times)/2]
	return s, m.watch(ctx, &s)
}

// watch lets one process take sample after sample.
func (m metered) watch(ctx context.Context, s *Sampling) error {
	cmd := m.command(ctx, "stats", "--format", s.Format, "--interval", interval.String())
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	lines := m.n
	if s.Format == "table" {
		lines++ // the heading
	}
	r := bufio.NewReaderSize(out, 1<<20)
	if err := skip(r, lines); err != nil {
		return err
	}
	began, before := time.Now(), processorTime(cmd.Process.Pid)
	if err := skip(r, samples*lines); err != nil {
		return err
	}
	s.Sample = time.Since(began)/samples - interval
	s.CPU = (processorTime(cmd.Process.Pid) - before) / samples
	s.Peak = statusNumber(cmd.Process.Pid, "VmHWM:")
	return nil
}

func skip(r *bufio.Reader, lines int) error {
	for range lines {
		if _, err := r.ReadSlice('\n'); err != nil {
			return fmt.Errorf("read the samples: %w", err)
		}
	}
	return nil
}

// processorTime is that of all threads, in ticks of 10 ms (proc_pid_stat(5), fields 14 and 15).
func processorTime(pid int) time.Duration {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	f := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(f) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(f[11])
	system, _ := strconv.Atoi(f[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

func statusNumber(pid int, name string) int {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	return number(string(text), name)
}

// number is the first number behind a name.
func number(text, name string) int {
	_, rest, _ := strings.Cut(text, name)
	if f := strings.Fields(rest); len(f) > 0 {
		n, _ := strconv.Atoi(f[0])
		return n
	}
	return 0
}

// StatsHeading begins the section that WriteStats writes.
const StatsHeading = "## One sample of many containers\n"

// WriteStats prints the section for people.
func WriteStats(w io.Writer, n int, results []Sampling) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\nMade by `go tool mage benchStats`: `berth stats` of %d containers that run `sleep`; averages of %d samples.\n", StatsHeading, n, samples)
	fmt.Fprintf(&b, "Machine: %s, %d processors, %s.\n\n", kernel(), runtime.NumCPU(), cgroups())
	b.WriteString("| output | one sample | its processor time | `--once`, as a whole | most memory |\n| --- | --- | --- | --- | --- |\n")
	for _, r := range results {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %.1f MiB |\n", r.Format, ms(r.Sample), ms(r.CPU), ms(r.Once), float64(r.Peak)/1024)
	}
	b.WriteString(`
A table reads what it shows: processor time, memory with its limit, pids, bytes, pressures and what the class follows from, one file each.
JSON has all counters that ` + "`berth events`" + ` has. Where a container's groups are, and whose, is read when it is first seen. The processor
time in percent is that since the sample before; ` + "`--once`" + ` and the first sample compare two readings 100 ms apart, which is the kernel's
default period of quotas, and in the first reading only the processor time is read.
`)
	_, err := io.WriteString(w, b.String())
	return err
}

// ReplaceSection puts a section in the place of the one with the same heading in a Markdown text, or at its end.
func ReplaceSection(text, heading, section string) string {
	before, rest, _ := strings.Cut(text, heading)
	after := ""
	if i := strings.Index(rest, "\n## "); i >= 0 {
		after = rest[i:]
	}
	return strings.TrimRight(before, "\n") + "\n\n" + section + after
}
