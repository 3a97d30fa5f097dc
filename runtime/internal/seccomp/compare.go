package seccomp

import specs "github.com/opencontainers/runtime-spec/specs-go"

// comparison says whether a word names one.
func comparison(op specs.LinuxSeccompOperator) bool {
	switch op {
	case specs.OpNotEqual, specs.OpLessThan, specs.OpLessEqual, specs.OpEqualTo, specs.OpGreaterEqual, specs.OpGreaterThan, specs.OpMaskedEqual:
		return true
	}
	return false
}

// compare tests one argument, unsigned. BPF has words of 32 bits: a 64-bit argument is compared in halves, the upper one
// first. Of a value for a narrow argument only the lower half counts, as with libseccomp: profiles write -1 both ways.
func (p *program) compare(a *specs.LinuxSeccompArg, narrow bool, yes, no place) place {
	switch a.Op {
	case specs.OpEqualTo:
		return p.equal(a, ^uint64(0), a.Value, narrow, yes, no)
	case specs.OpNotEqual:
		return p.equal(a, ^uint64(0), a.Value, narrow, no, yes)
	case specs.OpMaskedEqual:
		return p.equal(a, a.Value, a.ValueTwo&a.Value, narrow, yes, no)
	case specs.OpGreaterThan:
		return p.order(a, opJumpGreater, narrow, yes, no)
	case specs.OpGreaterEqual:
		return p.order(a, opJumpNotBelow, narrow, yes, no)
	case specs.OpLessEqual:
		return p.order(a, opJumpGreater, narrow, no, yes)
	default: // specs.OpLessThan; collect has let no other word pass
		return p.order(a, opJumpNotBelow, narrow, no, yes)
	}
}

// lower and upper are where the halves of an argument are.
func lower(a *specs.LinuxSeccompArg) uint32 { return dataArgs + 8*uint32(a.Index) }
func upper(a *specs.LinuxSeccompArg) uint32 { return lower(a) + 4 }

// equal tests argument & mask == value.
func (p *program) equal(a *specs.LinuxSeccompArg, mask, value uint64, narrow bool, yes, no place) place {
	at := p.half(lower(a), uint32(mask), uint32(value), yes, no)
	if !narrow && mask>>32 != 0 {
		at = p.half(upper(a), uint32(mask>>32), uint32(value>>32), at, no)
	}
	return at
}

func (p *program) half(offset, mask, value uint32, yes, no place) place {
	at := p.branch(opJumpEqual, value, yes, no)
	if mask != ^uint32(0) {
		at = p.emit(instruction{op: opAnd, k: mask})
	}
	return p.load(offset, at)
}

// order tests argument > value or argument >= value.
func (p *program) order(a *specs.LinuxSeccompArg, op uint16, narrow bool, yes, no place) place {
	at := p.load(lower(a), p.branch(op, uint32(a.Value), yes, no))
	if !narrow {
		at = p.branch(opJumpEqual, uint32(a.Value>>32), at, no)
		at = p.load(upper(a), p.branch(opJumpGreater, uint32(a.Value>>32), yes, at))
	}
	return at
}
