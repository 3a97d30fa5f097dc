package cgroup

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Remove removes the group's directories, those that the container made inside them, and those above that were made on the
// way and are empty now. A process that is just dying keeps its group busy for a moment (EBUSY), so each directory is tried
// for up to two seconds altogether; what is left then is named, with the processes in it. Nobody is killed, except that
// systemd, asked to end its unit, ends what is still in it.
func (g *Group) Remove() error {
	deadline := time.Now().Add(2 * time.Second)
	var failed []string
	if g.state.Unit != "" && g.Exists() {
		if err := stopUnit(g.state.Unit, g.state.User); err != nil {
			failed = append(failed, err.Error())
		}
	}
	for _, d := range g.dirs {
		if wasFound(d.Path) {
			if err := emptyTree(d.Path, deadline); err != nil {
				failed = append(failed, describeLeft(d.Path, err))
			}
			continue
		}
		if err := removeTree(d.Path, deadline); err != nil {
			failed = append(failed, describeLeft(d.Path, err))
			continue
		}
		removeParents(d)
	}
	if len(failed) > 0 {
		return fmt.Errorf("cannot remove the container's cgroup: %s", strings.Join(failed, "; "))
	}
	g.dirs = nil
	return nil
}

// RemoveEmpty removes the group's directories if nobody is in them and nothing below, and says whether all are gone. The
// kernel refuses to remove any other, so nothing needs to be looked at first. A group that was there before, or that is
// systemd's, takes [Group.Remove].
func (g *Group) RemoveEmpty() bool {
	if g.state.Unit != "" || slices.ContainsFunc(g.dirs, func(d Dir) bool { return wasFound(d.Path) }) {
		return false
	}
	for _, d := range g.dirs {
		if err := rmdir(d.Path); err != nil && !isGone(err) {
			return false
		}
		removeParents(d)
	}
	g.dirs = nil
	return true
}

func describeLeft(dir string, err error) string {
	pids, _ := procsBelow(dir)
	if len(pids) == 0 {
		return fmt.Sprintf("%s: %v", dir, err)
	}
	shown := pids[:min(len(pids), 10)]
	return fmt.Sprintf("%s: %v: it still has %d process(es) %v", dir, err, len(pids), shown)
}

// emptyTree removes what the container made inside a directory that is not its own, and takes the marks off.
func emptyTree(dir string, deadline time.Time) error {
	if err := removeBelow(dir, deadline); err != nil {
		return err
	}
	unmark(dir)
	return nil
}

// removeBelow removes all groups below a directory.
func removeBelow(dir string, deadline time.Time) error {
	short, done := reach(dir)
	defer done()
	for _, sub := range subdirs(dir) {
		if err := removeTree(short+"/"+sub, deadline); err != nil {
			return err
		}
	}
	return nil
}

// removeTree removes a directory; a plain rmdir does in all but a few cases, so the tree is read only when it fails.
func removeTree(dir string, deadline time.Time) error {
	for wait := 100 * time.Microsecond; ; wait = min(2*wait, 50*time.Millisecond) {
		err := rmdir(dir)
		if err == nil || isGone(err) {
			return nil
		}
		if !errors.Is(err, syscall.EBUSY) && !errors.Is(err, syscall.ENOTEMPTY) {
			return err
		}
		if err := removeBelow(dir, deadline); err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return rmdir(dir)
		}
		time.Sleep(wait)
	}
}

// removeParents removes directories above that carry the mark of having been made on the way, until one is in use.
func removeParents(d Dir) {
	for dir := path.Dir(d.Path); len(dir) > len(d.Mountpoint); dir = path.Dir(dir) {
		if ownerOf(dir, parentMark) != ours || rmdir(dir) != nil {
			return
		}
	}
}

func rmdir(dir string) error {
	for {
		if err := syscall.Rmdir(dir); err != syscall.EINTR {
			return err
		}
	}
}

// Left lists the group's directories that exist, sorted.
func (g *Group) Left() []string {
	var left []string
	for _, d := range g.dirs {
		if procsFile, err := openFile(d.Path, syscall.O_RDONLY|syscall.O_DIRECTORY); err == nil {
			syscall.Close(procsFile)
			left = append(left, d.Path)
		}
	}
	slices.Sort(left)
	return left
}
