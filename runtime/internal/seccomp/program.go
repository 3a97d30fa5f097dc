package seccomp

import "encoding/binary"

// instruction is struct sock_filter (linux/filter.h).
type instruction struct {
	op      uint16
	yes, no uint8
	k       uint32
}

// Operations of classic BPF that the kernel allows in a filter (linux/bpf_common.h).
const (
	opLoad         = 0x20 // A = word at K of struct seccomp_data
	opAnd          = 0x54 // A &= K
	opJump         = 0x05
	opJumpEqual    = 0x15 // A == K
	opJumpGreater  = 0x25 // A > K, unsigned
	opJumpNotBelow = 0x35 // A >= K, unsigned
	opReturn       = 0x06
)

// Offsets in struct seccomp_data (linux/seccomp.h).
const (
	dataNumber = 0
	dataArch   = 4
	dataArgs   = 16
)

// place is an instruction, counted from the program's end. A program is built backwards, since all its jumps lead forward.
type place int

// program is a filter in the making.
type program struct {
	*rules
	code    []instruction // last one first
	returns []place       // the latest place of each returned value
	shared  []checks
}

// checks is where conditional rules are tested, for other numbers with the same rules.
type checks struct {
	outcome
	at place
}

// assemble makes the whole filter: which architecture, which number, which arguments.
func assemble(r *rules, machine []arch, set archSet) *program {
	p := &program{rules: r, code: make([]instruction, 0, 512)}
	next := p.ret(killThread)
	for i := len(machine) - 1; i >= 0; i-- {
		a := machine[i]
		if !set.has(a) || a == x32 {
			continue // x32's numbers are among x86-64's
		}
		section := p.load(dataNumber, p.tree(layOut(r, a, set)))
		next = p.branch(opJumpEqual, kinds[a].audit, section, next)
	}
	p.load(dataArch, next)
	return p
}

// tree searches the ranges for the number in A: a balanced binary tree with a return or the tests of arguments at its leaves.
func (p *program) tree(spans []span) place {
	if len(spans) == 1 {
		return p.leaf(&spans[0].outcome)
	}
	middle := len(spans) / 2
	above := p.tree(spans[middle:])
	below := p.tree(spans[:middle])
	return p.branch(opJumpNotBelow, spans[middle].first, above, below)
}

func (p *program) leaf(o *outcome) place {
	if o.constant() {
		return p.ret(o.value)
	}
	for _, c := range p.shared {
		if c.outcome == *o {
			return c.at
		}
	}
	next := p.ret(o.value)
	if o.muxed != 0 {
		list := p.multiplexed(int(o.muxed))
		for i := len(list) - 1; i >= 0; i-- {
			next = p.check(&list[i], o.narrow, next)
		}
	}
	next = p.checkAll(o.rules, o.narrow, next)
	p.shared = append(p.shared, checks{*o, next})
	return next
}

// checkAll tests a list of rules from its first on; where none matches it goes on at next.
func (p *program) checkAll(first int32, narrow bool, next place) place {
	var list [64]int32 // on the stack: most lists are short
	order := list[:0]
	for c := first; c != 0; c = p.list[c-1].next {
		order = append(order, c)
	}
	for i := len(order) - 1; i >= 0; i-- {
		next = p.check(&p.list[order[i]-1], narrow, next)
	}
	return next
}

// check returns a rule's value if all of its tests hold, and goes on at next if one does not.
func (p *program) check(c *conditional, narrow bool, next place) place {
	yes := p.ret(c.value)
	for i := len(c.tests) - 1; i >= 0; i-- {
		yes = p.compare(&c.tests[i], narrow, yes, next)
	}
	return yes
}

// emit puts an instruction before all others.
func (p *program) emit(i instruction) place {
	p.code = append(p.code, i)
	return p.last()
}

func (p *program) last() place { return place(len(p.code) - 1) }

// skip is how many instructions the next emitted one would jump over to reach a place.
func (p *program) skip(to place) int { return int(p.last() - to) }

// ret gives a place that returns a value: an earlier one where that is near.
func (p *program) ret(value uint32) place {
	for i, at := range p.returns {
		if p.code[at].k == value {
			if p.skip(at) > 128 {
				p.returns[i] = p.emit(instruction{op: opReturn, k: value})
			}
			return p.returns[i]
		}
	}
	at := p.emit(instruction{op: opReturn, k: value})
	p.returns = append(p.returns, at)
	return at
}

// again makes a place reachable from right here: by a copy of a return, or by a long jump.
func (p *program) again(to place) place {
	if i := p.code[to]; i.op == opReturn {
		return p.ret(i.k)
	}
	return p.emit(instruction{op: opJump, k: uint32(p.skip(to))})
}

// farthest is how many instructions a conditional jump can skip.
const farthest = 255

// branch goes on at yes or at no, which may be too far for a conditional jump.
func (p *program) branch(op uint16, k uint32, yes, no place) place {
	if p.skip(yes) >= farthest { // one less than possible: reaching no may need one more
		yes = p.again(yes)
	}
	if p.skip(no) > farthest {
		no = p.again(no)
	}
	return p.emit(instruction{op, uint8(p.skip(yes)), uint8(p.skip(no)), k})
}

// load reads a word of struct seccomp_data and goes on at next, which must come right behind.
func (p *program) load(offset uint32, next place) place {
	p.follow(next)
	return p.emit(instruction{op: opLoad, k: offset})
}

// follow makes a place the one that the next emitted instruction falls into.
func (p *program) follow(next place) {
	if next == p.last() {
		return
	}
	if i := p.code[next]; i.op == opReturn {
		p.emit(i)
		return
	}
	p.emit(instruction{op: opJump, k: uint32(p.skip(next))})
}

// bytes is the program as the kernel takes it.
func (p *program) bytes() []byte {
	b := make([]byte, 0, 8*len(p.code))
	for i := len(p.code) - 1; i >= 0; i-- {
		c := &p.code[i]
		b = binary.LittleEndian.AppendUint16(b, c.op)
		b = append(b, c.yes, c.no)
		b = binary.LittleEndian.AppendUint32(b, c.k)
	}
	return b
}
