package container

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-oci/berth/runtime/internal/plan"
	"github.com/berth-oci/berth/runtime/internal/program"
)

// A victim is this test binary in the place of berth: it executes one verb and is killed meanwhile. It has two descriptors:
// the pipe that the stub fills where it is to stall, and one to say that it begins.
// One that is not to be killed goes by another name.
const (
	victimName    = "berth-victim"
	bystanderName = "berth-bystander"
	victimStall   = 3
	victimReady   = 4
)

// victimOrder is what a victim does.
type victimOrder struct {
	Verb, Root, ID, Bundle string
	Op                     int // at which the stub stalls; -1: nowhere
}

func victim(text string) int {
	var o victimOrder
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return 2
	}
	r := &Runtime{Root: o.Root, Warn: func(m string) { fmt.Fprintln(os.Stderr, "warning:", m) }}
	create := CreateOptions{Bundle: o.Bundle}
	if o.Op >= 0 {
		create.PreserveFDs = 1
		r.edit = func(p *program.Program) { p.Stall(o.Op, victimStall) }
	} else {
		syscall.CloseOnExec(victimStall)
	}
	syscall.Write(victimReady, []byte{1})
	syscall.Close(victimReady)
	var err error
	switch o.Verb {
	case "create":
		err = r.Create(o.ID, create)
	case "start":
		err = r.Start(o.ID)
	case "run":
		_, err = r.Run(o.ID, RunOptions{CreateOptions: create})
	case "delete":
		err = r.Delete(o.ID, true)
	case "exec":
		_, err = r.Exec(o.ID, ExecOptions{Args: []string{"/probe", "exit", "0"}, PreserveFDs: create.PreserveFDs})
	case "gc":
		err = r.GC(false, func(g Garbage) { fmt.Fprintln(os.Stderr, g) })
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// prey is a victim that runs.
type prey struct {
	cmd     *exec.Cmd
	stalled chan bool // true once the stub stalls, false if nobody can any more
	ended   chan error
	stall   *os.File
}

// release lets a stub that stalls go on, into an error.
func (p *prey) release() { p.stall.Close() }

// strikeOn kills the victim once the stub stalls, and says whether it did before the victim ended.
func (p *prey) strikeOn(t *testing.T, stalled <-chan bool) bool {
	t.Helper()
	select {
	case yes := <-stalled:
		if yes {
			p.strike(t)
			return true
		}
		<-p.ended
	case <-p.ended:
	}
	return false
}

func (p *prey) strike(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	<-p.ended
}

// trial is a container that verbs are killed over. Every verb is a process of its own, and their orphans fall to the test, so
// that none can hide.
type trial struct {
	*Runtime
	id, bundle string
	before     []string
	said       *os.File // standard error of the verbs
	count      int

	mu      sync.Mutex
	victims map[int]bool // children that are not orphans
}

func newTrial(t *testing.T, change func(*specs.Spec), args ...string) *trial {
	t.Helper()
	asRoot(t)
	s := &trial{Runtime: runtimeFor(t), id: unique(t), bundle: bundle(t, change, args...), victims: map[int]bool{}}
	const setChildSubreaper = 36
	adopt := func(on uintptr) { syscall.RawSyscall(syscall.SYS_PRCTL, setChildSubreaper, on, 0) }
	adopt(1)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(3 * time.Millisecond):
				s.reapOrphans()
			}
		}
	}()
	t.Cleanup(func() {
		close(stop)
		<-stopped
		adopt(0)
	})
	var err error
	if s.said, err = os.CreateTemp(t.TempDir(), "said"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.said.Close() })
	s.before = s.left(t)
	return s
}

// reapOrphans does what a machine's first process does: one that nobody waits for keeps its PID namespace from ending.
func (s *trial) reapOrphans() {
	s.mu.Lock()
	defer s.mu.Unlock()
	lists, _ := filepath.Glob("/proc/self/task/*/children")
	for _, name := range lists {
		text, _ := os.ReadFile(name)
		for _, word := range strings.Fields(string(text)) {
			if pid, err := strconv.Atoi(word); err == nil && !s.victims[pid] {
				syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
			}
		}
	}
}

