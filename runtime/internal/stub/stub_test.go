package stub

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// run executes a program with one pipe as descriptor 3, and returns what it wrote there and its exit status.
func run(t *testing.T, ops []Op, data []byte) ([]byte, int) {
	t.Helper()
	image := Image{Ops: ops, Data: data}
	image.Registers[RegReport] = 3
	fd, err := Carry("test", &image)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(Path(fd))
	cmd.ExtraFiles = []*os.File{w}
	err = cmd.Run()
	w.Close()
	out := make([]byte, 4096)
	n, _ := r.Read(out)
	r.Close()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out[:n], cmd.ProcessState.ExitCode()
}

func exit(status uint64) Op { return Op{Number: SysExitGroup, Args: [6]uint64{status}} }

func TestProgramRunsOperationsInOrder(t *testing.T) {
	ops := []Op{
		{Number: SysGetpid, Save: 5},
		{Number: SysWrite, Args: [6]uint64{3, Address(DataOffset(3)), 5}, Least: 5},
		exit(7),
	}
	out, status := run(t, ops, []byte("hello"))
	if string(out) != "hello" || status != 7 {
		t.Fatalf("wrote %q, exit %d", out, status)
	}
}

func TestFailureReportsOperationAndErrno(t *testing.T) {
	ops := []Op{{Number: SysGetpid, Save: RegVoid}, {Number: SysClose, Args: [6]uint64{999}}, exit(0)}
	out, status := run(t, ops, nil)
	if len(out) != 16 || status != 1 {
		t.Fatalf("wrote %d bytes, exit %d", len(out), status)
	}
	if i := OpIndex(binary.LittleEndian.Uint64(out)); i != 1 {
		t.Errorf("operation %d, want 1", i)
	}
	if e := syscall.Errno(binary.LittleEndian.Uint64(out[8:])); e != syscall.EBADF {
		t.Errorf("errno %v, want EBADF", e)
	}
}

func TestToleratedErrnoBranches(t *testing.T) {
	for i := range 3 {
		o := Op{Number: SysClose, Args: [6]uint64{999}, NextTol: OpOffset(2)}
		o.Errnos[i] = uint32(syscall.EBADF)
		if _, status := run(t, []Op{o, exit(1), exit(42)}, nil); status != 42 {
			t.Errorf("errno in place %d: exit %d, want 42", i, status)
		}
	}
}

func TestRegistersCarryResults(t *testing.T) {
	for arg := range 5 {
		ops := []Op{{Number: Move, Args: [6]uint64{55}, Save: 9}, {Number: SysPrctl, Use: 1 << arg, Save: 10}, exit(3)}
		ops[1].Args = [6]uint64{38, 0, 0, 0, 0} // PR_SET_NO_NEW_PRIVS demands zeros: a register with 55 makes it fail
		ops[1].Args[arg] = 9
		if out, _ := run(t, ops, nil); len(out) != 16 {
			t.Errorf("argument %d was not read from the register", arg)
		}
	}
	ops := []Op{{Number: Move, Args: [6]uint64{44}, Save: 9}, {Number: SysExitGroup, Args: [6]uint64{9}, Use: 1}}
	if _, status := run(t, ops, nil); status != 44 {
		t.Errorf("exit %d, want 44", status)
	}
}

func TestTestComparesUnderAMask(t *testing.T) {
	data := binary.LittleEndian.AppendUint64(nil, 0xff12)
	test := Op{Number: Test, Args: [6]uint64{Address(DataOffset(3)), 0xff, 0x12, uint64(syscall.EINVAL)}}
	if _, status := run(t, []Op{test, exit(5), exit(6)}, data); status != 5 {
		t.Errorf("equal: exit %d, want 5", status)
	}
	test.Args[2] = 0x13
	out, _ := run(t, []Op{test, exit(5), exit(6)}, data)
	if len(out) != 16 || out[8] != byte(syscall.EINVAL) {
		t.Errorf("different: report %x", out)
	}
}

func TestShortResultIsAFailure(t *testing.T) {
	ops := []Op{{Number: SysWrite, Args: [6]uint64{3, Address(DataOffset(2)), 1}, Least: 2}, exit(0)}
	out, status := run(t, ops, []byte("x"))
	if status != 1 || len(out) != 17 || out[9] != byte(syscall.EPIPE) {
		t.Errorf("report %x, exit %d", out, status)
	}
}

func TestJumpAfterSuccess(t *testing.T) {
	if _, status := run(t, []Op{{Number: Move, Next: OpOffset(2)}, exit(1), exit(8)}, nil); status != 8 {
		t.Errorf("exit %d, want 8", status)
	}
}

func TestHandlerTurnsSignalIntoStatus(t *testing.T) {
	act := binary.LittleEndian.AppendUint64(nil, HandlerAddress())
	act = binary.LittleEndian.AppendUint64(act, SigactionFlags)
	act = binary.LittleEndian.AppendUint64(act, HandlerAddress())
	act = binary.LittleEndian.AppendUint64(act, 0)
	ops := []Op{
		{Number: SysRtSigaction, Args: [6]uint64{uint64(syscall.SIGTERM), Address(DataOffset(4)), 0, 8}},
		{Number: SysGetpid, Save: 9},
		{Number: SysKill, Args: [6]uint64{9, uint64(syscall.SIGTERM)}, Use: 1},
		exit(0),
	}
	if _, status := run(t, ops, act); status != 128+15 {
		t.Errorf("exit %d, want 143", status)
	}
}

func TestImageIsAStaticELF(t *testing.T) {
	image := Image{Ops: []Op{exit(0)}, Data: []byte("data")}
	fd, err := Carry("test", &image)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	file, err := os.ReadFile(Path(fd))
	if err != nil {
		t.Fatal(err)
	}
	if len(file) != image.Size() || !bytes.HasSuffix(file, image.Data) {
		t.Errorf("the file has %d bytes, want %d, of which the data are the last", len(file), image.Size())
	}
	f, err := elf.NewFile(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_LOAD && (p.Align != 0x10000 || p.Off%p.Align != p.Vaddr%p.Align) {
			t.Errorf("segment at %#x is not aligned for pages of 64 KiB", p.Vaddr)
		}
		if p.Flags&elf.PF_W != 0 && p.Flags&elf.PF_X != 0 {
			t.Errorf("segment at %#x is writable and executable", p.Vaddr)
		}
	}
	if n := len(code()); n > fileData-codeOffset || n < 100 {
		t.Errorf("the interpreter has %d bytes", n)
	}
}

func TestCarrierIsSealed(t *testing.T) {
	fd, err := Carry("test", &Image{Ops: []Op{exit(0)}})
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if _, err := unix.Pwrite(fd, []byte("y"), 0); err != unix.EPERM {
		t.Errorf("writing a sealed image: %v, want EPERM", err)
	}
	if err := unix.Ftruncate(fd, 0); err != unix.EPERM {
		t.Errorf("cutting a sealed image: %v, want EPERM", err)
	}
}
