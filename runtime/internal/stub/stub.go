// Package stub is the program that becomes a container's first process: a static ELF image made in memory, of some eighty
// instructions that execute a list of system calls.
//
// The parties: the runtime (trusted, on the host) writes the list; the stub (the same bytes on every run of an
// architecture) executes it inside new namespaces, single-threaded, without a stack, a heap or a language runtime; the
// container's program, which is not trusted, replaces it by execve and finds nothing of either. The image lives in a sealed
// memfd, so /proc/self/exe of the new process never leads to the runtime's own binary (CVE-2019-5736).
package stub

import (
	"bytes"
	"encoding/binary"
	"unsafe"
)

func interpreterAddress() *byte

var (
	endMark     = []byte{0xde, 0xad, 0xbe, 0xef}
	handlerMark = []byte{0x0f, 0x0b, 0x0f, 0x0b}
)

// code cuts the interpreter's instructions out of this very program. It is position-independent but for the base.
func code() []byte {
	all := unsafe.Slice(interpreterAddress(), 1024)
	return all[:bytes.Index(all, endMark)]
}

// HandlerAddress is a signal handler that exits with 128 plus the signal's number: how a process that waits to be
// started can be killed although it is the first of its PID namespace, for whom default actions do not hold.
func HandlerAddress() uint64 {
	return codeBase + codeOffset + uint64(bytes.Index(code(), handlerMark)+len(handlerMark))
}

// Image is the ELF file of these operations, as [NewFile] lays it out.
func Image(ops []Op, registers [Registers]uint64, data []byte, zeros uint64) []byte {
	f := NewFile(registers, len(ops), len(data), zeros)
	for i := range ops {
		f = f.Op(&ops[i])
	}
	return f.Data(data)
}

// File is an ELF file under construction: the interpreter, then the data segment of registers, operations and data.
type File []byte

// NewFile begins the file of so many operations and bytes of data, which are to follow in this order; so many zero bytes
// of memory come behind them. Offsets in operations count from the segment's base; the data begins at [DataOffset].
func NewFile(registers [Registers]uint64, ops, data int, zeros uint64) File {
	size := opsOffset + ops*OpSize + data
	f := make(File, fileData, fileData+size)
	header(f, uint64(size), zeros)
	copy(f[codeOffset:], code())
	for _, r := range registers {
		f = binary.LittleEndian.AppendUint64(f, r)
	}
	return f
}

// Op appends an operation.
func (f File) Op(o *Op) File { return o.append(f) }

// Data appends the data, after which the file is complete.
func (f File) Data(data []byte) []byte { return append(f, data...) }

// DataOffset is where the data begins behind n operations, in bytes from the base.
func DataOffset(n int) uint32 { return OpOffset(n) }

// header writes the ELF header and three program headers: code, data, and a stack that is not executable. Segments are
// aligned to 64 KiB, the largest page of an arm64 kernel.
func header(f []byte, size, zeros uint64) {
	le := binary.LittleEndian
	copy(f, "\x7fELF\x02\x01\x01")
	le.PutUint16(f[16:], 2) // ET_EXEC
	le.PutUint16(f[18:], machine)
	le.PutUint32(f[20:], 1)
	le.PutUint64(f[24:], codeBase+codeOffset) // entry
	le.PutUint64(f[32:], 64)                  // program headers follow
	le.PutUint16(f[52:], 64)
	le.PutUint16(f[54:], 56)
	le.PutUint16(f[56:], 3)
	segment := func(i int, kind, flags uint32, offset, address, size, memory uint64) {
		p := f[64+56*i:]
		le.PutUint32(p, kind)
		le.PutUint32(p[4:], flags)
		le.PutUint64(p[8:], offset)
		le.PutUint64(p[16:], address)
		le.PutUint64(p[24:], address)
		le.PutUint64(p[32:], size)
		le.PutUint64(p[40:], memory)
		le.PutUint64(p[48:], 0x10000)
	}
	const load, stack, readExec, readWrite = 1, 0x6474e551, 5, 6
	segment(0, load, readExec, 0, codeBase, fileData, fileData)
	segment(1, load, readWrite, fileData, dataBase, size, size+zeros)
	segment(2, stack, readWrite, 0, 0, 0, 0)
}

// Replace puts another operation in the place of operation i of an image: how tests make any one of them fail.
func Replace(image []byte, i int, o Op) {
	at := fileData + int(OpOffset(i))
	o.append(image[at:at])
}
