// Package bench compares how long container runtimes take for the same bundle, in one run.
//
// Nobody is trusted to be fast: the runtimes take turns, so that whatever else the machine does hits each alike, and there are
// at least 10 ms between two runs, since back-to-back runs hide what moving a process into a cgroup costs.
package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	rounds = 100
	warmUp = 5
	pause  = 10 * time.Millisecond
)

// Contender is one runtime, by the name it is shown under.
type Contender struct{ Name, Path string }

// Peers are the other runtimes that this machine has.
func Peers() []Contender {
	var found []Contender
	for _, name := range []string{"crun", "runc"} {
		if path, err := exec.LookPath(name); err == nil {
			found = append(found, Contender{name, path})
		}
	}
	return found
}

// Result is what one runtime took.
type Result struct {
	Contender
	Version string
	Times   []time.Duration // sorted
}

// Median of the times.
func (r Result) Median() time.Duration { return r.Times[len(r.Times)/2] }

// Run has every contender run /bin/true in a fresh container, in turns. It needs root and a static busybox.
func Run(ctx context.Context, contenders []Contender) ([]Result, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("cannot compare runtimes: it needs root")
	}
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return nil, fmt.Errorf("cannot compare runtimes: %w", err)
	}
	defer os.RemoveAll(dir)
	if err := writeBundle(dir, contenders[0].Path, "true"); err != nil {
		return nil, fmt.Errorf("cannot compare runtimes: %w", err)
	}
	results := make([]Result, len(contenders))
	for i, c := range contenders {
		results[i] = Result{Contender: c, Version: version(c.Path)}
	}
	for round := range warmUp + rounds {
		for i := range results {
			took, err := once(ctx, results[i].Path, dir, fmt.Sprintf("bench-%d-%d-%d", os.Getpid(), round, i))
			if err != nil {
				return nil, fmt.Errorf("cannot compare runtimes: %s: %w", results[i].Name, err)
			}
			if round >= warmUp {
				results[i].Times = append(results[i].Times, took)
			}
			time.Sleep(pause)
		}
	}
	for i := range results {
		slices.Sort(results[i].Times)
	}
	return results, nil
}

// writeBundle lays out the bundle that the first runtime's spec verb describes, with one of busybox's programs in /bin.
func writeBundle(dir, specifier, program string, args ...string) error {
	bin := filepath.Join(dir, "rootfs", "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return err
	}
	busybox, err := os.ReadFile("/bin/busybox")
	if err != nil {
		return fmt.Errorf("%w\nhint: apt install busybox-static", err)
	}
	if err := os.WriteFile(filepath.Join(bin, program), busybox, 0o755); err != nil {
		return err
	}
	cmd := exec.Command(specifier, "spec")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("spec: %w\n%s", err, out)
	}
	return withoutTerminal(filepath.Join(dir, "config.json"), append([]string{"/bin/" + program}, args...))
}

func withoutTerminal(path string, args []string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var config map[string]any
	if err := json.Unmarshal(text, &config); err != nil {
		return err
	}
	process, ok := config["process"].(map[string]any)
	if !ok {
		return errors.New("the example configuration has no process")
	}
	process["terminal"], process["args"] = false, args
	if text, err = json.Marshal(config); err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o644)
}

func once(ctx context.Context, path, bundle, id string) (time.Duration, error) {
	cmd := exec.CommandContext(ctx, path, "run", "--bundle", bundle, id)
	var said strings.Builder
	cmd.Stderr = &said
	began := time.Now()
	if err := cmd.Run(); err != nil {
		return 0, fmt.Errorf("run: %w: %s", err, strings.TrimSpace(said.String()))
	}
	return time.Since(began), nil
}

func version(path string) string {
	out, err := exec.Command(path, "--version").Output()
	if err != nil {
		return "unknown"
	}
	first, _, _ := strings.Cut(string(out), "\n")
	return first
}

// Write prints the comparison as Markdown: medians, and ratios to the first contender.
func Write(w io.Writer, results []Result) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# Performance\n\nOne run of `go tool mage bench`: %d times `run` of `/bin/true` in the bundle that `spec` writes, the runtimes in turns, %d ms apart.\n\n",
		rounds, pause.Milliseconds())
	fmt.Fprintf(&b, "Machine: %s, %d processors, %s.\n\n", kernel(), runtime.NumCPU(), cgroups())
	fmt.Fprintf(&b, "| runtime | version | median | fastest | 90%% within | median, relative |\n| --- | --- | --- | --- | --- | --- |\n")
	for _, r := range results {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %.2f |\n", r.Name, r.Version, ms(r.Median()), ms(r.Times[0]), ms(r.Times[len(r.Times)*9/10]),
			float64(r.Median())/float64(results[0].Median()))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond)) }

func kernel() string {
	text, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return runtime.GOARCH
	}
	return "Linux " + strings.TrimSpace(string(text)) + " " + runtime.GOARCH
}

func cgroups() string {
	var fs syscall.Statfs_t
	const cgroup2Magic = 0x63677270 // statfs(2)
	if syscall.Statfs("/sys/fs/cgroup", &fs) == nil && fs.Type == cgroup2Magic {
		return "cgroup v2"
	}
	return "cgroup v1 or hybrid"
}
