package cgroup

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/berth-oci/berth/runtime/internal/kernel"
)

// OOM watches for kills by the out-of-memory killer. It calls notify with the number of kills so far in the group's life
// whenever it grows (v1 kernels before 4.13 do not count: there it grows by one for each notice), and returns when the group
// is gone or stop is closed.
func (g *Group) OOM(stop <-chan struct{}, notify func(kills uint64)) error {
	d, ok := g.Dir("memory")
	if !ok {
		return errors.New("cannot watch for out-of-memory kills: the container has no memory cgroup")
	}
	start := watchV1
	if d.Version == 2 {
		start = watchV2
	}
	wait, file, err := start(d)
	if err != nil {
		return fmt.Errorf("cannot watch for out-of-memory kills: %w", err)
	}
	defer file.Close()
	done := make(chan struct{})
	defer close(done)
	go func() {
		select {
		case <-stop:
			file.Close() // ends the read below
		case <-done:
		}
	}()
	return watch(d, patient(d, file, wait), notify)
}

// longest is for how long no look is due. v1 signals the end of a group and a v2 group says when it empties, but nothing
// says when an empty v2 group is removed.
func longest(d Dir) time.Duration {
	r := reader{dir: d.Path}
	if d.Version == 2 && r.table("cgroup.events")["populated"] == 0 {
		return 200 * time.Millisecond
	}
	return 0
}

// patient says after how long, at the most, the next look at the counter is due. v1 signals before the kill, v2 after it,
// so after an event the counter is looked at again a few times before the next event is waited for without end.
func patient(d Dir, file *os.File, wait func() error) func() error {
	next := time.Duration(0)
	return func() error {
		due := time.Time{}
		if next > time.Second || next == 0 {
			next = longest(d)
		}
		if next > 0 {
			due = time.Now().Add(next)
		}
		if file.SetReadDeadline(due) != nil {
			return os.ErrClosed // the only reason, with a descriptor that can be polled
		}
		err := wait()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			next *= 2
			return nil
		}
		next = 5 * time.Millisecond
		return err
	}
}

// watch turns events into notices. Events are hints alone: the counter decides.
func watch(d Dir, wait func() error, notify func(uint64)) error {
	seen := oomKills(d)
	if seen > 0 {
		notify(seen)
	}
	for {
		err := wait()
		if errors.Is(err, os.ErrClosed) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("cannot watch for out-of-memory kills: %w", err)
		}
		if kills := oomKills(d); kills > seen {
			seen = kills
			notify(seen)
		}
		if _, err := os.Stat(d.Path); err != nil {
			return nil
		}
	}
}

func oomKills(d Dir) uint64 {
	r := reader{dir: d.Path}
	if d.Version == 2 {
		return r.table("memory.events")["oom_kill"]
	}
	return r.table("memory.oom_control")["oom_kill"]
}

// watchV1 registers an eventfd (Documentation/admin-guide/cgroup-v1/memory.rst, "OOM Control"). Removing the group signals
// it too.
func watchV1(d Dir) (func() error, *os.File, error) {
	control, err := openFile(d.Path+"/memory.oom_control", syscall.O_RDONLY)
	if err != nil {
		return nil, nil, fmt.Errorf("open %s/memory.oom_control: %w", d.Path, err)
	}
	defer syscall.Close(control) // the kernel keeps the group, not the file
	event, err := kernel.Eventfd()
	if err != nil {
		return nil, nil, err
	}
	f := os.NewFile(uintptr(event), "eventfd")
	line := strconv.Itoa(event) + " " + strconv.Itoa(control)
	if err := writeFile(d.Path+"/cgroup.event_control", line); err != nil {
		f.Close()
		return nil, nil, err
	}
	counter := make([]byte, 8)
	return func() error { _, err := f.Read(counter); return err }, f, nil
}

// watchV2 watches memory.events, which the kernel marks as modified when a counter changes, and cgroup.events, which
// changes when the group empties.
func watchV2(d Dir) (func() error, *os.File, error) {
	fd, err := syscall.InotifyInit1(syscall.IN_CLOEXEC | syscall.IN_NONBLOCK)
	if err != nil {
		return nil, nil, err
	}
	f := os.NewFile(uintptr(fd), "inotify")
	for _, name := range []string{"/memory.events", "/cgroup.events"} {
		if _, err := syscall.InotifyAddWatch(fd, d.Path+name, syscall.IN_MODIFY|syscall.IN_DELETE_SELF); err != nil {
			f.Close()
			return nil, nil, fmt.Errorf("watch %s%s: %w", d.Path, name, err)
		}
	}
	buf := make([]byte, 4096)
	return func() error { _, err := f.Read(buf); return err }, f, nil
}
