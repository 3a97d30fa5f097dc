package vm

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/berth-oci/berth/conformance/vm/wire"
)

// Descriptors that qemu inherits.
const (
	initramfsFD = 3
	portFD      = 4
)

// emulator describes how qemu emulates an architecture.
var emulators = map[string]struct {
	program, machine, cpu, console, debian string
}{
	// cmpxchg16b, which kernels use where they find it, leaves stale flags behind in qemu 7.2 (Debian 12's): an interrupt
	// at the wrong moment then sets the guest's trap flag, and its kernel panics.
	"amd64": {"qemu-system-x86_64", "q35", "max,-cx16", "ttyS0", "qemu-system-x86"},
	// Of the models, max spends much of its time on pointer authentication.
	"arm64": {"qemu-system-aarch64", "virt", "cortex-a72", "ttyAMA0", "qemu-system-arm"},
}

// arguments returns qemu's command line. The console is qemu's standard output; the job's port is a socket.
func (m Machine) arguments(k kernel) []string {
	e := emulators[m.Arch]
	cpu := m.CPU
	if cpu == "" {
		cpu = e.cpu
	}
	// A panic ends the machine at once; loglevel 4 keeps warnings and worse. On a busy host timers come late, which the
	// kernel must not take for broken ones.
	line := strings.TrimSpace("console=" + e.console + " loglevel=4 panic=-1 no_timer_check " + m.systemdWords() + m.Append)
	return []string{
		"-machine", e.machine, "-cpu", cpu, "-accel", "tcg,thread=multi",
		"-smp", strconv.Itoa(m.CPUs), "-m", strconv.Itoa(m.Memory),
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-serial", "stdio",
		"-chardev", fmt.Sprintf("socket,id=job,fd=%d", portFD),
		"-device", "virtio-serial-pci", "-device", "virtserialport,chardev=job,name=" + wire.Port,
		"-kernel", k.image, "-initrd", fmt.Sprintf("/dev/fd/%d", initramfsFD), "-append", line,
	}
}

// emulator finds qemu's program for the machine.
func (m Machine) emulator() (string, error) {
	e := emulators[m.Arch]
	program, err := exec.LookPath(e.program)
	if err != nil {
		return "", &Unavailable{What: "an emulated " + m.Arch + " machine", Err: err, Remedy: "install the package " + e.debian}
	}
	return program, nil
}

// process is a running qemu.
type process struct {
	kill    func()
	done    chan struct{} // closed when it has ended
	console *console
	stderr  *console
	state   *os.ProcessState // how it ended; read after done
}

// start runs qemu. It dies with this process, however that dies: PR_SET_PDEATHSIG is tied to the thread that forks, so
// one is kept for it.
func (m Machine) start(k kernel, initramfs, port *os.File) (*process, error) {
	program, err := m.emulator()
	if err != nil {
		return nil, err
	}
	p := &process{done: make(chan struct{}), console: &console{also: m.Console}, stderr: &console{}}
	cmd := exec.Command(program, m.arguments(k)...)
	cmd.ExtraFiles = []*os.File{initramfs, port}
	cmd.Stdout, cmd.Stderr = p.console, p.stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // its error is the state's
			p.state = cmd.ProcessState
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", program, err)
	}
	p.kill = func() { _ = cmd.Process.Kill() }
	return p, nil
}

// story tells what is known of a machine that ended or hangs, for an error's second line.
func (p *process) story() string {
	var b strings.Builder
	if s := p.console.panic(); s != "" {
		fmt.Fprintf(&b, ": %s", s)
	}
	if s := p.stderr.tail(5); s != "" {
		fmt.Fprintf(&b, "\nqemu: %s", s)
	}
	if s := p.console.tail(30); s != "" {
		fmt.Fprintf(&b, "\nthe console's last lines:\n%s", s)
	} else {
		b.WriteString("\nthe console is empty")
	}
	return b.String()
}

// console keeps the last of what is written to it.
type console struct {
	mu   sync.Mutex
	buf  []byte
	also io.Writer
}

const consoleKeep = 64 << 10

func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.buf = append(c.buf, p...)
	if len(c.buf) > 2*consoleKeep {
		c.buf = append([]byte(nil), c.buf[len(c.buf)-consoleKeep:]...)
	}
	if c.also != nil {
		_, _ = c.also.Write(p) // a broken log must not end the machine
	}
	return len(p), nil
}

func (c *console) tail(lines int) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return tail(string(bytes.ReplaceAll(c.buf, []byte("\r"), nil)), lines)
}

// panic returns the kernel's word of why it gave up.
func (c *console) panic() string {
	for line := range strings.Lines(c.tail(1000)) {
		if i := strings.Index(line, "Kernel panic"); i >= 0 {
			return strings.TrimSpace(line[i:])
		}
	}
	return ""
}

// socketpair returns two connected sockets, ours in Go's poller and the other to be inherited.
func socketpair() (ours, theirs *os.File, err error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	if err := syscall.SetNonblock(fds[0], true); err != nil {
		return nil, nil, errors.Join(err, syscall.Close(fds[0]), syscall.Close(fds[1]))
	}
	return os.NewFile(uintptr(fds[0]), "vm-port"), os.NewFile(uintptr(fds[1]), "vm-port-guest"), nil
}
