package seccomp

import (
	"fmt"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// rules are what a profile says, by row of the table.
type rules struct {
	fallback uint32 // the default action's return value
	said     [len(rows)]said
	list     []conditional
	notify   bool
	unknown  []string
}

// said is what the profile says about one system call. A rule without arguments decides alone, wherever it stands, and
// the first of several; else the first rule whose arguments match does (docs/adr/0090).
type said struct {
	named       bool // the profile speaks of it, be it only to repeat the default
	decided     bool
	value       uint32
	first, last int32 // conditional rules: one more than their index in list, 0: none
}

// conditional is a rule with arguments, which must all match.
type conditional struct {
	value uint32
	tests []specs.LinuxSeccompArg
	next  int32
}

// collect reads the rules in order.
func collect(profile *specs.LinuxSeccomp) (*rules, error) {
	fallback, err := returnOf(profile.DefaultAction, profile.DefaultErrnoRet)
	if err != nil {
		return nil, fmt.Errorf("linux.seccomp.defaultAction: %w", err)
	}
	if fallback == notify {
		return nil, fmt.Errorf("linux.seccomp.defaultAction: %s cannot be the default: the process would stop before its listener is handed over", profile.DefaultAction)
	}
	r := &rules{fallback: fallback, list: make([]conditional, 0, 32)}
	for i := range profile.Syscalls {
		if err := r.add(&profile.Syscalls[i]); err != nil {
			return nil, fmt.Errorf("linux.seccomp.syscalls[%d]%w", i, err)
		}
	}
	return r, nil
}

func (r *rules) add(rule *specs.LinuxSyscall) error {
	value, err := returnOf(rule.Action, rule.ErrnoRet)
	if err != nil {
		return fmt.Errorf(".action: %w", err)
	}
	for i := range rule.Args {
		if a := &rule.Args[i]; a.Index >= 6 || !comparison(a.Op) {
			return fmt.Errorf(".args[%d]: no system call can be compared by argument %d and %q", i, a.Index, a.Op)
		}
	}
	r.notify = r.notify || value == notify
	for _, name := range rule.Names {
		if value == notify && name == "write" {
			return fmt.Errorf(": SCMP_ACT_NOTIFY cannot be used for write: the container's process needs it to hand over the listener")
		}
		row := find(name)
		if row < 0 {
			r.unknown = append(r.unknown, name)
			continue
		}
		r.say(&r.said[row], value, rule.Args)
	}
	return nil
}

// say notes one rule. One that repeats the default action is void, as in runc and crun: libseccomp has no way to say it.
func (r *rules) say(s *said, value uint32, tests []specs.LinuxSeccompArg) {
	s.named = true
	switch {
	case value == r.fallback || s.decided:
	case len(tests) == 0:
		s.decided, s.value, s.first = true, value, 0
	case repeats(tests):
		// An argument that is tested twice turns the list from "all of" to "any of": runc's rule from the days when
		// libseccomp could test an argument once only, and profiles rely on it.
		for i := range tests {
			r.condition(s, value, tests[i:i+1])
		}
	default:
		r.condition(s, value, tests)
	}
}

func (r *rules) condition(s *said, value uint32, tests []specs.LinuxSeccompArg) {
	r.list = append(r.list, conditional{value: value, tests: tests})
	n := int32(len(r.list))
	if s.first == 0 {
		s.first = n
	} else {
		r.list[s.last-1].next = n
	}
	s.last = n
}

// repeats says that two of the tests are about the same argument.
func repeats(tests []specs.LinuxSeccompArg) bool {
	seen := uint(0)
	for i := range tests {
		bit := uint(1) << tests[i].Index
		if seen&bit != 0 {
			return true
		}
		seen |= bit
	}
	return false
}
