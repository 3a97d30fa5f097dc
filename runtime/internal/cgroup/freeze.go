package cgroup

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"
)

func isGone(err error) bool { // ENODEV: removed while its file was open
	return errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ENODEV)
}

func isThreaded(err error) bool { return errors.Is(err, syscall.EOPNOTSUPP) }

// freezer is the file that freezes a group, and its words.
type freezer struct {
	path     string
	on, off  string
	isFrozen func() (bool, error)
}

// freezerOf prefers v1's freezer where it is mounted, since that is what other tools look at; the v2 hierarchy's
// cgroup.freeze needs no controller and Linux 5.2.
func freezerOf(dirs []Dir) (freezer, error) {
	if d, ok := dirOf(dirs, "freezer"); ok {
		return freezerV1(d.Path), nil
	}
	if d, ok := dirOf(dirs, ""); ok {
		return freezerV2(d.Path), nil
	}
	return freezer{}, errors.New("the container has no cgroup with a freezer")
}

func freezerV1(dir string) freezer {
	return freezer{dir + "/freezer.state", "FROZEN", "THAWED", func() (bool, error) {
		s, err := readFile(dir + "/freezer.state")
		return s == "FROZEN", err
	}}
}

func freezerV2(dir string) freezer {
	return freezer{dir + "/cgroup.freeze", "1", "0", func() (bool, error) {
		s, err := readFile(dir + "/cgroup.events")
		return strings.Contains(s+"\n", "frozen 1\n"), err
	}}
}

// Freeze stops every process of the group and returns when all stand still. One that does not within ten seconds (stuck in
// the kernel) is an error, and the group is thawed again.
func (g *Group) Freeze() error {
	f, err := freezerOf(g.dirs)
	if err != nil {
		return fmt.Errorf("cannot freeze the container: %w", err)
	}
	if err := f.freeze(); err != nil {
		_ = writeFile(f.path, f.off)
		return fmt.Errorf("cannot freeze the container: %w", err)
	}
	return nil
}

// freeze writes until the group is frozen: v1 falls back to FREEZING when a process is forked at that moment, and needs to
// be asked again; a short thaw in between lets it get on.
func (f freezer) freeze() error {
	deadline := time.Now().Add(10 * time.Second)
	for wait := 50 * time.Microsecond; ; wait = min(2*wait, 20*time.Millisecond) {
		if err := writeFile(f.path, f.on); err != nil {
			return err
		}
		if done, err := f.isFrozen(); done || err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return errors.New("a process did not stop within 10 s")
		}
		time.Sleep(wait)
	}
}

// Thaw lets the group's processes go on. A group that is not frozen stays as it is.
func (g *Group) Thaw() error {
	f, err := freezerOf(g.dirs)
	if err == nil {
		err = writeFile(f.path, f.off)
	}
	if err != nil {
		return fmt.Errorf("cannot thaw the container: %w", err)
	}
	return nil
}

// ThawDying lets processes go on that have been killed. Only v1's need it, whether all of the group stands still or some; on v2
// nothing changes.
func (g *Group) ThawDying() error {
	if _, v1 := g.Dir("freezer"); !v1 {
		return nil
	}
	return g.Thaw()
}

// Frozen says whether the group is frozen. A group without a freezer never is.
func (g *Group) Frozen() (bool, error) {
	f, err := freezerOf(g.dirs)
	if err != nil {
		return false, nil
	}
	done, err := f.isFrozen()
	if isGone(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("cannot tell whether the container is frozen: %w", err)
	}
	return done, nil
}

// frozen looks at one directory of either version.
func frozen(dir string) bool {
	for _, f := range []freezer{freezerV1(dir), freezerV2(dir)} {
		if is, err := f.isFrozen(); err == nil && is {
			return true
		}
	}
	return false
}
