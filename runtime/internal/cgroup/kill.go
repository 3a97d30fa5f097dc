package cgroup

import (
	"errors"
	"fmt"
	"syscall"
	"time"
)

// KillAll sends the signal to every process of the group. SIGKILL goes through cgroup.kill where the v2 hierarchy has it
// (Linux 5.14), which no fork can escape. Otherwise the group is frozen meanwhile, so that none is missed; where it cannot
// be frozen, the signal is sent until a round finds no process it has not hit.
func (g *Group) KillAll(sig syscall.Signal) error {
	if sig == syscall.SIGKILL {
		if err := g.cgroupKill(); err != nil && !errors.Is(err, syscall.ENOENT) {
			return fmt.Errorf("cannot kill the container's processes: %w", err)
		}
	}
	pids, err := g.Procs()
	if err != nil || len(pids) == 0 {
		return err
	}
	return g.signalFrozen(sig)
}

// cgroupKill uses the v2 group's cgroup.kill. In a hybrid world the other hierarchies are looked at afterwards.
func (g *Group) cgroupKill() error {
	d, ok := g.Dir("")
	if !ok {
		return nil
	}
	return writeFile(d.Path+"/cgroup.kill", "1")
}

// signalFrozen freezes, signals and restores. A group that the user froze stays frozen, except for SIGKILL: v1's frozen
// processes die only when they thaw.
func (g *Group) signalFrozen(sig syscall.Signal) error {
	was, err := g.Frozen()
	if err != nil {
		return err
	}
	f, noFreezer := freezerOf(g.dirs)
	if !was && noFreezer == nil {
		_ = f.freeze() // best effort: the rounds below catch what goes on forking
	}
	err = g.signalRounds(sig)
	if noFreezer == nil && (!was || sig == syscall.SIGKILL) {
		if thawed := writeFile(f.path, f.off); err == nil && !isGone(thawed) {
			err = thawed
		}
	}
	if err == nil && sig == syscall.SIGKILL {
		err = g.signalRounds(sig) // what the freezer missed
	}
	if err != nil {
		return fmt.Errorf("cannot signal the container's processes: %w", err)
	}
	return nil
}

func (g *Group) signalRounds(sig syscall.Signal) error {
	hit := map[int]bool{}
	for range 100 {
		pids, err := g.Procs()
		if err != nil {
			return err
		}
		fresh := false
		for _, pid := range pids {
			if hit[pid] {
				continue
			}
			fresh, hit[pid] = true, true
			if err := syscall.Kill(pid, sig); err != nil && err != syscall.ESRCH {
				return err
			}
		}
		if !fresh {
			return nil
		}
	}
	return errors.New("new processes appear faster than they can be signalled")
}

// WaitEmpty waits until the group has no process, for at most the given time, and says which are left.
func (g *Group) WaitEmpty(limit time.Duration) ([]int, error) {
	deadline := time.Now().Add(limit)
	for wait := 100 * time.Microsecond; ; wait = min(2*wait, 10*time.Millisecond) {
		pids, err := g.Procs()
		if err != nil || len(pids) == 0 || time.Now().After(deadline) {
			return pids, err
		}
		time.Sleep(wait)
	}
}
