package seccomp

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func rule(action specs.LinuxSeccompAction, args []specs.LinuxSeccompArg, names ...string) specs.LinuxSyscall {
	return specs.LinuxSyscall{Names: names, Action: action, Args: args}
}

func value[T any](v T) *T { return &v }

func TestErrorsNameThePlaceInTheConfig(t *testing.T) {
	arg := func(index uint, op specs.LinuxSeccompOperator) []specs.LinuxSeccompArg {
		return []specs.LinuxSeccompArg{{Index: index, Op: op}}
	}
	var many []specs.LinuxSyscall
	for i := range 2000 {
		many = append(many, rule(specs.ActAllow, []specs.LinuxSeccompArg{{Index: 1, Op: specs.OpEqualTo, Value: uint64(i)<<32 | 1}}, "ioctl"))
	}
	allow := specs.LinuxSeccomp{DefaultAction: specs.ActAllow}
	with := func(rules ...specs.LinuxSyscall) specs.LinuxSeccomp {
		p := allow
		p.DefaultAction, p.Syscalls = specs.ActErrno, rules
		return p
	}
	flags := func(f ...specs.LinuxSeccompFlag) specs.LinuxSeccomp {
		p := allow
		p.Flags = f
		return p
	}
	for _, c := range []struct {
		profile specs.LinuxSeccomp
		machine string
		want    string
	}{
		{specs.LinuxSeccomp{}, "amd64", `linux.seccomp.defaultAction: "" is no action`},
		{specs.LinuxSeccomp{DefaultAction: specs.ActNotify}, "amd64", `linux.seccomp.defaultAction: SCMP_ACT_NOTIFY cannot be the default`},
		{with(rule(specs.ActAllow, nil, "read"), rule("SCMP_ACT_X", nil, "read")), "amd64", `linux.seccomp.syscalls[1].action: "SCMP_ACT_X" is no action`},
		{with(rule(specs.ActNotify, nil, "read", "write")), "amd64", `linux.seccomp.syscalls[0]: SCMP_ACT_NOTIFY cannot be used for write`},
		{with(rule(specs.ActAllow, arg(6, specs.OpEqualTo), "read")), "amd64", `linux.seccomp.syscalls[0].args[0]: no system call can be compared by argument 6`},
		{with(rule(specs.ActAllow, arg(0, "SCMP_CMP_X"), "read")), "amd64", `linux.seccomp.syscalls[0].args[0]: no system call can be compared by argument 0 and "SCMP_CMP_X"`},
		{with(many...), "amd64", `linux.seccomp: the filter takes 8`},
		{flags("SECCOMP_FILTER_FLAG_X"), "amd64", `linux.seccomp.flags[0]: "SECCOMP_FILTER_FLAG_X" is no flag`},
		{flags(specs.LinuxSeccompFlagWaitKillableRecv), "amd64", `linux.seccomp.flags[0]: SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV is for a profile with SCMP_ACT_NOTIFY`},
		{allow, "riscv64", `linux.seccomp: no filter can be made for the architecture riscv64`},
	} {
		_, err := Compile(&c.profile, c.machine)
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("error %v, want %s…", err, c.want)
		}
	}
}

func TestFlagsAreThoseOfTheProfile(t *testing.T) {
	notifies := []specs.LinuxSyscall{rule(specs.ActNotify, nil, "mknod")}
	for _, c := range []struct {
		flags []specs.LinuxSeccompFlag
		rules []specs.LinuxSyscall
		want  uint64
	}{
		{nil, nil, 4}, // SPEC_ALLOW where the profile does not speak of flags
		{[]specs.LinuxSeccompFlag{}, nil, 0},
		{[]specs.LinuxSeccompFlag{"SECCOMP_FILTER_FLAG_TSYNC"}, nil, 0},
		{[]specs.LinuxSeccompFlag{"SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"}, nil, 6},
		{[]specs.LinuxSeccompFlag{"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"}, notifies, 8 | 32},
		{nil, notifies, 4 | 8},
	} {
		f, err := Compile(&specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Flags: c.flags, Syscalls: c.rules}, "amd64")
		if err != nil {
			t.Fatal(err)
		}
		if f.Flags != c.want || f.Notify != (c.rules != nil) || f.WaitKillable() != (c.want&32 != 0) {
			t.Errorf("%v: flags %#x, notify %v; want flags %#x", c.flags, f.Flags, f.Notify, c.want)
		}
	}
}

func TestUnknownNamesAreIgnoredAndTold(t *testing.T) {
	f, err := Compile(&specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{
		rule(specs.ActKill, nil, "moutn", "mount", "spu_run"), rule(specs.ActKill, nil, "system_call_of_2040")}}, "amd64")
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"moutn", "system_call_of_2040"}; !slices.Equal(f.Unknown, want) {
		t.Errorf("unknown %q, want %q", f.Unknown, want)
	}
	got, _ := decode(t, f.Program).run(&call{number: 165, arch: tokens[x8664]})
	if got != killThread {
		t.Errorf("mount returns %#x", got)
	}
}

