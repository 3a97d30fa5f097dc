package seccomp

import specs "github.com/opencontainers/runtime-spec/specs-go"

// outcome is what happens to a system call: the value of the first conditional rule that matches, else value.
type outcome struct {
	value  uint32
	rules  int32 // as said.first
	muxed  int16 // a row: the rules of the calls that are made through this one come after its own; 0: none are
	narrow bool  // arguments have 32 bits
}

func (o *outcome) constant() bool { return o.rules == 0 && o.muxed == 0 }

// span begins a range of numbers with one outcome; the next span ends it.
type span struct {
	first uint32
	outcome
}

// layout is the ranges of one value of seccomp_data.arch, in order.
type layout struct {
	*rules
	spans []span
}

// layOut divides all 2³² numbers of an architecture into ranges. Those of x86-64 include x32's, which are the author's too
// if the profile lists x32, and otherwise are calls by a foreign architecture; -1 is no call but a tracer's way to skip one.
func layOut(r *rules, a arch, set archSet) []span {
	l := &layout{rules: r, spans: make([]span, 0, 256)}
	l.lay(a)
	if a == x8664 {
		if set.has(x32) {
			l.lay(x32)
		} else {
			l.add(x32Bit, outcome{value: killThread})
			l.add(0xffffffff, outcome{value: r.fallback})
		}
	}
	return l.spans
}

// add begins a range, or lengthens the one before it where both end the same.
func (l *layout) add(first uint32, o outcome) {
	n := len(l.spans)
	if n > 0 && l.spans[n-1].first == first {
		n--
		l.spans = l.spans[:n]
	}
	if n > 0 && o.constant() && l.spans[n-1].constant() && l.spans[n-1].value == o.value {
		return
	}
	l.spans = append(l.spans, span{first, o})
}

// lay adds an architecture's ranges.
func (l *layout) lay(a arch) {
	b := l.background(a)
	breaks := b.breaks()
	for _, row := range byNumber[a] {
		o := l.outcome(int(row), a)
		if !l.said[row].named && o.constant() {
			continue
		}
		n := uint32(rows[row].numbers[a])
		for len(breaks) > 0 && breaks[0] <= n {
			l.add(breaks[0], outcome{value: b.at(breaks[0])})
			breaks = breaks[1:]
		}
		l.add(n, o)
		l.add(n+1, outcome{value: b.at(n + 1)})
	}
	for _, n := range breaks {
		l.add(n, outcome{value: b.at(n)})
	}
}

// outcome is that of one system call.
func (l *layout) outcome(row int, a arch) outcome {
	s := &l.said[row]
	if s.decided {
		return outcome{value: s.value}
	}
	o := outcome{value: l.fallback, rules: s.first, narrow: kinds[a].narrow}
	if a == x86 && (row == rowSocketcall || row == rowIpc) && l.multiplexed(row) != nil {
		o.muxed = int16(row)
	}
	return o
}

// multiplexed are the rules of the calls that 32-bit x86 makes through socketcall(2) or ipc(2). Only which call it is can be
// tested: its arguments are in memory. As with libseccomp a rule's test of the first argument is then lost, and its
// others are made on what socketcall itself gets: who lists x86 and tests a socket call's arguments should know that.
func (r *rules) multiplexed(row int) (list []conditional) {
	base := int32(0)
	if row == rowIpc {
		base = 100
	}
	for i := range rows {
		n := int32(rows[i].mux) - base
		if n <= 0 || n >= 100 {
			continue
		}
		which := specs.LinuxSeccompArg{Index: 0, Op: specs.OpEqualTo, Value: uint64(n)}
		s := &r.said[i]
		if s.decided {
			list = append(list, conditional{value: s.value, tests: []specs.LinuxSeccompArg{which}})
		}
		for c := s.first; c != 0; c = r.list[c-1].next {
			tests := []specs.LinuxSeccompArg{which}
			for _, t := range r.list[c-1].tests {
				if t.Index != 0 {
					tests = append(tests, t)
				}
			}
			list = append(list, conditional{value: r.list[c-1].value, tests: tests})
		}
	}
	return list
}

// background is what happens to numbers that the profile does not name: the default action, or ENOSYS for those above the
// highest it names. Such a call is newer than the profile, and a program that tries it must learn that it is missing, and not
// that it is forbidden, to fall back to the older one (as in runc; a profile that is permitting by default needs no such care).
// Numbers of a range of the architecture's own are no measure of age and have their own highest.
type background struct {
	base, private         uint32
	newest, newestPrivate uint32 // 0: none is named
	value, beyond         uint32
}

func (l *layout) background(a arch) background {
	b := background{base: kinds[a].base, private: kinds[a].private, value: l.fallback, beyond: l.fallback}
	if permits(l.fallback) {
		return b
	}
	b.beyond = errno | enosys
	for _, row := range byNumber[a] {
		if !l.said[row].named {
			continue
		}
		if n := uint32(rows[row].numbers[a]); b.private != 0 && n >= b.private {
			b.newestPrivate = n
		} else {
			b.newest = n
		}
	}
	return b
}

// at is what happens to one number.
func (b *background) at(n uint32) uint32 {
	newest := b.newest
	if b.newestPrivate != 0 && n >= b.private {
		newest = b.newestPrivate
	}
	if newest != 0 && n > newest {
		return b.beyond
	}
	return b.value
}

// breaks are the numbers at which it may change, in order.
func (b *background) breaks() []uint32 {
	breaks := []uint32{b.base}
	if b.newest != 0 {
		breaks = append(breaks, b.newest+1)
	}
	if b.newestPrivate != 0 {
		breaks = append(breaks, b.private, b.newestPrivate+1)
	}
	return breaks
}
