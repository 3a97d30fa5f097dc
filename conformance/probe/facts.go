package probe

import (
	"bufio"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Facts is what a process can learn about itself and its surroundings. A
// fact that cannot be read (no /proc, say) keeps its zero value.
type Facts struct {
	Pid        int               `json:"pid"`
	PPid       int               `json:"ppid"`
	Pgid       int               `json:"pgid"`
	Sid        int               `json:"sid"`
	UID        int               `json:"uid"`
	GID        int               `json:"gid"`
	EUID       int               `json:"euid"`
	EGID       int               `json:"egid"`
	Groups     []int             `json:"groups"`
	Umask      int               `json:"umask"`
	Args       []string          `json:"args"`
	Env        []string          `json:"env"`
	Cwd        string            `json:"cwd"`
	Hostname   string            `json:"hostname"`
	Domainname string            `json:"domainname"`
	Machine    string            `json:"machine"`
	Namespaces map[string]string `json:"namespaces"` // type → "pid:[4026531836]"
	Status     map[string]string `json:"status"`     // /proc/self/status
	Limits     map[string]Limit  `json:"limits"`     // "RLIMIT_CORE" → values
	Mounts     []Mount           `json:"mounts"`
	Cgroups    []string          `json:"cgroups"` // lines of /proc/self/cgroup
	Fds        map[int]string    `json:"fds"`     // number → link target
	OOMScore   string            `json:"oomScoreAdj"`
	NoNewPrivs int               `json:"noNewPrivs"`
	Links      []string          `json:"links"` // network interfaces
	Policy     int               `json:"policy"`
	Nice       int               `json:"nice"`
	Priority   int               `json:"priority"`
	IOPrio     int               `json:"ioprio"`
	CPUs       int               `json:"cpus"`
	TTY        map[int]bool      `json:"tty"` // which of 0, 1, 2 is a terminal
	Rows       int               `json:"rows"`
	Cols       int               `json:"cols"`
	Boottime   int64             `json:"boottime"`  // CLOCK_BOOTTIME, seconds
	Monotonic  int64             `json:"monotonic"` // CLOCK_MONOTONIC, seconds
	Keyring    int               `json:"keyring"`   // serial number of the session keyring
}

// Limit is a pair of resource limits.
type Limit struct{ Soft, Hard uint64 }

// Mount is one line of /proc/self/mountinfo, proc_pid_mountinfo(5).
type Mount struct {
	ID           int      `json:"id"`
	Parent       int      `json:"parent"`
	Device       string   `json:"device"`
	Root         string   `json:"root"`
	Point        string   `json:"point"`
	Options      []string `json:"options"`      // of this mount
	Optional     []string `json:"optional"`     // shared:N, master:N, unbindable …
	Type         string   `json:"type"`         // of the filesystem
	Source       string   `json:"source"`       //
	SuperOptions []string `json:"superOptions"` // of the superblock
}

// Has tells whether option is set on the mount or its superblock.
func (m Mount) Has(option string) bool {
	for _, list := range [][]string{m.Options, m.SuperOptions} {
		for _, o := range list {
			if o == option {
				return true
			}
		}
	}
	return false
}

// MountAt returns the mount that is on top at the given mount point.
func (f *Facts) MountAt(point string) (Mount, bool) {
	for i := len(f.Mounts) - 1; i >= 0; i-- {
		if f.Mounts[i].Point == point {
			return f.Mounts[i], true
		}
	}
	return Mount{}, false
}

func collect() *Facts {
	facts := &Facts{
		Pid: os.Getpid(), PPid: os.Getppid(), UID: os.Getuid(), GID: os.Getgid(),
		EUID: os.Geteuid(), EGID: os.Getegid(), Args: os.Args, Env: os.Environ(),
		Namespaces: namespaces("/proc/self/ns"), Status: status("/proc/self/status"),
		Limits: limits(), Fds: descriptors(), TTY: map[int]bool{},
	}
	facts.Groups, _ = os.Getgroups()
	facts.Pgid = unix.Getpgrp()
	facts.Sid, _ = unix.Getsid(0)
	facts.Umask = unix.Umask(0)
	unix.Umask(facts.Umask)
	facts.Cwd, _ = unix.Getwd()
	facts.Mounts, _ = ReadMounts("/proc/self/mountinfo")
	facts.Cgroups = lines("/proc/self/cgroup")
	facts.OOMScore = firstLine("/proc/self/oom_score_adj")
	facts.NoNewPrivs, _ = unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
	facts.Keyring, _ = unix.KeyctlGetKeyringID(unix.KEY_SPEC_SESSION_KEYRING, false)
	names(facts)
	scheduling(facts)
	terminal(facts)
	clocks(facts)
	return facts
}

func names(facts *Facts) {
	var uts unix.Utsname
	if unix.Uname(&uts) == nil {
		facts.Hostname = unix.ByteSliceToString(uts.Nodename[:])
		facts.Domainname = unix.ByteSliceToString(uts.Domainname[:])
		facts.Machine = unix.ByteSliceToString(uts.Machine[:])
	}
	links, _ := net.Interfaces()
	for _, link := range links {
		facts.Links = append(facts.Links, link.Name)
	}
	sort.Strings(facts.Links)
}

// scheduling reads the attributes of the main thread, which Go may not be
// running this function on.
func scheduling(facts *Facts) {
	pid := os.Getpid()
	if attr, err := unix.SchedGetAttr(pid, 0); err == nil {
		facts.Policy, facts.Nice, facts.Priority = int(attr.Policy), int(attr.Nice), int(attr.Priority)
	}
	prio, _, errno := unix.Syscall(unix.SYS_IOPRIO_GET, 1, uintptr(pid), 0)
	if errno == 0 {
		facts.IOPrio = int(prio)
	}
	facts.CPUs = runtime.NumCPU()
}

func terminal(facts *Facts) {
	for fd := range 3 {
		_, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		facts.TTY[fd] = err == nil
	}
	if size, err := unix.IoctlGetWinsize(0, unix.TIOCGWINSZ); err == nil {
		facts.Rows, facts.Cols = int(size.Row), int(size.Col)
	}
}

func clocks(facts *Facts) {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) == nil {
		facts.Boottime = int64(ts.Sec)
	}
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) == nil {
		facts.Monotonic = int64(ts.Sec)
	}
}

