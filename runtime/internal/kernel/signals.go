package kernel

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Signals are signals of this process that no longer do what they would by themselves, but can be read from a pipe.
//
// The handler is a system call and no more: it writes the signal's number into the pipe. os/signal would do the same by a thread
// of its own and a change of threads for each signal that is asked for and given back, in all a millisecond or two of a
// program that runs for twenty. At most one value is there at a time, and nothing else may ask for the same signals by
// os/signal meanwhile.
type Signals struct {
	list []syscall.Signal
	old  []sigaction
	pipe [2]int
}

// sigaction is what rt_sigaction(2) reads and writes, alike on amd64 and arm64.
type sigaction struct {
	handler  uintptr
	flags    uint64
	restorer uintptr
	mask     uint64
}

// Flags of sigaction (asm/signal.h). On amd64 the kernel wants a restorer; on arm64 it has its own.
const (
	saRestorer = 0x04000000
	saOnstack  = 0x08000000 // a goroutine's stack is too small to be interrupted on
	saRestart  = 0x10000000
)

// signalPipe is where the handler writes to, and signalHandlers how many of it are at work, each on a thread of its own.
var (
	signalPipe     int32 = -1
	signalHandlers int32
)

func signalHandlerAddress() uintptr

func signalRestorerAddress() uintptr

// CatchSignals begins to catch the signals, whatever happened at them before, and even if they were ignored. The caller closes
// it.
func CatchSignals(list ...syscall.Signal) (*Signals, error) {
	s := &Signals{list: list, old: make([]sigaction, len(list))}
	if err := unix.Pipe2(s.pipe[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return nil, fmt.Errorf("cannot make a pipe for signals: %w", err)
	}
	atomic.StoreInt32(&signalPipe, int32(s.pipe[1]))
	action := sigaction{handler: signalHandlerAddress(), flags: saOnstack | saRestart, mask: ^uint64(0)}
	if runtime.GOARCH == "amd64" {
		action.flags |= saRestorer
		action.restorer = signalRestorerAddress()
	}
	for i, sig := range list {
		if err := rtSigaction(sig, &action, &s.old[i]); err != nil {
			s.list = list[:i]
			s.Close()
			return nil, fmt.Errorf("cannot catch signal %d: %w", sig, err)
		}
	}
	return s, nil
}

func rtSigaction(sig syscall.Signal, action, old *sigaction) error {
	_, _, e := syscall.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(action)), uintptr(unsafe.Pointer(old)), 8, 0, 0)
	if e != 0 {
		return e
	}
	return nil
}

// FD becomes readable when a signal has been caught.
func (s *Signals) FD() int { return s.pipe[0] }

// Next is a signal that was caught, the oldest first; 0 if there is none.
func (s *Signals) Next() syscall.Signal {
	var b [1]byte
	for {
		switch n, err := unix.Read(s.pipe[0], b[:]); {
		case err == unix.EINTR:
		case err != nil || n != 1:
			return 0
		default:
			return syscall.Signal(b[0])
		}
	}
}

// Close gives the signals back what they did before. Those that were caught and not read are lost.
func (s *Signals) Close() {
	for i, sig := range s.list {
		_ = rtSigaction(sig, &s.old[i], nil) // as it was read: the kernel has nothing to refuse
	}
	atomic.StoreInt32(&signalPipe, -1)
	for atomic.LoadInt32(&signalHandlers) != 0 { // one that counts itself from now on finds no pipe
		syscall.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0)
	}
	unix.Close(s.pipe[0])
	unix.Close(s.pipe[1])
}
