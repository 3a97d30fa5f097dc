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

// Image is a program for the stub: the data segment of an ELF file that has the interpreter for code.
//
// Offsets in operations count from the segment's base: the registers, then the operations, then the data, which begins at
// [DataOffset], then so many zero bytes of memory. Both architectures are little-endian, so that operations and registers are
// written as they lie in memory; a program has some seventy kilobytes, and to copy them costs what it costs to make them.
type Image struct {
	Registers [Registers]uint64
	Ops       []Op
	Data      []byte
	Zeros     uint64
}

// Size is the file's, in bytes.
func (m *Image) Size() int { return fileData + m.segment() }

func (m *Image) segment() int { return opsOffset + len(m.Ops)*OpSize + len(m.Data) }

// part is a piece of the file; what lies between two of them is zero.
type part struct {
	at   int
	data []byte
}

func (m *Image) parts() []part {
	interpreter := code()
	head := make([]byte, codeOffset, codeOffset+len(interpreter))
	header(head, uint64(m.segment()), m.Zeros)
	list := []part{
		{0, append(head, interpreter...)},
		{fileData, unsafe.Slice((*byte)(unsafe.Pointer(&m.Registers)), opsOffset)},
	}
	if len(m.Ops) > 0 {
		list = append(list, part{fileData + opsOffset, unsafe.Slice((*byte)(unsafe.Pointer(&m.Ops[0])), len(m.Ops)*OpSize)})
	}
	if len(m.Data) > 0 {
		list = append(list, part{fileData + int(DataOffset(len(m.Ops))), m.Data})
	}
	return list
}

// An operation has no padding, and is as large as the interpreter takes it to be.
var _ [OpSize]byte = [unsafe.Sizeof(Op{})]byte{}

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
