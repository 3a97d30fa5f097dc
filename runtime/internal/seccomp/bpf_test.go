package seccomp

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
)

// call is what a filter sees of a system call: struct seccomp_data without the instruction pointer.
type call struct {
	number, arch uint32
	args         [6]uint64
}

func (c call) String() string {
	return fmt.Sprintf("arch %#x number %#x args %#x", c.arch, c.number, c.args)
}

func (c *call) word(offset uint32) uint32 {
	switch {
	case offset == dataNumber:
		return c.number
	case offset == dataArch:
		return c.arch
	}
	v := c.args[(offset-dataArgs)/8]
	if offset%8 == 4 {
		return uint32(v >> 32)
	}
	return uint32(v)
}

// opJumpBits is an operation that runc uses and this package does not.
const opJumpBits = 0x45

// code is a filter as the tests run it.
type code []instruction

// decode reads a program and checks it as the kernel does before it takes one (bpf_check_classic, seccomp_check_filter).
func decode(t testing.TB, b []byte) code {
	t.Helper()
	var c code
	for ; len(b) >= 8; b = b[8:] {
		c = append(c, instruction{binary.LittleEndian.Uint16(b), b[2], b[3], binary.LittleEndian.Uint32(b[4:])})
	}
	if len(b) != 0 || len(c) == 0 || len(c) > maxInstructions {
		t.Fatalf("a program of %d instructions and %d bytes", len(c), len(b))
	}
	for i, in := range c {
		rest := uint64(len(c) - i - 1)
		bad := false
		switch in.op {
		case opLoad:
			bad = in.k%4 != 0 || in.k >= 64 || in.k >= 8 && in.k < dataArgs
		case opAnd:
		case opJump:
			bad = uint64(in.k) >= rest
		case opJumpEqual, opJumpGreater, opJumpNotBelow, opJumpBits:
			bad = uint64(in.yes) >= rest || uint64(in.no) >= rest
		case opReturn:
		default:
			bad = true
		}
		if bad {
			t.Fatalf("instruction %d is not allowed: %+v\n%s", i, in, c)
		}
	}
	if c[len(c)-1].op != opReturn {
		t.Fatalf("the program does not end in a return\n%s", c)
	}
	return c
}

// run is the kernel's part: what the filter returns for a call, and after how many instructions.
func (c code) run(data *call) (value uint32, steps int) {
	a := uint32(0)
	for i := 0; ; i++ {
		in := &c[i]
		steps++
		yes := false
		switch in.op {
		case opReturn:
			return in.k, steps
		case opLoad:
			a = data.word(in.k)
			continue
		case opAnd:
			a &= in.k
			continue
		case opJump:
			i += int(in.k)
			continue
		case opJumpEqual:
			yes = a == in.k
		case opJumpGreater:
			yes = a > in.k
		case opJumpNotBelow:
			yes = a >= in.k
		case opJumpBits:
			yes = a&in.k != 0
		default:
			panic(fmt.Sprintf("operation %#x", in.op))
		}
		if yes {
			i += int(in.yes)
		} else {
			i += int(in.no)
		}
	}
}

func (c code) String() string {
	var s strings.Builder
	for i, in := range c {
		switch in.op {
		case opLoad:
			fmt.Fprintf(&s, "%4d load %d\n", i, in.k)
		case opAnd:
			fmt.Fprintf(&s, "%4d and %#x\n", i, in.k)
		case opJump:
			fmt.Fprintf(&s, "%4d go to %d\n", i, i+1+int(in.k))
		case opReturn:
			fmt.Fprintf(&s, "%4d return %#x\n", i, in.k)
		default:
			word := map[uint16]string{opJumpEqual: "==", opJumpGreater: ">", opJumpNotBelow: ">=", opJumpBits: "&"}[in.op]
			fmt.Fprintf(&s, "%4d %s %#x: %d else %d\n", i, word, in.k, i+1+int(in.yes), i+1+int(in.no))
		}
	}
	return s.String()
}
