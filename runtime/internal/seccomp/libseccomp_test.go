package seccomp

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// library is libseccomp, driven through testdata/libseccomp.c.
type library struct {
	in      *bufio.Writer
	out     *bufio.Scanner
	numbers map[string][archs]int32 // below zero: the architecture lacks the call
}

// tokens are libseccomp's own numbers of the architectures.
var tokens = [archs]uint32{x8664: 0xc000003e, x86: 0x40000003, x32: 0x4000003e, arm64: 0xc00000b7, arm: 0x40000028}

var libraryProgram = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "libseccomp")
	if err != nil {
		return "", err
	}
	program := filepath.Join(dir, "libseccomp")
	out, err := exec.Command("cc", "-O1", "-o", program, "testdata/libseccomp.c", "-lseccomp").CombinedOutput()
	if err != nil {
		os.RemoveAll(dir)
		return "", fmt.Errorf("%w: %s", err, strings.SplitN(string(out), "\n", 2)[0])
	}
	return program, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if program, err := libraryProgram(); err == nil {
		os.RemoveAll(filepath.Dir(program))
	}
	os.Exit(code)
}

// open starts the library's process, or skips the test where there is no libseccomp to compare with.
func openLibrary(t testing.TB) *library {
	t.Helper()
	program, err := libraryProgram()
	if err != nil {
		t.Skipf("needs a C compiler and libseccomp-dev: %v", err)
	}
	cmd := exec.Command(program)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("libseccomp's process: %v", err)
		}
	})
	l := &library{in: bufio.NewWriter(in), out: bufio.NewScanner(out), numbers: map[string][archs]int32{}}
	fmt.Fprintln(l.in, "names")
	l.answer(t)
	return l
}

// answer reads up to and including a program, and gives it with the rules that were refused.
func (l *library) answer(t testing.TB) (program []byte, refused []string) {
	t.Helper()
	l.in.Flush()
	for l.out.Scan() {
		word := strings.Fields(l.out.Text())
		switch word[0] {
		case "name":
			var n [archs]int32
			for a := range n {
				v, err := strconv.ParseInt(word[2+a], 10, 32)
				if err != nil {
					t.Fatal(err)
				}
				n[a] = int32(v)
			}
			l.numbers[word[1]] = n
		case "program":
			n, _ := strconv.Atoi(word[1])
			for range n {
				l.out.Scan()
				v, err := strconv.ParseUint(l.out.Text(), 16, 64)
				if err != nil {
					t.Fatal(err)
				}
				program = binary.LittleEndian.AppendUint64(program, v)
			}
			return program, refused
		default:
			refused = append(refused, l.out.Text())
		}
	}
	t.Fatal("libseccomp's process has ended")
	return nil, nil
}

// compile is what runc asks of libseccomp for a profile: the same translation, written down independently of the package's.
func (l *library) compile(t testing.TB, p *specs.LinuxSeccomp, machine []arch) (program []byte, refused []string) {
	t.Helper()
	fallback := wantValue(p.DefaultAction, p.DefaultErrnoRet)
	fmt.Fprintf(l.in, "default %d\n", fallback)
	if machine[0] == arm64 {
		fmt.Fprintf(l.in, "arch %d\nonly\n", tokens[arm64])
	}
	for _, word := range p.Architectures {
		for _, a := range machine {
			if kinds[a].word == word {
				fmt.Fprintf(l.in, "arch %d\n", tokens[a])
			}
		}
	}
	if len(p.Syscalls) > 32 {
		fmt.Fprintln(l.in, "optimize 2")
	}
	for _, s := range p.Syscalls {
		value := wantValue(s.Action, s.ErrnoRet)
		if value == fallback {
			continue
		}
		for _, name := range s.Names {
			count := map[uint]int{}
			double := false
			for _, a := range s.Args {
				count[a.Index]++
				double = double || count[a.Index] > 1
			}
			if double {
				for i := range s.Args {
					l.rule(value, name, s.Args[i:i+1])
				}
				continue
			}
			l.rule(value, name, s.Args)
		}
	}
	fmt.Fprintln(l.in, "end")
	return l.answer(t)
}

func (l *library) rule(value uint32, name string, args []specs.LinuxSeccompArg) {
	fmt.Fprintf(l.in, "rule %d %s %d", value, name, len(args))
	for _, a := range args {
		op := map[specs.LinuxSeccompOperator]int{specs.OpNotEqual: 1, specs.OpLessThan: 2, specs.OpLessEqual: 3, specs.OpEqualTo: 4,
			specs.OpGreaterEqual: 5, specs.OpGreaterThan: 6, specs.OpMaskedEqual: 7}[a.Op]
		fmt.Fprintf(l.in, " %d %d %d %d", a.Index, op, a.Value, a.ValueTwo)
	}
	fmt.Fprintln(l.in)
}

