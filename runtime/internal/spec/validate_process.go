package spec

import (
	"fmt"
	"path"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func (c *checker) process(p *specs.Process) {
	const clause = "config.md, Process"
	if len(p.Args) == 0 {
		c.refuse(clause, "process.args", "name the program to run", "is missing or empty")
	}
	if !path.IsAbs(p.Cwd) {
		c.refuse(clause, "process.cwd", `begin it with "/"`, "%s is not absolute", q(p.Cwd))
	}
	if s := p.ConsoleSize; p.Terminal && s != nil && (s.Height > 65535 || s.Width > 65535) {
		c.refuse("ioctl_tty(2)", "process.consoleSize", "", "is %d × %d, and a terminal has at most 65535 lines and columns", s.Width, s.Height)
	}
	if p.CommandLine != "" {
		c.warn(clause, "process.commandLine", "use process.args", "is for another platform and has no effect")
	}
	c.user(&p.User)
	if p.Capabilities != nil {
		c.capabilities(p.Capabilities)
	}
	c.rlimits(p.Rlimits)
	c.labels(p)
	if a := p.OOMScoreAdj; a != nil && (*a < -1000 || *a > 1000) {
		c.refuse("proc_pid_oom_score_adj(5)", "process.oomScoreAdj", "", "is %d, must be from -1000 to 1000", *a)
	}
	if p.Scheduler != nil {
		c.scheduler(p.Scheduler)
	}
	c.ioPriority(p.IOPriority)
	if a := p.ExecCPUAffinity; a != nil {
		c.numbers("process.execCPUAffinity.initial", a.Initial, maxCPU)
		c.numbers("process.execCPUAffinity.final", a.Final, maxCPU)
	}
}

// numbers refuses a list of CPUs or memory nodes that is none.
func (c *checker) numbers(path, list string, most int) {
	if _, err := parseBits(list, most); err != nil {
		c.refuse("", path, `write it like "0-3,7"`, "%v", err)
	}
}

func (c *checker) user(u *specs.User) {
	const clause = "config.md, POSIX-platform User"
	c.id("process.user.uid", u.UID, c.linux.UIDMappings)
	c.id("process.user.gid", u.GID, c.linux.GIDMappings)
	for i, g := range u.AdditionalGids {
		c.id(at("process.user.additionalGids", i), g, c.linux.GIDMappings)
	}
	if len(u.AdditionalGids) > 65536 {
		c.refuse("setgroups(2)", "process.user.additionalGids", "", "has %d groups, and the kernel takes 65536 at most", len(u.AdditionalGids))
	}
	if u.Umask != nil && *u.Umask > 0o777 {
		c.refuse(clause, "process.user.umask", "mind that JSON knows decimal numbers only: 18 is 022", "is %d (octal %o), must be at most 511 (octal 777)", *u.Umask, *u.Umask)
	}
	if u.Username != "" {
		c.warn(clause, "process.user.username", "use process.user.uid", "is for another platform and has no effect")
	}
}

// id refuses a user or group that cannot exist in the container: -1 means "leave it" to the kernel, and an id that the
// container's user namespace does not map has no number there.
func (c *checker) id(where string, id uint32, maps []specs.LinuxIDMapping) {
	switch {
	case id == 1<<32-1:
		c.refuse("setresuid(2)", where, "", "is 4294967295, which is no id")
	case c.ns[UserNS].New && len(maps) > 0 && !mapped(maps, id):
		c.refuse("user_namespaces(7)", where, "add it to linux.uidMappings or linux.gidMappings", "is %d, which the container's user namespace does not map", id)
	}
}

// capabilities warns about names and combinations that cannot be granted; config.md "Linux Process" wants no failure.
func (c *checker) capabilities(l *specs.LinuxCapabilities) {
	const clause = "config.md, Linux Process"
	for _, set := range []struct {
		name string
		list []string
	}{
		{"bounding", l.Bounding}, {"effective", l.Effective}, {"inheritable", l.Inheritable}, {"permitted", l.Permitted},
		{"ambient", l.Ambient},
	} {
		for i, name := range set.list {
			n, ok := Capability(name)
			where := func() string { return fmt.Sprintf("process.capabilities.%s[%d]", set.name, i) }
			switch {
			case !ok:
				c.warn(clause, where(), "", "%s is no capability this runtime knows: left out", q(name))
			case n > c.h.LastCap:
				c.warn(clause, where(), "", "%s is no capability of this kernel: left out", q(name))
			}
		}
	}
	granted := resolveCapabilities(l)
	c.dropped("effective", capabilityBits(l.Effective)&^granted.Effective, "permitted")
	c.dropped("inheritable", capabilityBits(l.Inheritable)&^granted.Inheritable, "bounding")
	c.dropped("ambient", capabilityBits(l.Ambient)&^granted.Ambient, "both permitted and inheritable")
}

func (c *checker) dropped(set string, lost uint64, need string) {
	if lost != 0 {
		c.warn("capabilities(7)", "process.capabilities."+set, "", "has %s, left out for not being %s", strings.Join(CapabilityList(lost), ", "), need)
	}
}

func (c *checker) rlimits(l []specs.POSIXRlimit) {
	const clause = "config.md, POSIX process"
	seen := [len(rlimits)]bool{}
	for i, r := range l {
		n := slices.Index(rlimits[:], r.Type)
		switch {
		case n < 0:
			c.refuse(clause, at("process.rlimits", i)+".type", "use a name of getrlimit(2)", "%s is not known", q(r.Type))
			continue
		case seen[n]:
			c.refuse(clause, at("process.rlimits", i)+".type", "keep one of them", "%s is given twice", r.Type)
		}
		seen[n] = true
		if r.Soft > r.Hard {
			c.refuse("setrlimit(2)", at("process.rlimits", i)+".soft", "", "is %d, above the hard limit %d", r.Soft, r.Hard)
		}
	}
}

// labels refuses a label that no module on this machine would enforce: a container that believes itself confined and is not
// is worse than none.
func (c *checker) labels(p *specs.Process) {
	const clause = "config.md, Linux Process"
	if p.ApparmorProfile != "" && p.ApparmorProfile != "unconfined" && !c.h.LSM.Apparmor {
		c.refuse(clause, "process.apparmorProfile", "leave it out", "is %s, but AppArmor is not enabled on this machine", q(p.ApparmorProfile))
	}
	if p.SelinuxLabel != "" && !c.h.LSM.Selinux {
		c.refuse(clause, "process.selinuxLabel", "leave it out", "is %s, but SELinux is not enabled on this machine", q(p.SelinuxLabel))
	}
	c.singleLine(clause, "process.apparmorProfile", p.ApparmorProfile)
	c.singleLine(clause, "process.selinuxLabel", p.SelinuxLabel)
}

func (c *checker) scheduler(s *specs.Scheduler) {
	const clause = "sched_setattr(2)"
	if !oneOf(c, "config.md, Linux Process", "process.scheduler.policy", s.Policy, names(schedulerPolicies)) {
		return
	}
	policy, _ := lookup(schedulerPolicies, s.Policy)
	for i, f := range s.Flags {
		oneOf(c, "config.md, Linux Process", at("process.scheduler.flags", i), f, names(schedulerFlags))
	}
	if s.Nice < -20 || s.Nice > 19 {
		c.refuse(clause, "process.scheduler.nice", "", "is %d, must be from -20 to 19", s.Nice)
	}
	realtime := policy == SCHED_FIFO || policy == SCHED_RR
	switch {
	case realtime && (s.Priority < 1 || s.Priority > 99):
		c.refuse(clause, "process.scheduler.priority", "", "is %d, must be from 1 to 99 for %s", s.Priority, s.Policy)
	case !realtime && s.Priority != 0:
		c.refuse(clause, "process.scheduler.priority", "use SCHED_FIFO or SCHED_RR", "is %d, must be 0 for %s", s.Priority, s.Policy)
	}
	c.deadline(s, policy == SCHED_DEADLINE)
}

func (c *checker) deadline(s *specs.Scheduler, deadline bool) {
	const clause = "sched(7), SCHED_DEADLINE"
	if !deadline {
		if s.Runtime != 0 || s.Deadline != 0 || s.Period != 0 {
			c.refuse(clause, "process.scheduler", "use SCHED_DEADLINE", "has runtime, deadline or period, which %s does not use", s.Policy)
		}
		return
	}
	period := s.Period
	if period == 0 {
		period = s.Deadline
	}
	if s.Runtime < 1024 || s.Runtime > s.Deadline || s.Deadline > period || period >= 1<<63 {
		c.refuse(clause, "process.scheduler", "", "must have 1024 ≤ runtime ≤ deadline ≤ period, in nanoseconds, and has %d, %d, %d", s.Runtime, s.Deadline, s.Period)
	}
}

func (c *checker) ioPriority(p *specs.LinuxIOPriority) {
	const clause = "config.md, Linux Process"
	if p == nil {
		return
	}
	oneOf(c, clause, "process.ioPriority.class", p.Class, names(ioClasses))
	if p.Priority < 0 || p.Priority > 7 {
		c.refuse(clause, "process.ioPriority.priority", "", "is %d, must be from 0 to 7", p.Priority)
	}
}
