package container

import (
	"fmt"
	"os"
	"strings"
	"syscall"

	"github.com/berth-oci/berth/runtime/internal/kernel"
	"github.com/berth-oci/berth/runtime/internal/plan"
	"github.com/berth-oci/berth/runtime/internal/program"
	"github.com/berth-oci/berth/runtime/internal/spec"
)

// answer does the runtime's part at a barrier, while the new process waits.
func (c *creation) answer(m program.Message) error {
	switch m.Barrier {
	case plan.BarrierTime:
		return c.setTimeOffsets()
	case plan.BarrierDevices:
		return c.moveNetDevices()
	case plan.BarrierPid:
		return c.process.TellPid(innerPid(c.process.Pid))
	case plan.BarrierLimits:
		return raiseLimits(c.process.Pid, c.spec.Process.Rlimits)
	case plan.BarrierHooks:
		return c.createHooks()
	case plan.BarrierConsole:
		return c.takeConsole(m.Value)
	case plan.BarrierIDMap:
		return c.mapIDs(m)
	case plan.BarrierCopyUp:
		return c.copyUp(m)
	case plan.BarrierListen:
		return c.handListener(m)
	}
	return fmt.Errorf("the container's process waits for %q, which is unknown", m.Barrier)
}

// takeConsole fetches the terminal's master and passes it on.
func (c *creation) takeConsole(fd uint64) error {
	master, err := c.process.Take(fd)
	if err != nil {
		return err
	}
	return c.console(master)
}

// sendConsole sends a terminal's master to a socket, as engines expect it.
func sendConsole(socket string) func(master int) error {
	return func(master int) error {
		defer syscall.Close(master)
		if err := kernel.SendFD(socket, []byte("/dev/ptmx"), master); err != nil {
			return fmt.Errorf("cannot hand over the terminal: %w", err)
		}
		return nil
	}
}

func (c *creation) setTimeOffsets() error {
	var text strings.Builder
	for _, o := range c.spec.Linux.TimeOffsets {
		fmt.Fprintf(&text, "%s %d %d\n", o.Clock, o.Secs, o.Nanosecs)
	}
	name := fmt.Sprintf("/proc/%d/timens_offsets", c.process.Pid)
	if err := os.WriteFile(name, []byte(text.String()), 0); err != nil {
		return fmt.Errorf("linux.timeOffsets: cannot set them: %w", unwrap(err))
	}
	return nil
}

// raiseLimits sets the limits from outside: the process, root of its user namespace only, may lower them but not raise.
func raiseLimits(pid int, limits []spec.Rlimit) error {
	for i, l := range limits {
		early := plan.EarlyLimit(l)
		if err := kernel.Prlimit(pid, l.Resource, early.Soft, early.Hard); err != nil {
			return fmt.Errorf("process.rlimits[%d]: cannot set %s: %w", i, l.Name, err)
		}
	}
	return nil
}
