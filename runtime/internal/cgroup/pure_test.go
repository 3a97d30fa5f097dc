package cgroup

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-oci/berth/runtime/internal/host"
)

func TestSharesBecomeWeightsOnACurveThroughTheDefault(t *testing.T) {
	for shares, want := range map[uint64]uint64{0: 0, 1: 1, 2: 1, 1024: 100, 262144: 10000, 1 << 40: 10000, 2048: 174, 512: 59} {
		if got := weightFromShares(shares); got != want {
			t.Errorf("%d shares: weight %d, want %d", shares, got, want)
		}
	}
	for s, last := uint64(2), uint64(0); s <= 262144; s++ {
		w := weightFromShares(s)
		if w < last || w < 1 || w > 10000 {
			t.Fatalf("%d shares: weight %d after %d", s, w, last)
		}
		last = w
	}
}

func TestBlockWeightsSpanTheWholeRange(t *testing.T) {
	for in, want := range map[uint16]uint64{0: 0, 10: 1, 1000: 10000, 500: 4950} {
		if got := ioWeight(in); got != want {
			t.Errorf("%d: %d, want %d", in, got, want)
		}
	}
}

func TestSwapIsLessTheMemoryLimitInV2(t *testing.T) {
	for _, c := range []struct {
		swap, limit, want int64
		err               string
	}{
		{200, 100, 100, ""}, {100, 100, 0, ""}, {-1, 100, -1, ""}, {-1, 0, -1, ""},
		{50, 100, 0, "less than memory.limit"}, {200, 0, 0, "needs memory.limit"}, {200, -1, 0, "needs memory.limit"},
	} {
		got, err := swapV2(c.swap, &c.limit)
		if got != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("swap %d limit %d: %d, %v", c.swap, c.limit, got, err)
		}
	}
}

func TestQoSFollowsTheKubelet(t *testing.T) {
	memory := &specs.LinuxMemory{Limit: ptr[int64](1 << 30)}
	for _, c := range []struct {
		r    *specs.LinuxResources
		want QoS
	}{
		{nil, BestEffort},
		{&specs.LinuxResources{CPU: &specs.LinuxCPU{Shares: ptr[uint64](2)}}, BestEffort},
		{&specs.LinuxResources{CPU: &specs.LinuxCPU{Shares: ptr[uint64](512)}}, Burstable},
		{&specs.LinuxResources{Memory: memory}, Burstable},
		{&specs.LinuxResources{Memory: memory, CPU: &specs.LinuxCPU{Shares: ptr[uint64](512), Quota: ptr[int64](50000), Period: ptr[uint64](100000)}}, Guaranteed},
		{&specs.LinuxResources{Memory: memory, CPU: &specs.LinuxCPU{Shares: ptr[uint64](102), Quota: ptr[int64](10000)}}, Guaranteed},
		{&specs.LinuxResources{Memory: memory, CPU: &specs.LinuxCPU{Shares: ptr[uint64](256), Quota: ptr[int64](50000)}}, Burstable},
	} {
		if got := QoSOf(c.r); got != c.want {
			t.Errorf("%+v: %s, want %s", c.r, got, c.want)
		}
	}
}

func TestPathsStayBelowTheirStart(t *testing.T) {
	v1 := Hierarchy{Version: 1, Controllers: []string{"memory"}, Mountpoint: "/m", Root: "/", Own: "/a/b"}
	v2 := Hierarchy{Version: 2, Controllers: []string{"memory"}, Mountpoint: "/u", Root: "/", Own: "/a/b"}
	for _, c := range []struct{ path, in1, in2 string }{
		{"", "/m/a/b/id", "/u/a/id"},
		{"/x/y", "/m/x/y", "/u/x/y"},
		{"x", "/m/a/b/x", "/u/a/x"},
		{"/../../etc", "/m/etc", "/u/etc"},
		{"../../../../etc", "/m/a/b/etc", "/u/a/etc"},
		{"x/../../y", "/m/a/b/y", "/u/a/y"},
		{"//x//./y/", "/m/x/y", "/u/x/y"},
	} {
		p, err := parsePath(c.path, "id")
		if err != nil {
			t.Errorf("%q: %v", c.path, err)
			continue
		}
		d1, err1 := p.in(v1)
		d2, err2 := p.in(v2)
		if d1.Path != c.in1 || d2.Path != c.in2 || err1 != nil || err2 != nil {
			t.Errorf("%q: %s and %s, want %s and %s", c.path, d1.Path, d2.Path, c.in1, c.in2)
		}
	}
	for _, bad := range []string{"/", "/..", ".", "a\nb", "a\x00b", "/x/.."} {
		if p, err := parsePath(bad, "id"); err == nil {
			t.Errorf("%q is taken as %+v", bad, p)
		}
	}
}

