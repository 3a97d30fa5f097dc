package probe

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Stat describes a file without following a final symbolic link.
type Stat struct {
	Type   string `json:"type"` // file dir symlink char block fifo socket
	Mode   uint32 `json:"mode"` // permission, set-id and sticky bits
	UID    int    `json:"uid"`
	GID    int    `json:"gid"`
	Major  uint32 `json:"major"`
	Minor  uint32 `json:"minor"`
	Size   int64  `json:"size"`
	Target string `json:"target,omitempty"` // of a symbolic link
	FS     int64  `json:"fs"`               // statfs magic of the filesystem it is on
}

// verbs is the table of operations. Each performs one attempt and returns
// the kernel's answer.
var verbs = map[string]func(Op, *Result) error{
	"facts": func(_ Op, r *Result) error { r.Facts = collect(); return nil },
	"stat":  func(op Op, r *Result) (err error) { r.Stat, err = stat(op.Path); return err },
	"read":  readFile,
	"list":  listDir,
	// label marks a place in a shared log: which hook, which step.
	"label":  func(op Op, r *Result) error { r.Label = op.Data; return nil },
	"stdin":  readStdin,
	"append": func(op Op, _ *Result) error { return writeFile(op, os.O_WRONLY|os.O_APPEND) },
	"write":  func(op Op, _ *Result) error { return writeFile(op, os.O_WRONLY) },
	"create": func(op Op, _ *Result) error { return writeFile(op, os.O_WRONLY|os.O_CREATE|os.O_TRUNC) },
	"open":   func(op Op, _ *Result) error { return openClose(op.Path, os.O_RDONLY) },
	"openw":  func(op Op, _ *Result) error { return openClose(op.Path, os.O_WRONLY) },
	"openrw": func(op Op, _ *Result) error { return openClose(op.Path, os.O_RDWR) },
	"mkdir":  func(op Op, _ *Result) error { return unix.Mkdir(op.Path, 0o755) },
	"remove": func(op Op, _ *Result) error { return os.Remove(op.Path) },
	"chmod":  func(op Op, _ *Result) error { return unix.Chmod(op.Path, uint32(op.num(0))) },
	"mknod":  func(op Op, _ *Result) error { return unix.Mknod(op.Path, uint32(op.num(0)), int(op.num(1))) },
	"mount": func(op Op, _ *Result) error {
		return unix.Mount(op.arg(0), op.Path, op.arg(1), uintptr(op.num(0)), op.Data)
	},
	"umount":      func(op Op, _ *Result) error { return unix.Unmount(op.Path, int(op.num(0))) },
	"sethostname": func(op Op, _ *Result) error { return unix.Sethostname([]byte(op.Data)) },
	"exec":        execChild,
	"become":      func(op Op, _ *Result) error { return syscall.Exec(op.Path, op.Args, os.Environ()) },
	"syscall":     rawSyscall,
	"sleep":       func(op Op, _ *Result) error { time.Sleep(time.Duration(op.num(0)) * time.Millisecond); return nil },
	"await":       await,
	"signals":     awaitSignal,
	"spawn":       spawn,
	"fork":        forkMany,
	"allocate":    allocate,
	"enter":       enter,
	"exit":        func(op Op, _ *Result) error { os.Exit(int(op.num(0))); return nil },
	"suicide":     func(op Op, _ *Result) error { return unix.Kill(os.Getpid(), unix.Signal(op.num(0))) },
	"shm":         sharedMemory,
	"mempolicy":   memoryPolicy,
	"cmdline":     commandLine,
	"veth":        makeVeth,
	"links":       func(_ Op, r *Result) error { r.Links = interfaces(); return nil },
}

func (op Op) num(i int) uint64 {
	if i < len(op.Nums) {
		return op.Nums[i]
	}
	return 0
}

func (op Op) arg(i int) string {
	if i < len(op.Args) {
		return op.Args[i]
	}
	return ""
}

func stat(path string) (*Stat, error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return nil, err
	}
	found := &Stat{
		Mode: st.Mode & 0o7777, UID: int(st.Uid), GID: int(st.Gid), Size: st.Size,
		Major: unix.Major(uint64(st.Rdev)), Minor: unix.Minor(uint64(st.Rdev)),
		Type: map[uint32]string{
			unix.S_IFREG: "file", unix.S_IFDIR: "dir", unix.S_IFLNK: "symlink", unix.S_IFCHR: "char",
			unix.S_IFBLK: "block", unix.S_IFIFO: "fifo", unix.S_IFSOCK: "socket",
		}[st.Mode&unix.S_IFMT],
	}
	if found.Type == "symlink" {
		found.Target, _ = os.Readlink(path)
	}
	var fs unix.Statfs_t
	if unix.Statfs(path, &fs) == nil {
		found.FS = int64(fs.Type)
	}
	return found, nil
}

