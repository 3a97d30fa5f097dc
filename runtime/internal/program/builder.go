package program

import (
	"encoding/binary"
	"fmt"
	"syscall"

	"github.com/berth-oci/berth/runtime/internal/stub"
)

// arg is an argument of an operation: a value, a register, or data whose address is known once all operations are.
type arg struct {
	value uint64
	kind  argKind
}

type argKind uint8

const (
	isValue argKind = iota
	isRegister
	isData
	isSpace
)

// reg is a register that holds an earlier result.
type reg int

func (r reg) arg() arg { return arg{uint64(r), isRegister} }
func imm[T ~int | ~uint32 | ~uint64 | ~uintptr | ~int32 | ~int64](v T) arg {
	return arg{value: uint64(v)}
}

// address is where a register lies, for calls that fill it.
func (r reg) address() arg { return imm(stub.RegisterAddress(int(r))) }

// noFD is AT_FDCWD: paths count from the working directory.
const noFD = -100

// label is a place in the program to go on at.
type label int32

// call is what the program does not say of an operation, and what is not known of it while it is under construction.
type call struct {
	step      int32
	next, tol label // 0: none
	data      uint8 // bit N: Args[N] is an offset into the data
	space     uint8 // bit N: Args[N] is an offset into the space behind it
}

// builder collects operations and their data.
type builder struct {
	ops       []stub.Op
	calls     []call // one for each of ops
	data      []byte
	zeros     uint64   // size of the space behind the data
	pointers  []uint32 // offsets in data at which an offset into data stands, to become an address
	strings   map[string]uint32
	labels    []int // operation each label stands for
	step      int32
	used      uint64 // registers in use
	registers [stub.Registers]uint64
	err       error
}

// newBuilder has room for a program of so many steps at about eight operations each, and for the signals and capabilities of every
// process. Growing would touch all of it again, while memory that nobody touches costs nothing.
func newBuilder(steps int) *builder {
	operations := 8*steps + 256
	return &builder{
		labels:  append(make([]int, 0, steps), -1),
		strings: make(map[string]uint32, 2*steps),
		ops:     make([]stub.Op, 0, operations),
		calls:   make([]call, 0, operations),
		data:    make([]byte, 0, 1<<14),
	}
}

// firstReserved: registers from here on have a meaning of their own.
const firstReserved = 56

const (
	regMessage = 56 // and 57: what a barrier says
	regRoot    = 58 // descriptor of the root filesystem
	regStart   = 59 // connection of start
)

// take gives a free register.
func (b *builder) take() reg {
	for r := range firstReserved {
		if b.used&(1<<r) == 0 {
			b.used |= 1 << r
			return reg(r)
		}
	}
	b.fail("the plan needs more registers than there are")
	return 0
}

func (b *builder) free(registers ...reg) {
	for _, r := range registers {
		b.used &^= 1 << r
	}
}

func (b *builder) fail(format string, args ...any) {
	if b.err == nil {
		b.err = fmt.Errorf(format, args...)
	}
}

// str places a string, once however often it is used.
func (b *builder) str(s string) arg {
	if o, ok := b.strings[s]; ok {
		return arg{uint64(o), isData}
	}
	o := uint32(len(b.data))
	b.strings[s] = o
	b.data = append(append(b.data, s...), 0)
	return arg{uint64(o), isData}
}

// bytes places data, aligned to eight.
func (b *builder) bytes(p []byte) arg {
	b.align()
	o := len(b.data)
	b.data = append(b.data, p...)
	return arg{uint64(o), isData}
}

// words places numbers of eight bytes.
func (b *builder) words(w ...uint64) arg {
	b.align()
	o := len(b.data)
	for _, v := range w {
		b.data = binary.LittleEndian.AppendUint64(b.data, v)
	}
	return arg{uint64(o), isData}
}

// space reserves n zero bytes behind the data, which take no room in the image.
func (b *builder) space(n int) arg {
	o := b.zeros
	b.zeros += uint64(n+7) &^ 7
	return arg{o, isSpace}
}

// vector places a null-terminated array of pointers to strings, as execve(2) wants them.
func (b *builder) vector(list []string) arg {
	offsets := make([]uint64, len(list)+1)
	for i, s := range list {
		offsets[i] = b.str(s).value
	}
	v := b.words(offsets...)
	for i := range list {
		b.pointers = append(b.pointers, uint32(v.value)+uint32(i)*8)
	}
	return v
}

// repoint makes a pointer at an offset of a placed datum point to another.
func (b *builder) repoint(at arg, offset int, to arg) {
	binary.LittleEndian.PutUint64(b.data[at.value+uint64(offset):], to.value)
}

// pointer makes the eight bytes at an offset of a placed datum point to another.
func (b *builder) pointer(at arg, offset int, to arg) {
	b.repoint(at, offset, to)
	b.pointers = append(b.pointers, uint32(at.value)+uint32(offset))
}

// within is a place inside a datum.
func (a arg) within(offset uint64) arg { a.value += offset; return a }

func (b *builder) align() {
	for len(b.data)%8 != 0 {
		b.data = append(b.data, 0)
	}
}