func TestSavedStateCannotLeadOutOfItsHierarchy(t *testing.T) {
	for _, d := range []Dir{{1, nil, "/m", "/etc"}, {1, nil, "/m", "/m/../etc"}, {1, nil, "/m", "/m"}, {1, nil, "/m", "m/x"}} {
		if _, err := Open(State{Dirs: []Dir{d}}); err == nil {
			t.Errorf("%+v is opened", d)
		}
	}
}

func TestModeIsRead(t *testing.T) {
	w := worlds(t)
	for name, want := range map[string]host.CgroupMode{"v1": host.CgroupV1, "hybrid": host.CgroupHybrid, "v2": host.CgroupV2, "nested": host.CgroupV1} {
		if got := w[name].Mode(); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
	if (Host{}).Mode() != host.CgroupNone {
		t.Error("no hierarchy is not none")
	}
}

func TestUnknownDeviceRulesAreRefusedByName(t *testing.T) {
	for _, c := range []struct {
		rule specs.LinuxDeviceCgroup
		want string
	}{
		{specs.LinuxDeviceCgroup{Type: "c"}, "devices[0].access"},
		{specs.LinuxDeviceCgroup{Type: "c", Access: "rx"}, "devices[0].access"},
		{specs.LinuxDeviceCgroup{Type: "p", Access: "r"}, "devices[0].type"},
		{specs.LinuxDeviceCgroup{Type: "c", Major: ptr[int64](-2), Access: "r"}, "devices[0].major"},
		{specs.LinuxDeviceCgroup{Type: "c", Minor: ptr[int64](1 << 32), Access: "r"}, "devices[0].minor"},
	} {
		if _, err := parseRules([]specs.LinuxDeviceCgroup{c.rule}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c.rule, err)
		}
	}
}

// decide is the rule of config-linux.md, said in the plainest way: for each right the last matching rule counts.
func decide(rules []Rule, kind byte, major, minor int64, asked Access) bool {
	for right := Access(1); right < 1<<3; right <<= 1 {
		if asked&right == 0 {
			continue
		}
		allowed := false
		for _, r := range rules {
			if (r.Type == 'a' || r.Type == kind) && (r.Major == anyNumber || r.Major == major) &&
				(r.Minor == anyNumber || r.Minor == minor) && r.Access&right != 0 {
				allowed = r.Allow
			}
		}
		if !allowed {
			return false
		}
	}
	return true
}

// interpret runs a device program.
func interpret(code []byte, kind byte, major, minor uint32, asked Access) (bool, error) {
	var reg [11]uint64
	ctx := [3]uint32{uint32(asked)<<16 | map[byte]uint32{'b': 1, 'c': 2}[kind], major, minor}
	for pc, steps := 0, 0; pc*8 < len(code); pc, steps = pc+1, steps+1 {
		i := code[pc*8:]
		dst, src := i[1]&15, i[1]>>4
		off, imm := int16(binary.LittleEndian.Uint16(i[2:])), int32(binary.LittleEndian.Uint32(i[4:]))
		switch i[0] {
		case ldxW:
			reg[dst] = uint64(ctx[off/4])
		case movX:
			reg[dst] = reg[src]
		case movK:
			reg[dst] = uint64(int64(imm))
		case and32K:
			reg[dst] = uint64(uint32(reg[dst]) & uint32(imm))
		case rsh32K:
			reg[dst] = uint64(uint32(reg[dst]) >> uint32(imm))
		case andK:
			reg[dst] &= uint64(int64(imm))
		case jneK:
			if reg[dst] != uint64(int64(imm)) {
				pc += int(off)
			}
		case jne32K:
			if uint32(reg[dst]) != uint32(imm) {
				pc += int(off)
			}
		case jeqK:
			if reg[dst] == uint64(int64(imm)) {
				pc += int(off)
			}
		case exit:
			return reg[0] == 1, nil
		default:
			return false, fmt.Errorf("instruction %#x at %d", i[0], pc)
		}
		if steps > 10000 {
			return false, fmt.Errorf("no end")
		}
	}
	return false, fmt.Errorf("the program runs off its end")
}

