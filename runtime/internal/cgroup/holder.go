package cgroup

import (
	"fmt"
	"math"
	"syscall"

	"github.com/berth-oci/berth/runtime/internal/stub"
)

// holder is a process that does nothing. systemd makes a scope only around a process that exists, and ends it when the last
// one is gone; the holder is that process until the container's first is born in the group. It dies with its maker.
type holder struct{ pid int }

// hold starts a holder: an image of one operation, a wait without an end.
func hold() (*holder, error) {
	wait := []stub.Op{{Number: stub.SysPpoll, Save: stub.RegVoid, Least: math.MinInt64}}
	image, err := stub.Carry("berth-holder", &stub.Image{Ops: wait})
	if err != nil {
		return nil, err
	}
	defer syscall.Close(image)
	pid, err := syscall.ForkExec(stub.Path(image), []string{"berth-holder"}, &syscall.ProcAttr{
		Files: []uintptr{}, Sys: &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setsid: true},
	})
	if err != nil {
		return nil, fmt.Errorf("start a process to hold the unit: %w", err)
	}
	return &holder{pid}, nil
}

func (h *holder) release() {
	if h == nil || h.pid <= 0 {
		return
	}
	_ = syscall.Kill(h.pid, syscall.SIGKILL)
	for {
		if _, err := syscall.Wait4(h.pid, nil, 0, nil); err != syscall.EINTR {
			break
		}
	}
	h.pid = 0
}