// start begins a verb whose stub stalls at operation op; -1: at none.
func (s *trial) start(t *testing.T, verb string, op int) *prey {
	t.Helper()
	return s.startAs(t, victimName, verb, op)
}

func (s *trial) startAs(t *testing.T, name, verb string, op int) *prey {
	t.Helper()
	text, err := json.Marshal(victimOrder{Verb: verb, Root: s.Root, ID: s.id, Bundle: s.bundle, Op: op})
	if err != nil {
		t.Fatal(err)
	}
	stallR, stallW := pipe(t)
	readyR, readyW := pipe(t)
	defer readyR.Close()
	const setPipeSize = 1031 // F_SETPIPE_SZ
	if _, _, errno := syscall.Syscall(syscall.SYS_FCNTL, stallW.Fd(), setPipeSize, 1); errno != 0 {
		t.Fatal(errno)
	}
	p := &prey{cmd: exec.Command("/proc/self/exe", string(text)), stalled: make(chan bool, 1), ended: make(chan error, 1), stall: stallR}
	p.cmd.Args[0] = name
	p.cmd.Stderr = s.said
	p.cmd.ExtraFiles = []*os.File{stallW, readyW}
	s.mu.Lock()
	if err = p.cmd.Start(); err == nil {
		s.victims[p.cmd.Process.Pid] = true
	}
	s.mu.Unlock()
	stallW.Close()
	readyW.Close()
	if err == nil {
		_, err = readyR.Read(make([]byte, 1))
	}
	if err != nil {
		t.Fatalf("%s does not begin: %v", verb, err)
	}
	go func() {
		n, _ := stallR.Read(make([]byte, 1)) // a full page less a byte is still full
		p.stalled <- n == 1
	}()
	go func() {
		err := p.cmd.Wait()
		s.mu.Lock()
		delete(s.victims, p.cmd.Process.Pid)
		s.mu.Unlock()
		p.ended <- err
	}()
	return p
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	return r, w
}

// do executes a verb to its end.
func (s *trial) do(t *testing.T, what, verb string) {
	t.Helper()
	p := s.startAs(t, bystanderName, verb, -1)
	defer p.release()
	if err := <-p.ended; err != nil {
		said, _ := os.ReadFile(s.said.Name())
		t.Fatalf("%s: %s: %v: all verbs said: %s", what, verb, err, said)
	}
}

// left is all that could be left of the container.
func (s *trial) left(t *testing.T) []string {
	t.Helper()
	all := traces(t, s.id)
	keys, err := os.ReadFile("/proc/keys")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(keys), "\n") {
		if strings.Contains(line, s.id) {
			serial, _, _ := strings.Cut(line, " ") // behind it is how many use it, which changes by the moment
			all = append(all, "key "+serial)
		}
	}
	state, err := os.ReadDir(s.Root)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for _, e := range state {
		all = append(all, "state "+e.Name())
	}
	return all
}

// recover cleans up after a verb that was killed, p, and wants nothing to be left: every other time by delete --force while what
// lives still lives, else by gc when the container's process is dead as well.
func (s *trial) recover(t *testing.T, what string, p *prey) {
	t.Helper()
	s.count++
	if s.count%2 == 0 {
		s.do(t, what, "delete")
	} else {
		s.killFirst(t)
		for range 200 { // gc leaves what is locked, as it is while a process that the killed one was making has not replaced its program yet
			s.do(t, what, "gc")
			if _, err := s.State(s.id); errors.Is(err, ErrNotExist) {
				break
			}
			s.killFirst(t)
			time.Sleep(5 * time.Millisecond)
		}
	}
	p.release()
	if _, err := s.State(s.id); !errors.Is(err, ErrNotExist) {
		said, _ := os.ReadFile(s.said.Name())
		t.Fatalf("%s: the container is there still: %v: all verbs said: %s", what, err, said)
	}
	s.wantNothing(t, what)
	if s.count%16 < 2 { // the id is free again
		for _, verb := range []string{"create", "start", "delete"} {
			s.do(t, what+", then another life", verb)
		}
		s.wantNothing(t, what+", then another life")
	}
}

