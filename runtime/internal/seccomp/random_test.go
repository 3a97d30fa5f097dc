package seccomp

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

var (
	everyAction   = []specs.LinuxSeccompAction{specs.ActKill, specs.ActKillProcess, specs.ActKillThread, specs.ActTrap, specs.ActErrno, specs.ActTrace, specs.ActAllow, specs.ActLog, specs.ActNotify}
	everyOperator = []specs.LinuxSeccompOperator{specs.OpNotEqual, specs.OpLessThan, specs.OpLessEqual, specs.OpEqualTo, specs.OpGreaterEqual, specs.OpGreaterThan, specs.OpMaskedEqual}
)

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

// randomProfile makes a profile of some of the named calls. With plain each call is in one set of plainConditions at most.
func randomProfile(r *rand.Rand, machine string, names []string, plain bool) *specs.LinuxSeccomp {
	p := &specs.LinuxSeccomp{}
	p.DefaultAction, p.DefaultErrnoRet = randomAction(r)
	for p.DefaultAction == specs.ActNotify {
		p.DefaultAction, p.DefaultErrnoRet = randomAction(r)
	}
	for _, a := range archsOf(machine) {
		if r.IntN(2) == 0 {
			p.Architectures = append(p.Architectures, kinds[a].word)
		}
	}
	used := map[string]bool{}
	for range r.IntN(60) {
		s := specs.LinuxSyscall{}
		s.Action, s.ErrnoRet = randomAction(r)
		for range 1 + r.IntN(10) {
			if name := pick(r, names); name != "write" && !(plain && used[name]) {
				used[name] = true
				s.Names = append(s.Names, name)
			}
		}
		if len(s.Names) == 0 {
			continue
		}
		if r.IntN(3) == 0 {
			if plain {
				p.Syscalls = append(p.Syscalls, plainConditions(r, s)...)
				continue
			}
			s.Args = randomArgs(r)
		}
		p.Syscalls = append(p.Syscalls, s)
	}
	return p
}

func randomAction(r *rand.Rand) (specs.LinuxSeccompAction, *uint) {
	action := pick(r, everyAction)
	if action != specs.ActErrno && action != specs.ActTrace || r.IntN(3) == 0 {
		return action, nil
	}
	n := uint(r.IntN(200))
	return action, &n
}

// plainConditions are rules as profiles have them: several tests that must all hold, or one argument tested for several
// values. More, such as several rules about different arguments, brings libseccomp 2.5.4 to filters that let pass what no rule
// allows, and into an endless loop.
func plainConditions(r *rand.Rand, s specs.LinuxSyscall) (rules []specs.LinuxSyscall) {
	if r.IntN(2) == 0 {
		for i := range uint(6) {
			if r.IntN(3) == 0 || i == 5 && s.Args == nil {
				s.Args = append(s.Args, specs.LinuxSeccompArg{Index: i, Value: randomValue(r), ValueTwo: randomValue(r), Op: pick(r, everyOperator)})
			}
		}
		return append(rules, s)
	}
	index := uint(r.IntN(6))
	for range 1 + r.IntN(5) {
		s.Args = []specs.LinuxSeccompArg{{Index: index, Value: uint64(r.IntN(20)), Op: specs.OpEqualTo}}
		rules = append(rules, s)
	}
	return rules
}

func randomArgs(r *rand.Rand) (args []specs.LinuxSeccompArg) {
	for range 1 + r.IntN(3) {
		args = append(args, specs.LinuxSeccompArg{Index: uint(r.IntN(6)), Value: randomValue(r), ValueTwo: randomValue(r), Op: pick(r, everyOperator)})
	}
	return args
}

func randomValue(r *rand.Rand) uint64 {
	switch r.IntN(6) {
	case 0:
		return 0
	case 1:
		return ^uint64(0)
	case 2:
		return r.Uint64()
	case 3:
		return uint64(r.Uint32())
	case 4:
		return uint64(r.IntN(4)) << 31
	}
	return uint64(r.IntN(5))
}