// handle refers to a call until the next is made, to say more about it.
type handle struct {
	b *builder
	i int
}

func (b *builder) call(number uint64, args ...arg) handle {
	i := len(b.ops)
	b.ops = append(b.ops, stub.Op{Number: number, Save: stub.RegVoid})
	op, c := &b.ops[i], call{step: b.step}
	for i, a := range args {
		op.Args[i] = a.value
		switch a.kind {
		case isRegister:
			op.Use |= 1 << i
		case isData:
			c.data |= 1 << i
		case isSpace:
			c.space |= 1 << i
		}
	}
	b.calls = append(b.calls, c)
	return handle{b, i}
}

func (h handle) save(r reg) handle   { h.b.ops[h.i].Save = uint32(r); return h }
func (h handle) least(n int) handle  { h.b.ops[h.i].Least = int64(n); return h }
func (h handle) then(l label) handle { h.b.calls[h.i].next = l; return h }
func (h handle) retry(e syscall.Errno) handle {
	h.b.ops[h.i].Retry = uint32(e)
	return h
}

// tolerate lets the program go on after these errnos, at most three.
func (h handle) tolerate(errnos ...syscall.Errno) handle {
	list := &h.b.ops[h.i].Errnos
	for _, e := range errnos {
		free := 0
		for list[free] != 0 {
			free++
		}
		list[free] = uint32(e)
	}
	return h
}

// orElse says where to go on after a tolerated errno.
func (h handle) orElse(l label) handle { h.b.calls[h.i].tol = l; return h }

func (b *builder) label() label {
	b.labels = append(b.labels, -1)
	return label(len(b.labels) - 1)
}

// here places a label before the next operation.
func (b *builder) here(l label) { b.labels[l] = len(b.calls) }

func (b *builder) jump(l label) { b.call(stub.Move).then(l) }

// raise fails with an errno.
func (b *builder) raise(e syscall.Errno) { b.call(stub.Move, imm(-int64(e))) }

func (b *builder) set(r reg, v arg) { b.call(stub.Move, v).save(r) }

// expect goes on if *at & mask == want, and fails with the errno otherwise, which the handle may tolerate.
func (b *builder) expect(at arg, mask, want uint64, e syscall.Errno) handle {
	return b.call(stub.Test, at, imm(mask), imm(want), imm(int64(e)))
}

func (b *builder) close(r reg) { b.call(stub.SysClose, r.arg()) }

// Program is a plan made executable.
type Program struct {
	Image stub.Image
	calls []call
}

// Len is the number of operations.
func (p *Program) Len() int { return len(p.calls) }

// Fail makes operation i fail with an errno instead of doing what it does: fault injection for tests.
func (p *Program) Fail(i int, errno syscall.Errno) {
	p.Image.Ops[i] = stub.Op{Number: stub.Move, Args: [6]uint64{uint64(-int64(errno))}, Save: stub.RegVoid}
}

// Stall makes operation i fill the pipe of one page that is open as fd, and so wait until somebody reads it, instead of doing
// what it does: how a test knows that a process is there, and keeps it there.
func (p *Program) Stall(i, fd int) {
	const twoPages = 8192 // of whatever lies there; a program is longer
	p.Image.Ops[i] = stub.Op{Number: stub.SysWrite, Args: [6]uint64{uint64(fd), stub.Address(0), twoPages}, Save: stub.RegVoid}
}

// StepOf is the plan's step that operation i belongs to.
func (p *Program) StepOf(i int) int { return int(p.calls[i].step) }

// Step says which step of the plan an offset in a failure report belongs to, or -1.
func (p *Program) Step(offset uint64) int {
	if i := stub.OpIndex(offset); i >= 0 && i < len(p.calls) {
		return p.StepOf(i)
	}
	return -1
}

// Offset is where a step's first operation lies, as a failure report names it.
func (p *Program) Offset(step int) uint64 {
	for i := range p.calls {
		if p.StepOf(i) == step {
			return uint64(stub.OpOffset(i))
		}
	}
	return 0
}

// layout turns labels and data offsets into addresses.
func (b *builder) layout() (*Program, error) {
	if b.err != nil {
		return nil, b.err
	}
	b.align()
	base := stub.DataOffset(len(b.ops))
	space := base + uint32(len(b.data))
	for _, o := range b.pointers {
		at := b.data[o:]
		binary.LittleEndian.PutUint64(at, stub.Address(base+uint32(binary.LittleEndian.Uint64(at))))
	}
	for i := range b.calls {
		op, c := &b.ops[i], &b.calls[i]
		for a := range op.Args {
			if c.data&(1<<a) != 0 {
				op.Args[a] = stub.Address(base + uint32(op.Args[a]))
			}
			if c.space&(1<<a) != 0 {
				op.Args[a] = stub.Address(space + uint32(op.Args[a]))
			}
		}
		op.Next, op.NextTol = b.target(c.next), b.target(c.tol)
	}
	return &Program{stub.Image{Registers: b.registers, Ops: b.ops, Data: b.data, Zeros: b.zeros}, b.calls}, nil
}

func (b *builder) target(l label) uint32 {
	if l == 0 {
		return 0
	}
	return stub.OpOffset(b.labels[l])
}