func readFile(op Op, r *Result) error {
	file, err := os.OpenFile(op.Path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	limit := int64(64 << 10)
	if n := op.num(0); n > 0 {
		limit = int64(n)
	}
	text, err := io.ReadAll(io.LimitReader(file, limit))
	r.Text, r.Num = string(text), uint64(len(text))
	return err
}

func listDir(op Op, r *Result) error {
	entries, err := os.ReadDir(op.Path)
	for _, entry := range entries {
		r.Names = append(r.Names, entry.Name())
	}
	return err
}

func readStdin(_ Op, r *Result) error {
	text, err := io.ReadAll(io.LimitReader(os.Stdin, 1<<20))
	r.Stdin = string(text)
	return err
}

func writeFile(op Op, flags int) error {
	file, err := os.OpenFile(op.Path, flags|unix.O_NONBLOCK, 0o644)
	if err != nil {
		return err
	}
	_, err = file.WriteString(op.Data)
	return errors.Join(err, file.Close())
}

func openClose(path string, flags int) error {
	fd, err := unix.Open(path, flags|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

// execChild runs Path with Args and reports its output, and its exit code as Num.
func execChild(op Op, r *Result) error {
	cmd := &exec.Cmd{Path: op.Path, Args: op.Args}
	output, err := cmd.Output()
	r.Text = string(output)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		r.Num = uint64(exit.ExitCode())
		return nil
	}
	return err
}

// rawSyscall performs the system call Nums[0] with up to six arguments.
func rawSyscall(op Op, r *Result) error {
	a := make([]uintptr, 7)
	for i := range min(len(op.Nums), 7) {
		a[i] = uintptr(op.Nums[i])
	}
	value, _, errno := unix.Syscall6(a[0], a[1], a[2], a[3], a[4], a[5], a[6])
	r.Num = uint64(value)
	if errno != 0 {
		return errno
	}
	return nil
}

// await blocks until Path exists, at most a minute.
func await(op Op, _ *Result) error {
	for range 6000 {
		if _, err := os.Stat(op.Path); err == nil {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return unix.ETIMEDOUT
}

// awaitSignal announces that it is ready by creating Path (where given),
// blocks until a signal arrives and reports its number as Num.
func awaitSignal(op Op, r *Result) error {
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGUSR1, unix.SIGUSR2)
	if op.Path != "" {
		if err := os.WriteFile(op.Path, nil, 0o666); err != nil {
			return err
		}
	}
	got := <-caught
	r.Num = uint64(got.(syscall.Signal))
	return nil
}

// spawn starts the probe again with Args[0] as its operations and leaves it running.
func spawn(op Op, r *Result) error {
	cmd := &exec.Cmd{Path: op.Path, Args: []string{Path, op.arg(0)}, Stdout: os.Stdout}
	if err := cmd.Start(); err != nil {
		return err
	}
	r.Num = uint64(cmd.Process.Pid)
	return nil
}

// forkMany starts up to Nums[0] sleeping children, reports how many started
// and ends them. The first refusal is the answer.
func forkMany(op Op, r *Result) error {
	var children []*exec.Cmd
	defer func() {
		for _, child := range children {
			child.Process.Kill()
			child.Wait()
		}
	}()
	pause := Args(Op{Do: "sleep", Nums: []uint64{60000}})
	for range op.num(0) {
		child := &exec.Cmd{Path: op.Path, Args: pause}
		if err := child.Start(); err != nil {
			return err
		}
		children = append(children, child)
		r.Num++
	}
	return nil
}

// allocate touches Nums[0] bytes of memory.
func allocate(op Op, r *Result) error {
	memory, err := unix.Mmap(-1, 0, int(op.num(0)), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return err
	}
	for i := 0; i < len(memory); i += os.Getpagesize() {
		memory[i] = 1
		r.Num = uint64(i)
	}
	return unix.Munmap(memory)
}

// enter joins the namespaces whose files are in Args and becomes the program
// Path with the rest of the arguments after "--". The thread that joined is
// the one that executes, so the program starts inside all of them.
func enter(op Op, _ *Result) error {
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("cannot unshare filesystem attributes: %w", err)
	}
	for i, path := range op.Args {
		if path == "--" {
			return syscall.Exec(op.Path, op.Args[i+1:], os.Environ())
		}
		if err := join(path); err != nil {
			return fmt.Errorf("cannot join %s: %w", path, err)
		}
	}
	return errors.New("no program to become")
}

func join(path string) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Setns(fd, 0)
}

// sharedMemory creates (Data "create") or looks up a System V segment with
// the key Nums[0]; the segment shows whether two processes share an ipc namespace.
func sharedMemory(op Op, r *Result) error {
	flags := uint64(0o600)
	if op.Data == "create" {
		flags |= unix.IPC_CREAT
	}
	id, _, errno := unix.Syscall(unix.SYS_SHMGET, uintptr(op.num(0)), 4096, uintptr(flags))
	if errno != 0 {
		return errno
	}
	if op.Data == "remove" {
		_, _, errno = unix.Syscall(unix.SYS_SHMCTL, id, unix.IPC_RMID, 0)
	}
	r.Num = uint64(id)
	if errno != 0 {
		return errno
	}
	return nil
}

// memoryPolicy reports the NUMA policy lines of the process as Text.
func memoryPolicy(_ Op, r *Result) error {
	text, err := os.ReadFile("/proc/self/numa_maps")
	if err != nil {
		return err
	}
	first, _, _ := strings.Cut(string(text), "\n")
	r.Text = first
	return nil
}

// commandLine reports the command line of the process whose id is in the file Path.
func commandLine(op Op, r *Result) error {
	pid, err := os.ReadFile(op.Path)
	if err != nil {
		return err
	}
	text, err := os.ReadFile("/proc/" + strings.TrimSpace(string(pid)) + "/cmdline")
	r.Text = string(text)
	return err
}
