package seccomp

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-oci/berth/runtime/internal/seccomp/dockerprofile"
)

func docker(t testing.TB, machine string) *specs.LinuxSeccomp {
	t.Helper()
	p, err := dockerprofile.For(machine)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Every number of every architecture, with arguments at and around the values that the profile tests, gets the same answer
// from this package's filter and from libseccomp's.
func TestDockersProfileIsLibseccomps(t *testing.T) {
	l := openLibrary(t)
	for _, machine := range []string{"amd64", "arm64"} {
		p, unknown := l.known(*docker(t, machine))
		t.Logf("%s: left out, since this libseccomp does not know them: %v", machine, unknown)
		if n := len(unknown); n > 60 {
			t.Errorf("%d calls cannot be compared", n)
		}
		calls, conditional := l.same(t, p, machine, rand.New(rand.NewPCG(1, 2)))
		t.Logf("%s: %d calls compared, %d of them with arguments that matter", machine, calls, conditional)
		if conditional < 1000 {
			t.Errorf("only %d calls had arguments that matter", conditional)
		}
	}
}

// same compares the two filters of a profile.
func (l *library) same(t *testing.T, p *specs.LinuxSeccomp, machine string, r *rand.Rand) (calls, conditional int) {
	t.Helper()
	program, refused := l.compile(t, p, archsOf(machine))
	if refused != nil {
		t.Fatalf("libseccomp refuses: %v", refused)
	}
	return l.sameAs(t, p, machine, program, r)
}

func (l *library) sameAs(t *testing.T, p *specs.LinuxSeccomp, machine string, program []byte, r *rand.Rand) (calls, conditional int) {
	t.Helper()
	f, err := Compile(p, machine)
	if err != nil {
		t.Fatal(err)
	}
	if f.Unknown != nil {
		t.Errorf("unknown to this package and not to libseccomp: %v", f.Unknown)
	}
	ours, theirs := decode(t, f.Program), decode(t, program)
	set := wanted(p, archsOf(machine))
	newer, pools := l.newer(p, set), l.values(p)
	for _, audit := range []uint32{tokens[x8664], tokens[x86], tokens[arm64], tokens[arm], 0, 0xc0000015} {
		for _, n := range interesting(theirs) {
			for _, args := range arguments(pools[n], r) {
				c := call{n, audit, args}
				got, _ := ours.run(&c)
				want, _ := theirs.run(&c)
				if newer(&c) {
					want = errno | enosys
				}
				if calls++; got != want {
					text, _ := json.Marshal(p)
					t.Fatalf("%s: %v: returns %#x, libseccomp's %#x\n%.3000s\n%s", machine, &c, got, want, text, theirs)
				}
			}
		}
	}
	for n := range pools {
		conditional += len(arguments(pools[n], r))
	}
	return calls, conditional
}

// interesting are all numbers that any architecture uses or may come to use, the ends of the ranges, and what libseccomp's
// filter itself compares with.
func interesting(theirs code) []uint32 {
	var all []uint32
	for _, base := range []uint32{0, x32Bit} {
		for n := range uint32(1024) {
			all = append(all, base|n)
		}
	}
	for n := range uint32(16) {
		all = append(all, 0xf0000+n)
	}
	all = append(all, 0xeffff, 0x3fffffff, 0x7fffffff, 0x80000000, 0x80000001, 0xbfffffff, 0xc0000000, 0xfffffffe, 0xffffffff)
	for _, in := range theirs {
		if in.op == opJumpEqual || in.op == opJumpGreater || in.op == opJumpNotBelow {
			all = append(all, in.k-1, in.k, in.k+1)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// values are those that the profile compares an argument with, per number of any architecture.
func (l *library) values(p *specs.LinuxSeccomp) map[uint32][]uint64 {
	pools := map[uint32][]uint64{}
	for _, s := range p.Syscalls {
		for _, name := range s.Names {
			for _, n := range l.numbers[name] {
				for _, a := range s.Args {
					if n < 0 { // multiplexed
						for _, mux := range []uint32{102, 117} {
							pools[mux] = append(pools[mux], a.Value, a.ValueTwo, uint64(-n%100))
						}
						continue
					}
					pools[uint32(n)] = append(pools[uint32(n)], a.Value, a.ValueTwo)
				}
			}
		}
	}
	return pools
}

// arguments are sets of arguments around the given values: every single one at every place, and mixed at random.
func arguments(pool []uint64, r *rand.Rand) (all [][6]uint64) {
	all = append(all, [6]uint64{}, [6]uint64{^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)})
	for n := range uint64(26) { // socketcall's and ipc's first argument
		all = append(all, [6]uint64{n, r.Uint64(), r.Uint64()})
	}
	if pool == nil {
		return all
	}
	around := []uint64{0, 1, ^uint64(0)}
	for _, v := range pool {
		around = append(around, v, v-1, v+1, v|1<<32, v^1<<63, v^1<<31, ^v, v<<32, v>>1, v&0xffffffff, v|0xffffffff00000000)
	}
	if len(around) > 64 {
		r.Shuffle(len(around), func(i, j int) { around[i], around[j] = around[j], around[i] })
		around = around[:64]
	}
	for _, v := range around {
		for i := range 6 {
			var args [6]uint64
			for j := range args {
				args[j] = around[r.IntN(len(around))]
			}
			args[i] = v
			all = append(all, args)
		}
	}
	return all
}