// wantValue is SCMP_ACT_… of seccomp.h.
func wantValue(action specs.LinuxSeccompAction, number *uint) uint32 {
	v := map[specs.LinuxSeccompAction]uint32{specs.ActKillProcess: 0x80000000, specs.ActKill: 0, specs.ActKillThread: 0, specs.ActTrap: 0x30000,
		specs.ActErrno: 0x50000, specs.ActNotify: 0x7fc00000, specs.ActTrace: 0x7ff00000, specs.ActLog: 0x7ffc0000, specs.ActAllow: 0x7fff0000}[action]
	if action == specs.ActErrno || action == specs.ActTrace {
		if number == nil {
			return v | 1
		}
		return v | uint32(*number)
	}
	return v
}

// known leaves out the calls that this libseccomp is too old to know, and the rules that say nothing without them.
func (l *library) known(p specs.LinuxSeccomp) (*specs.LinuxSeccomp, []string) {
	var unknown []string
	rules := p.Syscalls
	p.Syscalls = nil
	for _, s := range rules {
		names := s.Names
		s.Names = nil
		for _, n := range names {
			if _, ok := l.numbers[n]; ok {
				s.Names = append(s.Names, n)
			} else {
				unknown = append(unknown, n)
			}
		}
		if len(s.Names) > 0 {
			p.Syscalls = append(p.Syscalls, s)
		}
	}
	return &p, unknown
}

// newer says, by libseccomp's numbers, whether runc answers a call with ENOSYS before it asks the filter
// (libcontainer/seccomp/patchbpf), with the two ranges of private numbers apart: runc takes the highest private number for
// the age of the profile, so that under Docker's profile no x32 and no 32-bit ARM call is ever newer.
func (l *library) newer(p *specs.LinuxSeccomp, set archSet) func(c *call) bool {
	v := wantValue(p.DefaultAction, p.DefaultErrnoRet)
	lenient := v == 0x50000|38 || v&^0xffff == 0x7fff0000 || v&^0xffff == 0x7ffc0000 || v&^0xffff == 0x7ff00000
	private := [archs]int32{x32: x32Bit | 512, arm: 0xf0000}
	var most, mostPrivate [archs]int32
	for _, s := range p.Syscalls {
		for _, name := range s.Names {
			for a, n := range l.numbers[name] {
				if arch(a) == x86 && n < 0 && n > -300 {
					n = rows[find(name)].numbers[a] // the direct number, which libseccomp does not tell
				}
				if private[a] != 0 && n >= private[a] {
					mostPrivate[a] = max(mostPrivate[a], n)
				} else {
					most[a] = max(most[a], n)
				}
			}
		}
	}
	return func(c *call) bool {
		for a := range archs {
			if !set.has(a) || tokens[a] != c.arch && !(a == x32 && c.arch == tokens[x8664]) || lenient {
				continue
			}
			// runc looks at the bit alone and answers the numbers from 0x80000000 on, which no kernel has, as x86-64's.
			if c.arch == tokens[x8664] && (a == x32) != (c.number >= x32Bit) {
				continue
			}
			if private[a] != 0 && mostPrivate[a] != 0 && c.number >= uint32(private[a]) {
				return c.number > uint32(mostPrivate[a])
			}
			return most[a] != 0 && c.number > uint32(most[a])
		}
		return false
	}
}

// The filter is not larger than libseccomp's, and does not take more steps for a call, over all the calls of Docker's profile.
func TestFilterIsSmallerThanLibseccomps(t *testing.T) {
	l := openLibrary(t)
	for _, machine := range []string{"amd64", "arm64"} {
		p, _ := l.known(*docker(t, machine))
		p.Syscalls = append([]specs.LinuxSyscall(nil), p.Syscalls...)
		f, err := Compile(p, machine)
		if err != nil {
			t.Fatal(err)
		}
		ours := decode(t, f.Program)
		for _, tree := range []bool{false, true} {
			if tree { // libseccomp's binary tree is for long lists of rules; runc asks for it
				for range 33 {
					p.Syscalls = append(p.Syscalls, specs.LinuxSyscall{Action: p.DefaultAction})
				}
			}
			program, _ := l.compile(t, p, archsOf(machine))
			theirs := decode(t, program)
			var our, their, calls int
			for _, row := range byNumber[archsOf(machine)[0]] {
				c := call{number: uint32(rows[row].numbers[archsOf(machine)[0]]), arch: kinds[archsOf(machine)[0]].audit}
				_, a := ours.run(&c)
				_, b := theirs.run(&c)
				our, their, calls = our+a, their+b, calls+1
			}
			t.Logf("%s, libseccomp with a tree %v: %d instructions, libseccomp %d; %.1f steps a call, libseccomp %.1f", machine, tree, len(ours),
				len(theirs), float64(our)/float64(calls), float64(their)/float64(calls))
			if len(ours) > len(theirs) || our > their {
				t.Errorf("%s: %d instructions and %d steps, libseccomp %d and %d", machine, len(ours), our, len(theirs), their)
			}
		}
	}
}