// meaning is what a profile says about a call, worked out from the words of the specification and of docs/adr/0090 alone.
func meaning(p *specs.LinuxSeccomp, machine []arch, c *call) uint32 {
	var a arch
	fallback := wantValue(p.DefaultAction, p.DefaultErrnoRet)
	has := func(want arch) bool {
		return want == machine[0] || slices.Contains(machine, want) && slices.Contains(p.Architectures, kinds[want].word)
	}
	switch c.arch {
	case 0xc000003e:
		a = x8664
		if c.number >= 0x40000000 {
			a = x32
		}
	case 0x40000003:
		a = x86
	case 0xc00000b7:
		a = arm64
	case 0x40000028:
		a = arm
	default:
		return 0
	}
	if a == x32 && has(x8664) && !has(x32) && c.number == 0xffffffff {
		return fallback
	}
	if !has(a) {
		return 0
	}
	return meaningOn(p, a, c, fallback)
}

func meaningOn(p *specs.LinuxSeccomp, a arch, c *call, fallback uint32) uint32 {
	background := fallback
	newest, newestPrivate := int64(-1), int64(-1)
	private := map[arch]int64{x32: 0x40000200, arm: 0xf0000}[a]
	for _, s := range p.Syscalls {
		for _, name := range s.Names {
			if n := int64(rows[find(name)].numbers[a]); private != 0 && n >= private {
				newestPrivate = max(newestPrivate, n)
			} else {
				newest = max(newest, n)
			}
		}
	}
	if private != 0 && newestPrivate >= 0 && int64(c.number) >= private {
		newest = newestPrivate
	}
	if newest > 0 && int64(c.number) > newest && !permitting(fallback) {
		background = 0x50026
	}
	for i := range rows {
		if n := rows[i].numbers[a]; n < 0 || uint32(n) != c.number {
			continue
		}
		if v, ok := rulesFor(p, rows[i].name, a, c, fallback, false); ok {
			return v
		}
		base := map[string]int{"socketcall": 0, "ipc": 100}
		if b, ok := base[rows[i].name]; ok && a == x86 {
			for j := range rows {
				if mux := int(rows[j].mux); mux > b && mux < b+100 {
					background = unlessReached(p, rows[j].name, background, fallback)
				}
			}
			for j := range rows {
				if mux := int(rows[j].mux); mux > b && mux < b+100 && uint64(mux-b) == c.args[0]&0xffffffff {
					if v, ok := rulesFor(p, rows[j].name, a, c, fallback, true); ok {
						return v
					}
				}
			}
		}
	}
	return background
}

// unlessReached: a multiplexing call that some rule is about is not newer than the profile.
func unlessReached(p *specs.LinuxSeccomp, name string, background, fallback uint32) uint32 {
	for _, s := range p.Syscalls {
		if slices.Contains(s.Names, name) && wantValue(s.Action, s.ErrnoRet) != fallback {
			return fallback
		}
	}
	return background
}

// rulesFor is what the rules for one name say, in their order, those without arguments before all others.
func rulesFor(p *specs.LinuxSeccomp, name string, a arch, c *call, fallback uint32, multiplexed bool) (uint32, bool) {
	for _, conditional := range []bool{false, true} {
		for _, s := range p.Syscalls {
			value := wantValue(s.Action, s.ErrnoRet)
			if value == fallback || !slices.Contains(s.Names, name) || len(s.Args) > 0 != conditional {
				continue
			}
			left := s.Args
			if multiplexed {
				left = muxed(left)
			}
			if matches(s.Args, left, a, c) {
				return value, true
			}
		}
	}
	return 0, false
}

func permitting(value uint32) bool {
	return value&0xffff0000 == 0x7fff0000 || value&0xffff0000 == 0x7ffc0000 || value&0xffff0000 == 0x7ff00000
}

// muxed are the tests that are left of a rule once the first argument says which call is meant.
func muxed(args []specs.LinuxSeccompArg) (left []specs.LinuxSeccompArg) {
	for _, t := range args {
		if t.Index != 0 {
			left = append(left, t)
		}
	}
	return left
}

// matches says whether all tests hold, or any where the rule as written has two of one argument.
func matches(written, left []specs.LinuxSeccompArg, a arch, c *call) bool {
	count := map[uint]int{}
	anyOf := false
	for _, t := range written {
		count[t.Index]++
		anyOf = anyOf || count[t.Index] > 1
	}
	if anyOf && len(left) < len(written) {
		return true
	}
	for _, t := range left {
		if holds(t, a == x86 || a == x32 || a == arm, c.args[t.Index]) == anyOf {
			return anyOf
		}
	}
	return !anyOf
}