// A rule of thousands of instructions makes jumps that a conditional jump cannot take.
func TestLongJumpsReachTheirPlace(t *testing.T) {
	for _, length := range []int{1, 20, 60, 63, 64, 65, 127, 128, 250, 400} {
		p := &specs.LinuxSeccomp{DefaultAction: specs.ActErrno}
		for i := range length {
			p.Syscalls = append(p.Syscalls, rule(specs.ActAllow, []specs.LinuxSeccompArg{
				{Index: 0, Op: specs.OpEqualTo, Value: uint64(i)<<33 | 5}, {Index: 5, Op: specs.OpGreaterThan, Value: uint64(i)}}, "ioctl"))
		}
		p.Syscalls = append(p.Syscalls, rule(specs.ActTrap, nil, "read", "gettid", "statx"), rule(specs.ActLog, nil, "openat"))
		f, err := Compile(p, "amd64")
		if err != nil {
			t.Fatal(err)
		}
		c := decode(t, f.Program)
		for number, want := range map[uint32]uint32{0: trap, 186: trap, 332: trap, 257: log, 1: errno | 1, 333: errno | enosys} {
			if got, _ := c.run(&call{number: number, arch: tokens[x8664]}); got != want {
				t.Errorf("%d rules: %d returns %#x, want %#x", length, number, got, want)
			}
		}
		for i := range uint64(length + 1) {
			for last, want := range map[uint64]uint32{i: errno | 1, i + 1: allow} {
				if i == uint64(length) {
					want = errno | 1
				}
				if got, _ := c.run(&call{number: 16, arch: tokens[x8664], args: [6]uint64{0: i<<33 | 5, 5: last}}); got != want {
					t.Fatalf("%d rules: the %dth returns %#x, want %#x", length, i, got, want)
				}
			}
		}
	}
}

// The kernel answers calls that are allowed whatever their arguments from a bitmap (since 5.11) and so must be able to follow
// the filter with the number and the architecture alone (kernel/seccomp.c, seccomp_is_const_allow).
func TestAllowedCallsNeedNoArguments(t *testing.T) {
	f, err := Compile(docker(t, "amd64"), "amd64")
	if err != nil {
		t.Fatal(err)
	}
	c := decode(t, f.Program)
	cached := 0
	for n := range uint32(500) {
		if c.constantAllow(tokens[x8664], n) {
			cached++
		}
	}
	if cached < 300 {
		t.Errorf("the kernel can cache only %d calls", cached)
	}
}

func (c code) constantAllow(arch, number uint32) bool {
	a := uint32(0)
	for i := 0; i < len(c); i++ {
		in := c[i]
		yes := false
		switch in.op {
		case opLoad:
			if in.k == dataNumber {
				a = number
			} else if in.k == dataArch {
				a = arch
			} else {
				return false
			}
			continue
		case opReturn:
			return in.k == allow
		case opJump:
			i += int(in.k)
			continue
		case opJumpEqual:
			yes = a == in.k
		case opJumpGreater:
			yes = a > in.k
		case opJumpNotBelow:
			yes = a >= in.k
		default:
			return false
		}
		if yes {
			i += int(in.yes)
		} else {
			i += int(in.no)
		}
	}
	return false
}

func FuzzCompile(f *testing.F) {
	f.Add("SCMP_ACT_ERRNO", "SCMP_ARCH_X86", "read", "SCMP_ACT_ALLOW", uint(0), uint64(1), uint64(2), "SCMP_CMP_MASKED_EQ", "socket", uint(7))
	f.Add("SCMP_ACT_KILL", "SCMP_ARCH_X32", "ipc", "SCMP_ACT_TRACE", uint(5), ^uint64(0), uint64(2), "SCMP_CMP_LT", "semop", uint(70000))
	f.Fuzz(func(t *testing.T, fallback, arch, name, action string, index uint, one, two uint64, op, other string, number uint) {
		args := []specs.LinuxSeccompArg{{Index: index, Value: one, ValueTwo: two, Op: specs.LinuxSeccompOperator(op)}}
		p := &specs.LinuxSeccomp{DefaultAction: specs.LinuxSeccompAction(fallback), Architectures: []specs.Arch{specs.Arch(arch)},
			Syscalls: []specs.LinuxSyscall{rule(specs.LinuxSeccompAction(action), args, name, other), rule(specs.ActErrno, args, other)}}
		p.Syscalls[1].ErrnoRet = value(number)
		for _, machine := range []string{"amd64", "arm64"} {
			out, err := Compile(p, machine)
			if err != nil {
				continue
			}
			c := decode(t, out.Program)
			for a := range archs {
				c.run(&call{number: uint32(number), arch: kinds[a].audit, args: [6]uint64{one, two}})
			}
		}
	})
}

func ExampleCompile() {
	f, err := Compile(&specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Syscalls: []specs.LinuxSyscall{
		{Names: []string{"read", "write"}, Action: specs.ActAllow}}}, "arm64")
	fmt.Println(len(f.Program)/8, "instructions", err)
	// Output: 9 instructions <nil>
}