// killFirst kills the container's process too, where the state tells which it is.
func (s *trial) killFirst(t *testing.T) {
	t.Helper()
	state, err := s.State(s.id)
	if err != nil && !errors.Is(err, ErrNotExist) {
		t.Fatal(err)
	}
	if state.Pid > 0 {
		kill9(t, s.Runtime, s.id)
	}
}

func (s *trial) wantNothing(t *testing.T, what string) {
	t.Helper()
	s.wantLeft(t, what, s.before, func(after []string) bool { return slices.Equal(after, s.before) })
}

// wantNothingMore is for a container that goes on: what was there may go meanwhile, as a keyring does some time after its last user.
func (s *trial) wantNothingMore(t *testing.T, what string, before []string) {
	t.Helper()
	s.wantLeft(t, what, before, func(after []string) bool {
		return !slices.ContainsFunc(after, func(one string) bool { return !slices.Contains(before, one) })
	})
}

// wantLeft gives the kernel and dying processes a moment: what goes by itself is not left.
func (s *trial) wantLeft(t *testing.T, what string, before []string, good func(after []string) bool) {
	t.Helper()
	var after []string
	for range 1000 {
		if after = s.left(t); good(after) {
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
	t.Fatalf("%s: something is left:\nbefore %q\nafter  %q", what, before, after)
}

// TestKilledAtEveryStep kills berth at each step of a plan that uses everything: create and run while the step is at work in
// the new process, start where the step comes after it.
func TestKilledAtEveryStep(t *testing.T) {
	s := newTrial(t, all(), "exit", "0")
	for _, verb := range []string{"create", "run"} {
		d, err := s.decide(s.id, CreateOptions{Bundle: s.bundle, PreserveFDs: 1}, verb == "run")
		if err != nil {
			t.Fatal(err)
		}
		prog, err := program.Lower(d.plan)
		if err != nil {
			t.Fatal(err)
		}
		struck := 0
		ops := firstOps(prog)
		if testing.Short() {
			ops = everyNth(ops, 16)
		} else if verb == "run" { // the steps are create's, but for the waiting
			ops = everyNth(ops, 3)
		}
		for _, op := range ops {
			if s.killAt(t, verb, op, d.plan, prog.StepOf(op)) {
				struck++
			}
		}
		t.Logf("%s: killed at %d of %d steps", verb, struck, len(ops))
		if struck < len(ops)*3/4 {
			t.Errorf("%s: only %d of %d steps were reached", verb, struck, len(ops))
		}
	}
}

// firstOps are the first operations of the program's steps.
func firstOps(p *program.Program) (ops []int) {
	for i := range p.Len() {
		if i == 0 || p.StepOf(i) != p.StepOf(i-1) {
			ops = append(ops, i)
		}
	}
	return ops
}

func everyNth(list []int, n int) (some []int) {
	for i := 0; i < len(list); i += n {
		some = append(some, list[i])
	}
	return some
}

// killAt says whether the step was reached. A process that has not joined the container's cgroup yet is let go first: it
// then ends by itself.
func (s *trial) killAt(t *testing.T, verb string, op int, p *plan.Plan, step int) bool {
	t.Helper()
	v := s.start(t, verb, op)
	struck := v.strikeOn(t, v.stalled)
	if !struck && verb == "create" { // it waits for start: the step comes later, or not at all
		starter := s.start(t, "start", -1)
		struck = starter.strikeOn(t, v.stalled)
		starter.release()
	}
	if slices.ContainsFunc(p.Steps[step:], isJoin) {
		v.release()
	}
	s.recover(t, fmt.Sprintf("%s killed at operation %d, %s", verb, op, p.Steps[step]), v)
	return struck
}

func isJoin(s plan.Step) bool { _, joins := s.(plan.JoinCgroup); return joins }

// TestKilledExecLeavesNoProcess kills exec at each step: what it was making ends by itself, inside the container and outside, and the
// container goes on.
func TestKilledExecLeavesNoProcess(t *testing.T) {
	s := newTrial(t, all(), "sleep")
	s.prepare(t, []string{"create", "start"})
	running, first := s.left(t), state(t, s.Runtime, s.id, Running).Pid
	x := (&scene{T: t, runtime: s.Runtime}).execution(s.id, ExecOptions{Args: []string{"/probe", "exit", "0"}, PreserveFDs: 1})
	in, err := x.inputs(x.group.Join())
	if err != nil {
		t.Fatal(err)
	}
	p := plan.Join(&x.process, in)
	prog, err := program.Lower(p)
	if err != nil {
		t.Fatal(err)
	}
	ops := firstOps(prog)
	if testing.Short() {
		ops = everyNth(ops, 4)
	}
	struck := 0
	for _, op := range ops {
		what := fmt.Sprintf("exec killed at operation %d, %s", op, p.Steps[prog.StepOf(op)])
		v := s.start(t, "exec", op)
		if v.strikeOn(t, v.stalled) {
			struck++
		}
		v.release()
		s.wantNothingMore(t, what, running)
		if pids, err := s.Processes(s.id); err != nil || len(pids) != 1 || pids[0] != first {
			t.Fatalf("%s: the container's processes are %v (%v), want %d alone", what, pids, err, first)
		}
	}
	t.Logf("killed at %d of %d steps", struck, len(ops))
	if struck < len(ops)*3/4 {
		t.Errorf("only %d of %d steps were reached", struck, len(ops))
	}
	s.do(t, "afterwards", "exec")
	s.do(t, "afterwards", "delete")
	s.wantNothing(t, "afterwards")
}

// TestKilledAtAnyMoment kills each verb at moments spread over the time it takes.
func TestKilledAtAnyMoment(t *testing.T) {
	s := newTrial(t, all(), "exit", "0")
	moments := 20
	if testing.Short() {
		moments = 3
	}
	for verb, before := range lifeBefore {
		s.prepare(t, before)
		v := s.start(t, verb, -1)
		begin := time.Now()
		if err := <-v.ended; err != nil {
			t.Fatalf("%s: %v", verb, err)
		}
		whole := time.Since(begin)
		s.recover(t, verb, v)
		for k := range moments {
			s.prepare(t, before)
			v := s.start(t, verb, -1)
			begin, moment := time.Now(), whole*time.Duration(k)/time.Duration(moments)
			for time.Since(begin) < moment { // a sleep would be late
			}
			v.strike(t)
			s.recover(t, fmt.Sprintf("%s killed after %v of %v", verb, moment, whole), v)
		}
	}
}

// lifeBefore are the verbs that bring a container where another can be asked for.
var lifeBefore = map[string][]string{"create": nil, "run": nil, "start": {"create"}, "delete": {"create", "start"}}

func (s *trial) prepare(t *testing.T, verbs []string) {
	t.Helper()
	for _, verb := range verbs {
		s.do(t, "before", verb)
	}
}

// TestKilledInItsHooks lets each kind of hook that runs beside berth kill it, and then hang: the hook must not outlive it.
func TestKilledInItsHooks(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	deadly := []specs.Hook{{Path: exe, Args: []string{"probe", "kill-victim"}}}
	for kind, c := range map[string]struct {
		verb  string
		hooks specs.Hooks
	}{
		"createRuntime": {"create", specs.Hooks{CreateRuntime: deadly}},
		"poststart":     {"start", specs.Hooks{Poststart: deadly}},
		"run":           {"run", specs.Hooks{Poststart: deadly}},
		"poststop":      {"delete", specs.Hooks{Poststop: deadly}},
	} {
		t.Run(kind, func(t *testing.T) {
			s := newTrial(t, func(c2 *specs.Spec) { c2.Hooks = &c.hooks }, "sleep")
			for range 2 {
				s.prepare(t, lifeBefore[c.verb])
				v := s.start(t, c.verb, -1)
				err := <-v.ended
				var killed *exec.ExitError
				if !errors.As(err, &killed) || killed.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
					t.Fatalf("the hook did not kill %s: %v", c.verb, err)
				}
				s.recover(t, c.verb+" killed by its hook", v)
			}
		})
	}
}

// killVictim is the hook: it kills its parent, if that is a victim, and hangs.
func killVictim() int {
	parent := os.Getppid()
	line, err := os.ReadFile(filepath.Join("/proc", fmt.Sprint(parent), "cmdline"))
	if err != nil || !strings.HasPrefix(string(line), victimName+"\x00") {
		return 0
	}
	syscall.Kill(parent, syscall.SIGKILL)
	time.Sleep(time.Minute)
	return 1
}
