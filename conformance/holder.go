package conformance

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/berth-oci/berth/conformance/probe"
)

// A Holder is a process outside any container that owns namespaces, for
// containers to join and for the runtime to be started in.
type Holder struct {
	t   *T
	cmd *exec.Cmd
	Pid int
}

var cloneFlags = map[string]uintptr{
	"pid": unix.CLONE_NEWPID, "network": unix.CLONE_NEWNET, "mount": unix.CLONE_NEWNS, "ipc": unix.CLONE_NEWIPC,
	"uts": unix.CLONE_NEWUTS, "user": unix.CLONE_NEWUSER, "cgroup": unix.CLONE_NEWCGROUP, "time": unix.CLONE_NEWTIME,
}

// nsFile is the name of a namespace type's file in /proc/PID/ns.
func nsFile(kind string) string {
	switch kind {
	case "network":
		return "net"
	case "mount":
		return "mnt"
	}
	return kind
}

// Hold starts a process in new namespaces of the given types. A new time
// namespace holds only its children (time_namespaces(7)).
func (t *T) Hold(kinds ...string) *Holder { return t.HoldAfter(nil, kinds...) }

// HoldAfter is Hold with operations that the process performs first. Each must succeed.
func (t *T) HoldAfter(ops []probe.Op, kinds ...string) *Holder {
	ready := t.path(fmt.Sprintf("held-%d", len(t.cleanups)))
	ops = append(ops[:len(ops):len(ops)], probe.Op{Do: "signals", Path: ready})
	var flags uintptr
	for _, kind := range kinds {
		flags |= cloneFlags[kind]
	}
	output, err := os.Create(ready + ".out")
	t.Must(err, "start a holder of namespaces")
	cmd := &exec.Cmd{Path: t.options.Probe, Args: probe.Args(ops...), Stdout: output, SysProcAttr: &syscall.SysProcAttr{Pdeathsig: 0}}
	cmd.SysProcAttr.Cloneflags = flags &^ (unix.CLONE_NEWNS | unix.CLONE_NEWTIME)
	// Go makes everything private in a mount namespace it unshares, which is
	// what keeps the host safe here.
	cmd.SysProcAttr.Unshareflags = flags & (unix.CLONE_NEWNS)
	if flags&unix.CLONE_NEWUSER != 0 {
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 65536}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 65536}}
		cmd.SysProcAttr.GidMappingsEnableSetgroups = true
	}
	t.Must(cmd.Start(), "start a holder of namespaces")
	holder := &Holder{t: t, cmd: cmd, Pid: cmd.Process.Pid}
	t.Cleanup(holder.end)
	t.awaitHost(ready)
	for _, result := range probe.Parse(readAll(output.Name())) {
		if !result.OK() {
			t.Fatalf("cannot prepare a namespace: %s %s: %s", result.Do, result.Path, result.Outcome())
		}
	}
	output.Close()
	return holder
}

func (h *Holder) end() {
	_ = h.cmd.Process.Kill()
	_ = h.cmd.Wait()
}

// Path returns the file of the holder's namespace of a type.
func (h *Holder) Path(kind string) string {
	return fmt.Sprintf("/proc/%d/ns/%s", h.Pid, nsFile(kind))
}

// Link returns the identity of the holder's namespace of a type.
func (h *Holder) Link(kind string) string {
	target, err := os.Readlink(h.Path(kind))
	h.t.Must(err, "read a namespace")
	return target
}

// Alive tells whether the holder still runs.
func (h *Holder) Alive() bool { return unix.Kill(h.Pid, 0) == nil }

// Within performs operations inside the holder's namespaces of the given types.
func (h *Holder) Within(kinds []string, ops ...probe.Op) []probe.Result {
	text, err := json.Marshal(ops)
	h.t.Must(err, "encode operations")
	var paths []string
	for _, kind := range kinds {
		paths = append(paths, h.Path(kind))
	}
	cmd := &exec.Cmd{Path: h.t.options.Probe, Args: enterArgs(paths, []string{h.t.options.Probe, string(text)})}
	output, err := cmd.Output()
	h.t.Must(err, "look into a namespace")
	return probe.Parse(output)
}

// ownNamespace returns the identity of this process's namespace of a type.
func (t *T) ownNamespace(kind string) string {
	target, err := os.Readlink("/proc/self/ns/" + nsFile(kind))
	t.Must(err, "read a namespace")
	return strings.TrimSpace(target)
}
