package cgroup

import (
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"

	"github.com/berth-oci/berth/runtime/internal/kernel"
)

// insn is one eBPF instruction (linux/bpf.h, struct bpf_insn).
type insn struct {
	code uint8
	dst  uint8
	src  uint8
	off  int16
	imm  int32
}

// The instructions a device program needs.
const (
	ldxW    = 0x61 // dst = *(u32 *)(src + off)
	movX    = 0xbf // dst = src
	movK    = 0xb7 // dst = imm
	and32K  = 0x54
	rsh32K  = 0x74
	andK    = 0x57
	jneK    = 0x55 // if dst != imm goto off (64 bit, imm sign-extended)
	jne32K  = 0x56 // the same on the lower 32 bits
	jeqK    = 0x15
	exit    = 0x95
	typeBlk = 1 // BPF_DEVCG_DEV_BLOCK
	typeChr = 2 // BPF_DEVCG_DEV_CHAR
)

// Registers of a device program.
const (
	r0      = iota // the verdict
	r1             // the context
	rType          // the node's type
	rLeft          // rights that are asked for and not yet granted
	rMajor         // the node's major number
	rMinor         // the node's minor number
	rHit           // scratch
	ctxType = 0
	ctxMaj  = 4
	ctxMin  = 8
)

// deviceProgram compiles rules to a program of type BPF_PROG_TYPE_CGROUP_DEVICE. It walks the rules from the last to the
// first with the set of rights that nobody has decided yet. A denying rule that matches the node and one of them ends it
// with no; an allowing one takes its rights out of the set, and an empty set ends it with yes. So each right is decided by
// the last rule that matches it, which is the order config-linux.md asks for, and no wildcard has to be split.
func deviceProgram(rules []Rule) []byte {
	p := []insn{
		{ldxW, rType, r1, ctxType, 0},
		{movX, rLeft, rType, 0, 0},
		{and32K, rType, 0, 0, 0xffff},
		{rsh32K, rLeft, 0, 0, 16},
		{ldxW, rMajor, r1, ctxMaj, 0},
		{ldxW, rMinor, r1, ctxMin, 0},
	}
	for i := len(rules) - 1; i >= 0; i-- {
		p = append(p, ruleProgram(rules[i])...)
		if rules[i].everything() {
			break // the end of its block decides everything; verifiers refuse unreachable instructions
		}
	}
	if n := len(rules); n == 0 || !endsAll(rules) {
		p = append(p, verdict(0)...)
	}
	return encode(p)
}

func endsAll(rules []Rule) bool {
	for _, r := range rules {
		if r.everything() {
			return true
		}
	}
	return false
}

func verdict(v int32) []insn { return []insn{{movK, r0, 0, 0, v}, {exit, 0, 0, 0, 0}} }

// ruleProgram is one rule's block; a test that fails jumps to its end.
func ruleProgram(r Rule) []insn {
	if r.everything() {
		return verdict(map[bool]int32{true: 1, false: 0}[r.Allow])
	}
	var act []insn
	if r.Allow {
		act = append([]insn{{andK, rLeft, 0, 0, int32(allAccess &^ r.Access)}, {jneK, rLeft, 0, 2, 0}}, verdict(1)...)
	} else {
		act = append([]insn{{movX, rHit, rLeft, 0, 0}, {andK, rHit, 0, 0, int32(r.Access)}, {jeqK, rHit, 0, 2, 0}}, verdict(0)...)
	}
	var tests []insn
	if r.Type != 'a' {
		tests = append(tests, insn{jne32K, rType, 0, 0, map[byte]int32{'b': typeBlk, 'c': typeChr}[r.Type]})
	}
	if r.Major != anyNumber {
		tests = append(tests, insn{jne32K, rMajor, 0, 0, int32(uint32(r.Major))})
	}
	if r.Minor != anyNumber {
		tests = append(tests, insn{jne32K, rMinor, 0, 0, int32(uint32(r.Minor))})
	}
	for i := range tests {
		tests[i].off = int16(len(tests) - i - 1 + len(act))
	}
	return append(tests, act...)
}

func encode(p []insn) []byte {
	b := make([]byte, 0, 8*len(p))
	for _, i := range p {
		b = append(b, i.code, i.src<<4|i.dst)
		b = binary.LittleEndian.AppendUint16(b, uint16(i.off))
		b = binary.LittleEndian.AppendUint32(b, uint32(i.imm))
	}
	return b
}

// attachDevices loads the rules' program and puts it in the place of the one attached to the group before.
func attachDevices(dir string, rules []Rule) error {
	s, err := beginSwap(dir, rules)
	if err != nil {
		return err
	}
	defer s.close()
	return s.finish()
}

// deviceSwap puts one device program in the place of another in two steps. Between them both are in force, which allows what
// both allow: no device that is allowed before and after fails, and what the new rules deny is denied already.
type deviceSwap struct {
	group, prog int
	old         []uint32 // programs that were attached before, ours and others'
}

// beginSwap attaches the rules' program. BPF_F_ALLOW_MULTI leaves others' programs, as systemd's, where they are: the kernel
// asks all of them, and each can only take away.
func beginSwap(dir string, rules []Rule) (*deviceSwap, error) {
	s := &deviceSwap{prog: -1}
	var err error
	if s.group, err = openFile(dir, syscall.O_RDONLY|syscall.O_DIRECTORY); err != nil {
		return nil, fmt.Errorf("open %s: %w", dir, err)
	}
	if err := s.attach(rules); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *deviceSwap) attach(rules []Rule) (err error) {
	if s.prog, err = kernel.LoadDeviceProgram(deviceProgram(rules)); err != nil {
		return fmt.Errorf("load the device program: %w", err)
	}
	if s.old, err = kernel.DevicePrograms(s.group); err != nil {
		return fmt.Errorf("list the device programs: %w", err)
	}
	if err := kernel.AttachDeviceProgram(s.group, s.prog); err != nil {
		return fmt.Errorf("attach the device program: %w", err)
	}
	return nil
}

// finish detaches the former program.
func (s *deviceSwap) finish() error {
	for _, id := range s.old {
		if err := detachOwn(s.group, id); err != nil && !errors.Is(err, syscall.ENOENT) {
			return fmt.Errorf("detach the former device program: %w", err)
		}
	}
	return nil
}

// undo detaches the new program.
func (s *deviceSwap) undo() error {
	if err := kernel.DetachDeviceProgram(s.group, s.prog); err != nil {
		return fmt.Errorf("cannot restore the device rules: %w", err)
	}
	return nil
}

func (s *deviceSwap) close() {
	for _, fd := range []int{s.group, s.prog} {
		if fd >= 0 {
			syscall.Close(fd)
		}
	}
}

// detachOwn detaches a program if it is one of ours.
func detachOwn(group int, id uint32) error {
	fd, err := kernel.OpenProgram(id)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	name, err := kernel.ProgramName(fd)
	if err != nil || name != kernel.DeviceProgramName {
		return err
	}
	return kernel.DetachDeviceProgram(group, fd)
}