func TestDeviceProgramDecidesLikeTheSpec(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	numbers := []int64{anyNumber, 0, 1, 3, 1<<32 - 1}
	pick := func() int64 { return numbers[rnd.IntN(len(numbers))] }
	allowed := 0
	for range 3000 {
		rules := make([]Rule, rnd.IntN(6))
		for i := range rules {
			rules[i] = Rule{Allow: rnd.IntN(2) == 0, Type: "abc"[rnd.IntN(3)], Major: pick(), Minor: pick(), Access: Access(1 + rnd.IntN(7))}
		}
		code := deviceProgram(rules)
		for range 20 {
			kind, major, minor, asked := "bc"[rnd.IntN(2)], pick()&0xffffffff, pick()&0xffffffff, Access(1+rnd.IntN(7))
			want := decide(rules, kind, major, minor, asked)
			got, err := interpret(code, kind, uint32(major), uint32(minor), asked)
			if err != nil || got != want {
				t.Fatalf("%s: %c %d:%d %s: %v, want %v, %v", rulesString(rules), kind, major, minor, asked, got, want, err)
			}
			if got {
				allowed++
			}
		}
	}
	if allowed < 1000 {
		t.Errorf("only %d were allowed: the test tests little", allowed)
	}
}

// kernelList decides as v1's kernel does with a list of everything and exceptions.
func kernelList(l deviceList, kind byte, major, minor int64, asked Access) bool {
	if l.allow { // verify_new_ex, match_exception_partial: a denied part denies
		for k, a := range l.exceptions {
			if k.covers(deviceKey{kind, major, minor}) && a&asked != 0 {
				return false
			}
		}
		return true
	}
	for k, a := range l.exceptions { // match_exception: one exception has to cover all that is asked
		if k.covers(deviceKey{kind, major, minor}) && asked&^a == 0 {
			return true
		}
	}
	return false
}

func TestV1ListsDecideLikeTheSpecOrAreRefused(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	numbers := []int64{anyNumber, 1, 2}
	pick := func() int64 { return numbers[rnd.IntN(len(numbers))] }
	refused, compared := 0, 0
	for range 5000 {
		rules := make([]Rule, rnd.IntN(5))
		for i := range rules {
			rules[i] = Rule{Allow: rnd.IntN(2) == 0, Type: "bc"[rnd.IntN(2)], Major: pick(), Minor: pick(), Access: Access(1 + rnd.IntN(7))}
			if rnd.IntN(6) == 0 {
				rules[i] = Rule{Allow: rnd.IntN(2) == 0, Type: 'a', Major: anyNumber, Minor: anyNumber, Access: allAccess}
			}
		}
		l, err := listOf(rules)
		if err != nil {
			refused++
			continue
		}
		for _, right := range []Access{Mknod, Read, WriteTo} { // single rights: the kernel wants one exception for all that is asked at once
			kind, major, minor := "bc"[rnd.IntN(2)], int64(1+rnd.IntN(3)), int64(1+rnd.IntN(3))
			compared++
			if got, want := kernelList(l, kind, major, minor, right), decide(rules, kind, major, minor, right); got != want {
				t.Fatalf("%s: %c %d:%d %s: %v, want %v", rulesString(rules), kind, major, minor, right, got, want)
			}
		}
	}
	if refused == 0 || compared < 1000 {
		t.Errorf("%d refused, %d compared: the test tests little", refused, compared)
	}
}

func TestCgroupMountInEachWorld(t *testing.T) {
	out := ""
	for _, name := range []string{"v1", "hybrid", "v2"} {
		for _, rootless := range []bool{false, true} {
			h := worlds(t)[name]
			h.Rootless = rootless
			l, err := Decide(Request{ID: "box", CgroupsPath: "/box", Host: h})
			if err != nil {
				t.Fatal(err)
			}
			for _, ns := range []bool{false, true} {
				out += fmt.Sprintf("# %s, rootless %v, cgroup namespace %v\n", name, rootless, ns)
				for _, m := range l.ContainerMounts("/sys/fs/cgroup", ns) {
					out += m.String() + "\n"
				}
			}
		}
	}
	golden(t, "mounts.golden", out)
}

func TestEveryFieldHasARowAndEveryRowIsWritten(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range Fields {
		if seen[f.Path] {
			t.Errorf("%s has two rows", f.Path)
		}
		seen[f.Path] = true
		if f.V1 == "" && f.V2 == "" {
			t.Errorf("%s can be applied nowhere", f.Path)
		}
	}
	if len(seen) < 30 {
		t.Errorf("%d rows", len(seen))
	}
}