func holds(t specs.LinuxSeccompArg, narrow bool, v uint64) bool {
	one, two := t.Value, t.ValueTwo
	if narrow {
		v, one, two = v&0xffffffff, one&0xffffffff, two&0xffffffff
	}
	switch t.Op {
	case specs.OpNotEqual:
		return v != one
	case specs.OpLessThan:
		return v < one
	case specs.OpLessEqual:
		return v <= one
	case specs.OpEqualTo:
		return v == one
	case specs.OpGreaterEqual:
		return v >= one
	case specs.OpGreaterThan:
		return v > one
	}
	return v&one == two&one
}

// Any profile, with rules that overlap and contradict each other, means what the specification and docs/adr/0090 say.
func TestRandomProfilesMeanWhatTheySay(t *testing.T) {
	var names []string
	for i := range rows {
		names = append(names, rows[i].name)
	}
	r := rand.New(rand.NewPCG(5, 6))
	seen := map[uint32]int{}
	for range 60 {
		machine := pick(r, []string{"amd64", "arm64"})
		p := randomProfile(r, machine, names, false)
		f, err := Compile(p, machine)
		if err != nil {
			t.Fatal(err)
		}
		c := decode(t, f.Program)
		for _, call := range sample(p, machine, r) {
			got, _ := c.run(&call)
			want := meaning(p, archsOf(machine), &call)
			if seen[want]++; got != want {
				text, _ := json.Marshal(p)
				t.Fatalf("%s: %v: returns %#x, and the profile says %#x\n%.3000s\n%s", machine, &call, got, want, text, c)
			}
		}
	}
	for _, v := range []uint32{killProcess, killThread, trap, notify, log, allow, errno | enosys} {
		if seen[v] < 100 {
			t.Errorf("%#x was returned only %d times", v, seen[v])
		}
	}
}

// sample are calls of all architectures: all numbers that the profile has with arguments around its values, and some others.
func sample(p *specs.LinuxSeccomp, machine string, r *rand.Rand) (calls []call) {
	values := []uint64{0, 1, 2, 3, 11, ^uint64(0)}
	for _, s := range p.Syscalls {
		for _, a := range s.Args {
			values = append(values, a.Value, a.Value+1, a.Value-1, a.Value^1<<32, a.Value&0xffffffff, a.ValueTwo, a.Value&a.ValueTwo)
		}
	}
	add := func(audit, number uint32) {
		c := call{number: number, arch: audit}
		for i := range c.args {
			c.args[i] = pick(r, values)
		}
		calls = append(calls, c)
	}
	for _, s := range p.Syscalls {
		for _, name := range s.Names {
			for a, n := range rows[find(name)].numbers {
				for range 5 {
					if n >= 0 {
						add(tokens[a]|boolean(arch(a) == x32)<<31, uint32(n))
					} else if rows[find(name)].mux != 0 {
						add(tokens[x86], pick(r, []uint32{102, 117}))
					}
				}
			}
		}
	}
	for range 500 {
		for _, a := range archsOf(machine) {
			add(kinds[a].audit, kinds[a].base|uint32(r.IntN(600)))
		}
		add(r.Uint32(), r.Uint32())
		add(kinds[archsOf(machine)[0]].audit, r.Uint32())
		add(kinds[archsOf(machine)[0]].audit, 0xffffffff)
		add(tokens[arm], 0xf0000+uint32(r.IntN(9)))
	}
	return calls
}

func boolean(b bool) uint32 {
	if b {
		return 1
	}
	return 0
}

func TestRandomProfilesAreLibseccomps(t *testing.T) {
	l := openLibrary(t)
	var names []string
	for name := range l.numbers {
		names = append(names, name)
	}
	slices.Sort(names)
	r := rand.New(rand.NewPCG(3, 4))
	const profiles = 8
	compared, refused := 0, 0
	for range profiles {
		machine := pick(r, []string{"amd64", "arm64"})
		p := randomProfile(r, machine, names, true)
		program, no := l.compile(t, p, archsOf(machine))
		if no != nil {
			refused++
			continue
		}
		n, _ := l.sameAs(t, p, machine, program, r)
		compared += n
	}
	t.Logf("%d calls compared, %d profiles left out that libseccomp refuses", compared, refused)
	if refused > profiles/2 {
		t.Errorf("only %d profiles were compared", profiles-refused)
	}
}
