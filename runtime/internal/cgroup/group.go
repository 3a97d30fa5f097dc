package cgroup

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/berth-oci/berth/runtime/internal/host"
)

// State is what is saved of a layout: enough to find, to end and to remove what it made.
type State struct {
	Mode  host.CgroupMode `json:"mode"`
	Owner string          `json:"owner"`
	Dirs  []Dir           `json:"dirs"`
	Unit  string          `json:"unit,omitempty"` // systemd's unit that owns the directories
	User  bool            `json:"user,omitempty"` // of the user's systemd
	Trust bool            `json:"trust,omitempty"`
}

// Group is the cgroup of a container that was made before.
type Group struct {
	state State
	dirs  []Dir // those of state that are ours and still exist
}

// Open finds a group from its saved state. Directories that are gone, or that another owner has made anew, are not part of
// it; a group with none left is valid and empty.
func Open(s State) (*Group, error) {
	g := &Group{state: s}
	for _, d := range s.Dirs {
		if err := safe(d); err != nil {
			return nil, err
		}
		if s.mine(d.Path) {
			g.dirs = append(g.dirs, d)
		}
	}
	return g, nil
}

// safe refuses a saved directory that cannot be one of ours, whatever became of the state file.
func safe(d Dir) error {
	if !filepath.IsAbs(d.Path) || filepath.Clean(d.Path) != d.Path || !strings.HasPrefix(d.Path, d.Mountpoint+"/") {
		return fmt.Errorf("cannot open the cgroup %q: it is not below its mount point %q", d.Path, d.Mountpoint)
	}
	return nil
}

// mine says whether a directory belongs to this container. Without a mark the state decides where marks cannot be expected
// (a caller without rights); elsewhere only an empty one is taken: a create that was killed between
// making and marking leaves one. What does not exist belongs to nobody.
func (s State) mine(dir string) bool {
	m, err := readMark(dir)
	switch {
	case err != nil:
		return false
	case m != "":
		return m == s.Owner
	case s.Trust:
		return true
	}
	pids, err := procs(dir)
	return err == nil && len(pids) == 0
}

// Dir finds the group's directory in the hierarchy that has the controller; "" is the v2 hierarchy.
func (g *Group) Dir(controller string) (Dir, bool) { return dirOf(g.dirs, controller) }

// Exists says whether any of the group's directories is left.
func (g *Group) Exists() bool { return len(g.dirs) > 0 }

// Join says where a further process of the container has to be. A group at its pids limit refuses births, but not moves:
// there a process joins by the file.
func (g *Group) Join() Join { return joinOf(g.dirs, g.full()) }

func (g *Group) full() bool {
	d, ok := g.Dir("pids")
	if !ok || d.Version != 2 {
		return false
	}
	r := reader{dir: d.Path}
	limit := r.text("pids.max")
	n, err := parseUint(limit)
	return err == nil && r.number("pids.current") >= n
}

// Procs are the processes in the group and in groups below it, in all hierarchies, as the caller's PID namespace numbers
// them, sorted, each once. Those of other PID namespaces that have no number here are left out.
func (g *Group) Procs() ([]int, error) {
	var all []int
	for _, d := range g.dirs {
		pids, err := procsBelow(d.Path)
		if err != nil {
			return nil, fmt.Errorf("cannot list the container's processes: %w", err)
		}
		all = append(all, pids...)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// procsBelow lists the processes of a directory and of those below it. A directory that vanishes meanwhile has none.
func procsBelow(dir string) ([]int, error) {
	pids, err := procs(dir)
	if err != nil {
		return nil, err
	}
	short, done := reach(dir)
	defer done()
	for _, sub := range subdirs(dir) {
		more, err := procsBelow(short + "/" + sub)
		if err != nil {
			return nil, err
		}
		pids = append(pids, more...)
	}
	return pids, nil
}

// reach gives a short name for a directory whose path comes near the length that the kernel takes (PATH_MAX, 4096 bytes): a container that may
// write to its cgroup makes groups deeper than any path, since a path that begins in one of them is short. The name leads through a
// descriptor that done gives back.
func reach(dir string) (short string, done func()) {
	const long, oPath = 2048, 0x200000
	if len(dir) < long {
		return dir, func() {}
	}
	fd, err := syscall.Open(dir, oPath|syscall.O_DIRECTORY|syscall.O_CLOEXEC|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return dir, func() {} // it has gone, and what is done with it will say so
	}
	return "/proc/self/fd/" + strconv.Itoa(fd), func() { syscall.Close(fd) }
}

// procs lists the processes of one directory. cgroup.procs of a threaded v2 group cannot be read (EOPNOTSUPP): its
// processes appear in the group above that is not threaded.
func procs(dir string) ([]int, error) {
	text, err := readFile(dir + "/cgroup.procs")
	if err != nil {
		if isGone(err) || isThreaded(err) {
			return nil, nil
		}
		return nil, err
	}
	var pids []int
	for line := range strings.SplitSeq(text, "\n") {
		if n, err := strconv.Atoi(line); err == nil && n > 0 {
			pids = append(pids, n)
		}
	}
	return pids, nil
}

func subdirs(dir string) []string {
	list, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range list {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names
}

// entries are the names in a directory; none where it is gone.
func entries(dir string) []string {
	f, err := os.Open(dir)
	if err != nil {
		return nil
	}
	defer f.Close()
	names, _ := f.Readdirnames(-1)
	return names
}