func namespaces(dir string) map[string]string {
	found := map[string]string{}
	entries, _ := os.ReadDir(dir)
	for _, entry := range entries {
		if target, err := os.Readlink(filepath.Join(dir, entry.Name())); err == nil {
			found[entry.Name()] = target
		}
	}
	return found
}

func status(path string) map[string]string {
	found := map[string]string{}
	for _, line := range lines(path) {
		key, value, _ := strings.Cut(line, ":")
		found[key] = strings.TrimSpace(value)
	}
	return found
}

var resources = map[string]int{
	"RLIMIT_CPU": unix.RLIMIT_CPU, "RLIMIT_FSIZE": unix.RLIMIT_FSIZE, "RLIMIT_DATA": unix.RLIMIT_DATA,
	"RLIMIT_STACK": unix.RLIMIT_STACK, "RLIMIT_CORE": unix.RLIMIT_CORE, "RLIMIT_RSS": unix.RLIMIT_RSS,
	"RLIMIT_NPROC": unix.RLIMIT_NPROC, "RLIMIT_NOFILE": unix.RLIMIT_NOFILE, "RLIMIT_MEMLOCK": unix.RLIMIT_MEMLOCK,
	"RLIMIT_AS": unix.RLIMIT_AS, "RLIMIT_LOCKS": unix.RLIMIT_LOCKS, "RLIMIT_SIGPENDING": unix.RLIMIT_SIGPENDING,
	"RLIMIT_MSGQUEUE": unix.RLIMIT_MSGQUEUE, "RLIMIT_NICE": unix.RLIMIT_NICE, "RLIMIT_RTPRIO": unix.RLIMIT_RTPRIO,
	"RLIMIT_RTTIME": unix.RLIMIT_RTTIME,
}

func limits() map[string]Limit {
	found := map[string]Limit{}
	for name, number := range resources {
		var limit unix.Rlimit
		if unix.Getrlimit(number, &limit) == nil {
			found[name] = Limit{Soft: limit.Cur, Hard: limit.Max}
		}
	}
	return found
}

// descriptors lists the open descriptors of this process. It must run before
// anything else opens one that stays; Go's own epoll and event descriptors
// are left out, since the program under the runtime's care did not inherit them.
func descriptors() map[int]string {
	found := map[int]string{}
	for fd := range 1024 {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
			continue
		}
		target, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
		if err != nil {
			target = "?"
		}
		if target == "anon_inode:[eventpoll]" || target == "anon_inode:[eventfd]" {
			continue
		}
		found[fd] = target
	}
	return found
}

// ReadMounts parses a mountinfo file.
func ReadMounts(path string) ([]Mount, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var mounts []Mount
	scan := bufio.NewScanner(file)
	scan.Buffer(nil, 1<<20)
	for scan.Scan() {
		if mount, ok := parseMount(scan.Text()); ok {
			mounts = append(mounts, mount)
		}
	}
	return mounts, scan.Err()
}

func parseMount(line string) (Mount, bool) {
	before, after, found := strings.Cut(line, " - ")
	left, right := strings.Fields(before), strings.Fields(after)
	if !found || len(left) < 6 || len(right) < 3 {
		return Mount{}, false
	}
	mount := Mount{
		Device: left[2], Root: unescape(left[3]), Point: unescape(left[4]),
		Options: strings.Split(left[5], ","), Optional: left[6:],
		Type: right[0], Source: unescape(right[1]), SuperOptions: strings.Split(right[2], ","),
	}
	mount.ID, _ = strconv.Atoi(left[0])
	mount.Parent, _ = strconv.Atoi(left[1])
	return mount, true
}

// unescape undoes the octal escapes of mountinfo: space, tab, newline, backslash.
func unescape(text string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(text)
}

func lines(path string) []string {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	return strings.Split(strings.TrimRight(string(text), "\n"), "\n")
}

func firstLine(path string) string {
	found := lines(path)
	if len(found) == 0 {
		return ""
	}
	return found[0]
}

func nameOf(number syscall.Errno) string {
	if name := unix.ErrnoName(number); name != "" {
		return name
	}
	return "errno " + strconv.Itoa(int(number))
}
