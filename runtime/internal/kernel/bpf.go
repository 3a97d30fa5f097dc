package kernel

import (
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// bpfAttrSize is the size of union bpf_attr in Linux 6.12. Every call passes a zeroed union of the full size, never a part
// of it: a kernel that reads further than a caller wrote would read what happens to lie there.
const bpfAttrSize = 168

// bpfAttr is union bpf_attr, as words and half-words at the offsets of linux/bpf.h.
type bpfAttr [bpfAttrSize]byte

func (a *bpfAttr) u32(off int, v uint32) { *(*uint32)(unsafe.Pointer(&a[off])) = v }
func (a *bpfAttr) u64(off int, v uint64) { *(*uint64)(unsafe.Pointer(&a[off])) = v }
func (a *bpfAttr) at(off int) uint32     { return *(*uint32)(unsafe.Pointer(&a[off])) }

// bpf calls bpf(2). A kernel that knows fewer bytes than the union has accepts the rest because it is zero.
func bpf(cmd uintptr, a *bpfAttr) (int, error) {
	for {
		r, _, e := syscall.Syscall(unix.SYS_BPF, cmd, uintptr(unsafe.Pointer(a)), bpfAttrSize)
		if e == 0 {
			return int(r), nil
		}
		if e != syscall.EINTR && e != syscall.EAGAIN { // EAGAIN: a signal came while the program was verified
			return -1, e
		}
	}
}

// address is the number that a pointer inside the union is. Pinning keeps the target where it is until the call is over.
func address[T any](pin *runtime.Pinner, p *T) uint64 {
	pin.Pin(p)
	return uint64(uintptr(unsafe.Pointer(p)))
}

// DeviceProgramName is the name by which LoadDeviceProgram's programs are told from others'.
const DeviceProgramName = "berth_devices"

// LoadDeviceProgram loads a program of type BPF_PROG_TYPE_CGROUP_DEVICE and returns its close-on-exec descriptor.
func LoadDeviceProgram(code []byte) (int, error) {
	license := []byte("Apache-2.0\x00")
	var pin runtime.Pinner
	defer pin.Unpin()
	var a bpfAttr
	a.u32(0, unix.BPF_PROG_TYPE_CGROUP_DEVICE)
	a.u32(4, uint32(len(code)/8))
	a.u64(8, address(&pin, &code[0]))
	a.u64(16, address(&pin, &license[0]))
	copy(a[48:63], DeviceProgramName)
	return bpf(unix.BPF_PROG_LOAD, &a)
}

// AttachDeviceProgram attaches a loaded program to the group whose directory group is open, beside others.
func AttachDeviceProgram(group, prog int) error {
	var a bpfAttr
	a.u32(0, uint32(group))
	a.u32(4, uint32(prog))
	a.u32(8, unix.BPF_CGROUP_DEVICE)
	a.u32(12, unix.BPF_F_ALLOW_MULTI)
	_, err := bpf(unix.BPF_PROG_ATTACH, &a)
	return err
}

// DetachDeviceProgram takes a program off the group.
func DetachDeviceProgram(group, prog int) error {
	var a bpfAttr
	a.u32(0, uint32(group))
	a.u32(4, uint32(prog))
	a.u32(8, unix.BPF_CGROUP_DEVICE)
	_, err := bpf(unix.BPF_PROG_DETACH, &a)
	return err
}

// DevicePrograms lists the ids of the programs attached to the group itself.
func DevicePrograms(group int) ([]uint32, error) {
	ids := make([]uint32, 64) // BPF_CGROUP_MAX_PROGS
	var pin runtime.Pinner
	defer pin.Unpin()
	var a bpfAttr
	a.u32(0, uint32(group))
	a.u32(4, unix.BPF_CGROUP_DEVICE)
	a.u64(16, address(&pin, &ids[0]))
	a.u32(24, uint32(len(ids)))
	_, err := bpf(unix.BPF_PROG_QUERY, &a)
	if err != nil {
		return nil, err
	}
	return ids[:a.at(24)], nil
}

// OpenProgram opens a program by its id.
func OpenProgram(id uint32) (int, error) {
	var a bpfAttr
	a.u32(0, id)
	return bpf(unix.BPF_PROG_GET_FD_BY_ID, &a)
}

// ProgramName is the name a program was loaded with (struct bpf_prog_info of linux/bpf.h).
func ProgramName(prog int) (string, error) {
	const size, name = 80, 64
	info := make([]byte, size)
	var pin runtime.Pinner
	defer pin.Unpin()
	var a bpfAttr
	a.u32(0, uint32(prog))
	a.u32(4, size)
	a.u64(8, address(&pin, &info[0]))
	if _, err := bpf(unix.BPF_OBJ_GET_INFO_BY_FD, &a); err != nil {
		return "", err
	}
	return unix.ByteSliceToString(info[name:]), nil
}
