package leak

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/berth-oci/berth/conformance/probe"
)

// Snapshot is everything a runtime could own, by kind.
type Snapshot map[string][]string

// places are the directories that a runtime writes to; all are the world's own.
var places = []string{"/tmp", "/var/tmp", "/run", "/dev/shm"}

// Take looks at the world. Where the kernel has no walls, only names with the mark count.
func Take(mark string) Snapshot {
	return Snapshot{
		"process":    processes(),
		"mount":      mounts(),
		"cgroup":     cgroups(mark),
		"link":       links(),
		"descriptor": descriptors(),
		"file":       files(),
		"keyring":    marked(lines("/proc/keys"), mark),
		"loop":       loops(mark),
		"shm":        segments(),
	}
}

// New lists what is in after and was not in before, in a stable order.
func New(scenario string, before, after Snapshot) []Finding {
	var found []Finding
	for kind, names := range after {
		known := slices.Clone(before[kind])
		for _, name := range names {
			if i := slices.Index(known, name); i >= 0 {
				known = slices.Delete(known, i, i+1) // the same name twice counts twice
				continue
			}
			found = append(found, Finding{Scenario: scenario, Kind: kind, Name: name})
		}
	}
	slices.SortFunc(found, func(a, b Finding) int { return strings.Compare(a.Kind+a.Name, b.Kind+b.Name) })
	return found
}

// processes lists every process of the pid namespace but this one and its threads.
func processes() []string {
	var found []string
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		name := strings.ReplaceAll(strings.TrimRight(string(read("/proc/"+entry.Name()+"/cmdline")), "\x00"), "\x00", " ")
		if name == "" {
			name = strings.TrimSpace(string(read("/proc/" + entry.Name() + "/comm")))
		}
		if len(name) > 200 {
			name = name[:200] + "…"
		}
		found = append(found, fmt.Sprintf("%d %s", pid, name))
	}
	return found
}

func mounts() []string {
	var found []string
	list, _ := probe.ReadMounts("/proc/self/mountinfo")
	for _, mount := range list {
		found = append(found, mount.Type+" on "+mount.Point)
	}
	return found
}

// cgroups lists the directories of all hierarchies whose name holds the mark.
func cgroups(mark string) []string {
	var found []string
	list, _ := probe.ReadMounts("/proc/self/mountinfo")
	for _, mount := range list {
		if mount.Type == "cgroup" || mount.Type == "cgroup2" {
			found = append(found, markedDirs(mount.Point, mark)...)
		}
	}
	return found
}

func markedDirs(root, mark string) []string {
	var found []string
	_ = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return nil // cgroups of others come and go
		}
		if entry.IsDir() && strings.Contains(entry.Name(), mark) {
			found = append(found, path)
			return fs.SkipDir
		}
		return nil
	})
	return found
}

func links() []string {
	var found []string
	for _, line := range lines("/proc/self/net/dev") {
		if name, _, isLink := strings.Cut(line, ":"); isLink {
			found = append(found, strings.TrimSpace(name))
		}
	}
	return found
}

// descriptors lists the open descriptors of this process, the runtime's caller.
func descriptors() []string {
	var found []string
	for fd := range 1024 {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
			continue
		}
		target, _ := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
		found = append(found, fmt.Sprintf("%d %s", fd, target))
	}
	return found
}

// files lists what is in the places; what is in a bundle is the caller's own.
func files() []string {
	var found []string
	for _, place := range places {
		_ = filepath.WalkDir(place, func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				return nil
			}
			if path == bundles {
				return fs.SkipDir
			}
			found = append(found, path)
			return nil
		})
	}
	return found
}

// loops lists loop devices whose backing file carries the mark or lies in the world.
func loops(mark string) []string {
	var found []string
	paths, _ := filepath.Glob("/sys/block/loop*/loop/backing_file")
	for _, path := range paths {
		file := strings.TrimSpace(string(read(path)))
		if strings.Contains(file, mark) || strings.HasPrefix(file, bundles) {
			found = append(found, path+" "+file)
		}
	}
	return found
}

// segments lists System V shared memory, semaphores and message queues of the ipc namespace.
func segments() []string {
	var found []string
	for _, kind := range []string{"shm", "sem", "msg"} {
		for i, line := range lines("/proc/sysvipc/" + kind) {
			if fields := strings.Fields(line); i > 0 && len(fields) > 1 {
				found = append(found, kind+" "+fields[1])
			}
		}
	}
	return found
}

func marked(lines []string, mark string) []string {
	var found []string
	for _, line := range lines {
		if strings.Contains(line, mark) {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return found
}

func read(path string) []byte {
	text, _ := os.ReadFile(path)
	return text
}

func lines(path string) []string { return strings.Split(strings.TrimSpace(string(read(path))), "\n") }
