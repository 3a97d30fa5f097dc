package conformance

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-oci/berth/conformance/probe"
)

// config.md, section Process.
var processChecks = []Check{
	{Name: "process/cwd", Run: processCwd,
		Clause: must("config.md", "configProcess", "cwd (string, REQUIRED) is the working directory that will be set for the executable")},
	{Name: "process/cwd-relative", Run: func(t *T) { t.cwdRefused("tmp") }, Strict: true,
		Clause: must("config.md", "configProcess", "This value MUST be an absolute path")},
	{Name: "process/cwd-absent", Run: func(t *T) { t.cwdRefused("") },
		Clause: must("config.md", "configProcess", "cwd (string, REQUIRED) is the working directory that will be set for the executable")},
	{Name: "process/cwd-is-a-file", Run: func(t *T) { t.cwdRefused(probe.Path) },
		Clause: must("config.md", "configProcess", "cwd (string, REQUIRED) is the working directory that will be set for the executable")},
	{Name: "process/env", Run: processEnv,
		Clause: must("config.md", "configProcess", "env (array of strings, OPTIONAL) with the same semantics as IEEE Std 1003.1-2008's environ")},
	{Name: "process/env-of-runtime-not-inherited", Run: processEnvClean,
		Clause: must("config.md", "configProcess", "env (array of strings, OPTIONAL) with the same semantics as IEEE Std 1003.1-2008's environ")},
	{Name: "process/args", Run: processArgs,
		Clause: must("config.md", "configProcess", "args (array of strings, OPTIONAL) with similar semantics to IEEE Std 1003.1-2008 execvp's argv")},
	{Name: "process/args-empty", Run: processArgsEmpty,
		Clause: must("config.md", "configProcess", "This specification extends the IEEE standard in that at least one entry is REQUIRED (non-Windows)")},
	{Name: "process/args-looked-up-in-path", Run: processPathLookup,
		Clause: must("config.md", "configProcess", "and that entry is used with the same semantics as execvp's file")},
	{Name: "process/args-relative-to-cwd", Run: processRelativeProgram,
		Clause: must("config.md", "configProcess", "and that entry is used with the same semantics as execvp's file")},
	{Name: "process/args-not-executable", Run: processNotExecutable,
		Clause: must("config.md", "configProcess", "and that entry is used with the same semantics as execvp's file")},
	{Name: "process/streams", Run: processStreams,
		Clause: must("runtime-linux.md", "runtimeLinuxFileDescriptors", "By default, only the stdin, stdout and stderr file descriptors are kept open for the application by the runtime")},
	{Name: "process/terminal-default", Run: processNoTerminal,
		Clause: must("config.md", "configProcess", "terminal (bool, OPTIONAL) specifies whether a terminal is attached to the process, defaults to false")},
	{Name: "process/terminal", Run: processTerminal,
		Clause: must("config.md", "configProcess", "As an example, if set to true on Linux a pseudoterminal pair is allocated for the process and the pseudoterminal pty is duplicated on the process's standard streams")},
	{Name: "process/terminal-console-device", Run: processConsoleDevice,
		Clause: must("config-linux.md", "configLinuxDefaultDevices", "/dev/console is set up if terminal is enabled in the config by bind mounting the pseudoterminal pty to /dev/console")},
	{Name: "process/console-size", Run: processConsoleSize,
		Clause: must("config.md", "configProcess", "consoleSize (object, OPTIONAL) specifies the console size in characters of the terminal")},
	{Name: "process/console-size-without-terminal", Run: processConsoleSizeIgnored,
		Clause: must("config.md", "configProcess", "Runtimes MUST ignore consoleSize if terminal is false or unset")},
	{Name: "process/rlimits", Run: processRlimits,
		Clause: must("config.md", "configPOSIXProcess", "rlim.rlim_cur MUST match the configured value")},
	{Name: "process/rlimits-hard", Run: processRlimitsHard,
		Clause: must("config.md", "configPOSIXProcess", "rlim.rlim_max MUST match the configured value")},
	{Name: "process/rlimits-every-type", Run: processRlimitsAll,
		Clause: must("config.md", "configPOSIXProcess", "For each entry in rlimits, a getrlimit(3) on type MUST succeed")},
	{Name: "process/rlimits-duplicate", Run: processRlimitsDuplicate, Strict: true,
		Clause: must("config.md", "configPOSIXProcess", "If rlimits contains duplicated entries with same type, the runtime MUST generate an error")},
	{Name: "process/rlimits-unknown", Run: processRlimitsUnknown,
		Clause: must("config.md", "configPOSIXProcess", "The runtime MUST generate an error for any values which cannot be mapped to a relevant kernel interface")},
	{Name: "process/rlimits-soft-above-hard", Run: processRlimitsInverted,
		Clause: must("config.md", "configPOSIXProcess", "rlim.rlim_cur MUST match the configured value")},
	{Name: "process/capabilities/effective", Run: func(t *T) { capabilitySet(t, "effective") },
		Clause: must("config.md", "configLinuxProcess", "effective (array of strings, OPTIONAL) the effective field is an array of effective capabilities that are kept for the process")},
	{Name: "process/capabilities/bounding", Run: func(t *T) { capabilitySet(t, "bounding") },
		Clause: must("config.md", "configLinuxProcess", "bounding (array of strings, OPTIONAL) the bounding field is an array of bounding capabilities that are kept for the process")},
	{Name: "process/capabilities/inheritable", Run: func(t *T) { capabilitySet(t, "inheritable") },
		Clause: must("config.md", "configLinuxProcess", "inheritable (array of strings, OPTIONAL) the inheritable field is an array of inheritable capabilities that are kept for the process")},
	{Name: "process/capabilities/permitted", Run: func(t *T) { capabilitySet(t, "permitted") },
		Clause: must("config.md", "configLinuxProcess", "permitted (array of strings, OPTIONAL) the permitted field is an array of permitted capabilities that are kept for the process")},
	{Name: "process/capabilities/ambient", Run: func(t *T) { capabilitySet(t, "ambient") },
		Clause: must("config.md", "configLinuxProcess", "ambient (array of strings, OPTIONAL) the ambient field is an array of ambient capabilities that are kept for the process")},
	{Name: "process/capabilities/none", Run: capabilitiesNone,
		Clause: must("config.md", "configLinuxProcess", "capabilities (object, OPTIONAL) is an object containing arrays that specifies the sets of capabilities for the process")},
	{Name: "process/capabilities/inheritable-not-implied", Run: capabilitiesInheritableEmpty,
		Clause: must("config.md", "configLinuxProcess", "inheritable (array of strings, OPTIONAL) the inheritable field is an array of inheritable capabilities that are kept for the process")},
	{Name: "process/capabilities/ambient-for-user", Run: capabilitiesAmbientUser,
		Clause: must("config.md", "configLinuxProcess", "ambient (array of strings, OPTIONAL) the ambient field is an array of ambient capabilities that are kept for the process")},
	{Name: "process/capabilities/unknown-warns", Run: capabilityUnknown,
		Clause: should("config.md", "configLinuxProcess", "Runtimes SHOULD NOT fail if the container configuration requests capabilities that cannot be granted")},
	{Name: "process/capabilities/denied-in-effect", Run: capabilityEffect,
		Clause: must("config.md", "configLinuxProcess", "effective (array of strings, OPTIONAL) the effective field is an array of effective capabilities that are kept for the process")},
	{Name: "process/no-new-privileges/set", Run: func(t *T) { noNewPrivileges(t, true) },
		Clause: must("config.md", "configLinuxProcess", "noNewPrivileges (bool, OPTIONAL) setting noNewPrivileges to true prevents the process from gaining additional privileges")},
	{Name: "process/no-new-privileges/unset", Run: func(t *T) { noNewPrivileges(t, false) },
		Clause: must("config.md", "configLinuxProcess", "noNewPrivileges (bool, OPTIONAL) setting noNewPrivileges to true prevents the process from gaining additional privileges")},
	{Name: "process/no-new-privileges/set-id-program", Run: noNewPrivilegesEffect,
		Clause: must("config.md", "configLinuxProcess", "noNewPrivileges (bool, OPTIONAL) setting noNewPrivileges to true prevents the process from gaining additional privileges")},
	{Name: "process/oom-score-adj/set", Run: oomScoreSet,
		Clause: must("config.md", "configLinuxProcess", "If oomScoreAdj is set, the runtime MUST set oom_score_adj to the given value")},
	{Name: "process/oom-score-adj/unset", Run: oomScoreUnset,
		Clause: must("config.md", "configLinuxProcess", "If oomScoreAdj is not set, the runtime MUST NOT change the value of oom_score_adj")},
	{Name: "process/oom-score-adj/out-of-range", Run: oomScoreInvalid,
		Clause: must("config.md", "configuration", "Runtimes MUST generate an error when invalid or unsupported values are encountered")},
	{Name: "process/scheduler/batch-and-nice", Run: schedulerBatch, Since: "1.1.0",
		Clause: must("config.md", "configLinuxProcess", "policy (string, REQUIRED) represents the scheduling policy")},
	{Name: "process/scheduler/unknown-policy", Run: schedulerUnknown, Since: "1.1.0",
		Clause: must("config.md", "configuration", "Runtimes MUST generate an error when invalid or unsupported values are encountered")},
	{Name: "process/io-priority/best-effort", Run: func(t *T) { ioPriority(t, specs.IOPRIO_CLASS_BE, 2, 3) }, Since: "1.1.0",
		Clause: must("config.md", "configLinuxProcess", "class (string, REQUIRED) specifies the I/O scheduling class")},
	{Name: "process/io-priority/idle", Run: func(t *T) { ioPriority(t, specs.IOPRIO_CLASS_IDLE, 3, 0) }, Since: "1.1.0",
		Clause: must("config.md", "configLinuxProcess", "class (string, REQUIRED) specifies the I/O scheduling class")},
	{Name: "process/io-priority/unknown-class", Run: ioPriorityUnknown, Since: "1.1.0",
		Clause: must("config.md", "configuration", "Runtimes MUST generate an error when invalid or unsupported values are encountered")},
	{Name: "process/session-leader", Run: processSession,
		Clause: must("config.md", "configProcess", "As an example, if set to true on Linux a pseudoterminal pair is allocated for the process and the pseudoterminal pty is duplicated on the process's standard streams")},
}

// config.md, section User.
var userChecks = []Check{
	{Name: "user/ids", Run: userIDs,
		Clause: must("config.md", "configPOSIXUser", "uid (int, REQUIRED) specifies the user ID in the container namespace")},
	{Name: "user/group", Run: userGroup,
		Clause: must("config.md", "configPOSIXUser", "gid (int, REQUIRED) specifies the group ID in the container namespace")},
	{Name: "user/additional-gids", Run: userGroups,
		Clause: must("config.md", "configPOSIXUser", "additionalGids (array of ints, OPTIONAL) specifies additional group IDs in the container namespace to be added to the process")},
	{Name: "user/groups-of-runtime-not-inherited", Run: userNoGroups,
		Clause: must("config.md", "configPOSIXUser", "additionalGids (array of ints, OPTIONAL) specifies additional group IDs in the container namespace to be added to the process")},
	{Name: "user/umask", Run: userUmask,
		Clause: must("config.md", "configPOSIXUser", "umask (int, OPTIONAL) specifies the umask of the user")},
	{Name: "user/unnamed-in-passwd", Run: userWithoutPasswd,
		Clause: must("config.md", "configPOSIXUser", "uid (int, REQUIRED) specifies the user ID in the container namespace")},
	{Name: "user/large-id", Run: userLarge,
		Clause: must("config.md", "configPOSIXUser", "uid (int, REQUIRED) specifies the user ID in the container namespace")},
	{Name: "user/unprivileged-cannot-write-root-files", Run: userCannotWrite,
		Clause: must("config.md", "configPOSIXUser", "uid (int, REQUIRED) specifies the user ID in the container namespace")},
}

// config.md, sections Hostname and Domainname.
var hostnameChecks = []Check{
	{Name: "hostname/set", Run: hostnameSet,
		Clause: must("config.md", "configHostname", "hostname (string, OPTIONAL) specifies the container's hostname as seen by processes running inside the container")},
	{Name: "hostname/unset", Run: hostnameUnset,
		Clause: must("config.md", "configHostname", "hostname (string, OPTIONAL) specifies the container's hostname as seen by processes running inside the container")},
	{Name: "hostname/long", Run: hostnameLong,
		Clause: must("runtime.md", "runtimeCreate", "If the runtime cannot apply a property as specified in the configuration, it MUST generate an error and a new container MUST NOT be created")},
	{Name: "hostname/domainname", Run: domainname, Since: "1.1.0",
		Clause: must("config.md", "configDomainname", "domainname (string, OPTIONAL) specifies the container's domainname as seen by processes running inside the container")},
}

func processCwd(t *T) {
	config := t.Config(facts())
	config.Process.Cwd = "/tmp"
	Equal(t, "the working directory", t.Facts(config).Cwd, "/tmp")
}

func (t *T) cwdRefused(cwd string) {
	config := t.Config()
	config.Process.Cwd = cwd
	t.RefusedOrNotRun(config, fmt.Sprintf("the working directory %q", cwd))
}

func processEnv(t *T) {
	config := t.Config(facts())
	config.Process.Env = []string{"PATH=/", "EMPTY=", "TEXT=with = and \"quotes\" and\nnewline", "A=1", "UTF8=\u00e9\u4e16"}
	got := t.Facts(config).Env
	for _, want := range config.Process.Env {
		if !slices.Contains(got, want) {
			t.Errorf("the variable %q is missing from %q", want, got)
		}
	}
}

func processEnvClean(t *T) {
	config := t.Config(facts())
	c := t.Container(config)
	c.Env = []string{"CONFORMANCE_CANARY=leaked"}
	c.Life()
	for _, variable := range c.Facts().Env {
		name, _, _ := strings.Cut(variable, "=")
		if name != "PATH" && name != "HOME" { // HOME is customarily added where it is missing
			t.Errorf("the program has the variable %q, which the configuration does not name", variable)
		}
	}
}

func processArgs(t *T) {
	config := t.Config(facts())
	config.Process.Args = append(config.Process.Args, "", "two words", "\u00e9", "--flag=\"x\"", "line\nbreak")
	EqualLists(t, "the argument vector", t.Facts(config).Args, config.Process.Args)
}

func processArgsEmpty(t *T) {
	config := t.Config()
	config.Process.Args = []string{}
	c := t.Container(config)
	if c.Create() == nil && c.Start() == nil {
		t.Errorf("create and start accepted an empty args")
	}
}

func processPathLookup(t *T) {
	config := t.Config(facts())
	config.Process.Env = []string{"PATH=/nowhere:/opt/tools:/bin"}
	config.Process.Args[0] = probe.Name
	c := t.Container(config)
	t.Must(os.MkdirAll(c.Host("/opt/tools"), 0o755), "make a directory")
	t.Must(os.Rename(c.Host(probe.Path), c.Host("/opt/tools/"+probe.Name)), "move the probe")
	c.Life()
	Equal(t, "the program's first argument", c.Facts().Args[0], probe.Name)
}

func processRelativeProgram(t *T) {
	config := t.Config(facts())
	config.Process.Args[0] = "./" + probe.Name
	Equal(t, "the program's first argument", t.Facts(config).Args[0], "./"+probe.Name)
}

func processNotExecutable(t *T) {
	config := t.Config()
	config.Process.Args = []string{"/etc/plain"}
	c := t.Container(config)
	t.Must(os.WriteFile(c.Host("/etc/plain"), []byte("text"), 0o644), "make a file")
	if c.Create() == nil && c.Start() == nil {
		t.Errorf("create and start reported success for a program that is not executable")
	}
}

func processStreams(t *T) {
	c := t.Container(t.Config(facts()))
	c.Life()
	got := c.Facts()
	for fd := range 3 {
		if _, open := got.Fds[fd]; !open {
			t.Errorf("descriptor %d is not open", fd)
		}
	}
}

func processNoTerminal(t *T) {
	got := t.Facts(t.Config(facts()))
	for fd := range 3 {
		if got.TTY[fd] {
			t.Errorf("descriptor %d is a terminal", fd)
		}
	}
}

// onTerminal runs a container with a terminal and returns what the probe
// wrote to a file, since its standard output is the terminal.
func (t *T) onTerminal(config *specs.Spec) []probe.Result {
	config.Process.Terminal = true
	console := t.listenConsole()
	c := t.Container(config)
	log := c.Host("/log")
	t.Must(c.Create("--console-socket", console.path), "create a container with a terminal")
	master := console.receive()
	t.Cleanup(func() { unix.Close(master) })
	c.MustStart()
	c.Wait()
	return probe.Parse(readAll(log))
}

var logging = probe.Op{Do: "log", Path: "/log"}

func processTerminal(t *T) {
	got := t.Find(t.onTerminal(t.Config(logging, facts())), "facts", "").Facts
	for fd := range 3 {
		if !got.TTY[fd] {
			t.Errorf("descriptor %d is not a terminal", fd)
		}
	}
}

func processConsoleDevice(t *T) {
	results := t.onTerminal(t.Config(logging, facts(), statOf("/dev/console"), doing("openrw", "/dev/console")))
	stat := t.Find(results, "stat", "/dev/console")
	if stat.Stat == nil || stat.Stat.Type != "char" || stat.Stat.Major != 136 { // UNIX98_PTY_SLAVE_MAJOR
		t.Errorf("/dev/console is %s, want a pseudoterminal", describe(stat))
	}
	Equal(t, "opening /dev/console", t.Find(results, "openrw", "").Outcome(), "ok")
}

func processConsoleSize(t *T) {
	config := t.Config(logging, facts())
	config.Process.ConsoleSize = &specs.Box{Height: 43, Width: 121}
	got := t.Find(t.onTerminal(config), "facts", "").Facts
	Equal(t, "the size of the terminal", [2]int{got.Rows, got.Cols}, [2]int{43, 121})
}

func processConsoleSizeIgnored(t *T) {
	config := t.Config(facts())
	config.Process.ConsoleSize = &specs.Box{Height: 43, Width: 121}
	Equal(t, "whether standard input is a terminal", t.Facts(config).TTY[0], false)
}

func processSession(t *T) {
	got := t.Find(t.onTerminal(t.Config(logging, facts(), doing("openrw", "/dev/tty"))), "facts", "").Facts
	Equal(t, "the session of the program on a terminal", got.Sid, got.Pid)
}

// limit is a setting below the usual ones, so that no privilege is needed.
func withLimit(config *specs.Spec, kind string, soft, hard uint64) *specs.Spec {
	config.Process.Rlimits = append(config.Process.Rlimits, specs.POSIXRlimit{Type: kind, Soft: soft, Hard: hard})
	return config
}

func processRlimits(t *T) {
	config := withLimit(withLimit(t.Config(facts()), "RLIMIT_FSIZE", 1<<20, 1<<21), "RLIMIT_MSGQUEUE", 4096, 8192)
	got := t.Facts(config).Limits
	Equal(t, "the soft RLIMIT_FSIZE", got["RLIMIT_FSIZE"].Soft, 1<<20)
	Equal(t, "the soft RLIMIT_MSGQUEUE", got["RLIMIT_MSGQUEUE"].Soft, 4096)
}

func processRlimitsHard(t *T) {
	config := withLimit(withLimit(t.Config(facts()), "RLIMIT_FSIZE", 1<<20, 1<<21), "RLIMIT_NOFILE", 512, 512)
	got := t.Facts(config).Limits
	Equal(t, "the hard RLIMIT_FSIZE", got["RLIMIT_FSIZE"].Hard, 1<<21)
	Equal(t, "RLIMIT_NOFILE", got["RLIMIT_NOFILE"], probe.Limit{Soft: 512, Hard: 512})
}

// processRlimitsAll sets each type to what it is already, or lower, since
// raising a hard limit needs a privilege the runtime may lack.
func processRlimitsAll(t *T) {
	before := t.Facts(t.Config(facts())).Limits
	config := t.Config(facts())
	want := map[string]probe.Limit{}
	for kind, limit := range before {
		if kind == "RLIMIT_NOFILE" || kind == "RLIMIT_DATA" || kind == "RLIMIT_AS" || kind == "RLIMIT_STACK" {
			limit.Soft = limit.Hard // the probe's own language runtime needs room, and raises RLIMIT_NOFILE
		} else if limit.Hard > 1<<40 {
			limit.Soft = 1 << 40
		}
		want[kind] = limit
		withLimit(config, kind, limit.Soft, limit.Hard)
	}
	got := t.Facts(config).Limits
	for kind, limit := range want {
		Equal(t, kind, got[kind], limit)
	}
}

func processRlimitsDuplicate(t *T) {
	config := withLimit(withLimit(t.Config(), "RLIMIT_CORE", 1, 2), "RLIMIT_CORE", 1, 2)
	t.RefusedOrNotRun(config, "two entries for RLIMIT_CORE")
}

func processRlimitsUnknown(t *T) {
	t.RefusedOrNotRun(withLimit(t.Config(), "RLIMIT_NO_SUCH", 1, 2), "an unknown limit")
}

func processRlimitsInverted(t *T) {
	t.RefusedOrNotRun(withLimit(t.Config(), "RLIMIT_CORE", 2, 1), "a soft limit above the hard limit")
}

// capabilities used by the checks, with their numbers (capabilities(7)). All
// are in the usual default sets, so a restricted machine has them too.
var capNumbers = map[string]int{"CAP_CHOWN": 0, "CAP_KILL": 5, "CAP_NET_BIND_SERVICE": 10, "CAP_SYS_CHROOT": 18}

func capMask(names ...string) string {
	var mask uint64
	for _, name := range names {
		mask |= 1 << capNumbers[name]
	}
	return fmt.Sprintf("%016x", mask)
}

// distinctSets gives each of the five sets other members, within the rules
// of the kernel: effective in permitted, ambient in permitted and inheritable.
func distinctSets() *specs.LinuxCapabilities {
	return &specs.LinuxCapabilities{
		Bounding:    []string{"CAP_CHOWN", "CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT"},
		Permitted:   []string{"CAP_CHOWN", "CAP_KILL", "CAP_NET_BIND_SERVICE"},
		Inheritable: []string{"CAP_KILL", "CAP_NET_BIND_SERVICE"},
		Effective:   []string{"CAP_NET_BIND_SERVICE"},
		Ambient:     []string{"CAP_NET_BIND_SERVICE"},
	}
}

// capabilitySet looks at one set of a program that is not root: for root the
// kernel computes the sets anew at execve (capabilities(7)), which would hide
// what the runtime asked for. For such a user, permitted and effective are
// the ambient set after execve.
func capabilitySet(t *T, set string) {
	config := t.Config(facts())
	config.Process.Capabilities = distinctSets()
	config.Process.User = specs.User{UID: 1000, GID: 1000}
	status := t.Facts(config).Status
	field := map[string]string{"effective": "CapEff", "permitted": "CapPrm", "inheritable": "CapInh", "bounding": "CapBnd", "ambient": "CapAmb"}[set]
	want := map[string]string{
		"bounding": capMask(distinctSets().Bounding...), "inheritable": capMask(distinctSets().Inheritable...),
		"ambient": capMask(distinctSets().Ambient...), "permitted": capMask(distinctSets().Ambient...), "effective": capMask(distinctSets().Ambient...),
	}[set]
	Equal(t, "the "+set+" set", status[field], want)

	asRoot := t.Config(facts())
	asRoot.Process.Capabilities = &specs.LinuxCapabilities{
		Bounding: []string{"CAP_CHOWN", "CAP_KILL"}, Permitted: []string{"CAP_CHOWN", "CAP_KILL"}, Effective: []string{"CAP_CHOWN", "CAP_KILL"}}
	status = t.Facts(asRoot).Status
	if set == "bounding" || set == "permitted" || set == "effective" {
		Equal(t, "the "+set+" set of root", status[field], capMask("CAP_CHOWN", "CAP_KILL"))
	}
}

func capabilitiesNone(t *T) {
	config := t.Config(facts())
	config.Process.Capabilities = &specs.LinuxCapabilities{}
	status := t.Facts(config).Status
	for _, field := range []string{"CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb"} {
		Equal(t, field, status[field], capMask())
	}
}

func capabilitiesInheritableEmpty(t *T) {
	status := t.Facts(t.Config(facts())).Status
	Equal(t, "the inheritable set", status["CapInh"], capMask())
	Equal(t, "the ambient set", status["CapAmb"], capMask())
}

func capabilitiesAmbientUser(t *T) {
	config := t.Config(facts())
	config.Process.User = specs.User{UID: 1000, GID: 1000}
	names := []string{"CAP_NET_BIND_SERVICE"}
	config.Process.Capabilities = &specs.LinuxCapabilities{Bounding: names, Permitted: names, Inheritable: names, Effective: names, Ambient: names}
	status := t.Facts(config).Status
	Equal(t, "the effective set of a user with an ambient capability", status["CapEff"], capMask(names...))
}

func capabilityUnknown(t *T) {
	config := t.Config(facts())
	config.Process.Capabilities.Bounding = append(slices.Clone(config.Process.Capabilities.Bounding), "CAP_NO_SUCH_THING")
	t.Facts(config)
}

func capabilityEffect(t *T) {
	config := t.Config(probe.Op{Do: "sethostname", Data: "changed"})
	got := t.Find(t.Life(config), "sethostname", "")
	Equal(t, "setting the hostname without CAP_SYS_ADMIN", got.Outcome(), "EPERM")
}

func noNewPrivileges(t *T, set bool) {
	config := t.Config(facts())
	config.Process.NoNewPrivileges = set
	want := 0
	if set {
		want = 1
	}
	Equal(t, "no_new_privs", t.Facts(config).NoNewPrivs, want)
}

func noNewPrivilegesEffect(t *T) {
	inner := probe.Op{Do: "exec", Path: "/set-id", Args: probe.Args(facts())}
	for _, set := range []bool{true, false} {
		config := t.Config(inner)
		config.Process.User = specs.User{UID: 1000, GID: 1000}
		config.Process.NoNewPrivileges = set
		c := t.Container(config)
		t.Must(copyFile(t.options.Probe, c.Host("/set-id"), 0o755), "make a set-user-id program")
		t.Must(os.Chmod(c.Host("/set-id"), 0o755|os.ModeSetuid), "make a set-user-id program")
		if mountedNosuid(c.Rootfs) {
			t.Skipf("the working directory is mounted nosuid")
		}
		child := t.Find(probe.Parse([]byte(t.Find(c.Life(), "exec", "").Text)), "facts", "").Facts
		want := 0
		if set {
			want = 1000
		}
		Equal(t, fmt.Sprintf("the effective uid of a set-user-id program with noNewPrivileges %v", set), child.EUID, want)
	}
}

func mountedNosuid(path string) bool {
	var fs unix.Statfs_t
	return unix.Statfs(path, &fs) == nil && fs.Flags&unix.ST_NOSUID != 0
}

func oomScoreSet(t *T) {
	config := t.Config(facts())
	score := 321
	config.Process.OOMScoreAdj = &score
	Equal(t, "oom_score_adj", t.Facts(config).OOMScore, "321")
}

func oomScoreUnset(t *T) {
	own := strings.TrimSpace(string(readAll("/proc/self/oom_score_adj")))
	Equal(t, "oom_score_adj", t.Facts(t.Config(facts())).OOMScore, own)
}

func oomScoreInvalid(t *T) {
	config := t.Config()
	score := 1001
	config.Process.OOMScoreAdj = &score
	t.RefusedOrNotRun(config, "the oom_score_adj 1001")
}

func schedulerBatch(t *T) {
	config := t.Config(facts())
	config.Version = "1.1.0"
	config.Process.Scheduler = &specs.Scheduler{Policy: specs.SchedBatch, Nice: 7}
	got := t.Facts(config)
	Equal(t, "the scheduling policy", got.Policy, unix.SCHED_BATCH)
	Equal(t, "the nice value", got.Nice, 7)
}

func schedulerUnknown(t *T) {
	config := t.Config()
	config.Version = "1.1.0"
	config.Process.Scheduler = &specs.Scheduler{Policy: "SCHED_NO_SUCH"}
	t.RefusedOrNotRun(config, "an unknown scheduling policy")
}

func ioPriority(t *T, class specs.IOPriorityClass, number, level int) {
	config := t.Config(facts())
	config.Version = "1.1.0"
	config.Process.IOPriority = &specs.LinuxIOPriority{Class: class, Priority: level}
	got := t.Facts(config).IOPrio
	Equal(t, "the I/O priority (class and level)", [2]int{got >> 13, got & 7}, [2]int{number, level})
}

func ioPriorityUnknown(t *T) {
	config := t.Config()
	config.Version = "1.1.0"
	config.Process.IOPriority = &specs.LinuxIOPriority{Class: "IOPRIO_CLASS_NO_SUCH", Priority: 1}
	t.RefusedOrNotRun(config, "an unknown class of I/O priority")
}

func userIDs(t *T) {
	config := t.Config(facts())
	config.Process.User = specs.User{UID: 1001, GID: 1002}
	got := t.Facts(config)
	Equal(t, "the real and effective user ids", [2]int{got.UID, got.EUID}, [2]int{1001, 1001})
	Equal(t, "the four user ids in status", got.Status["Uid"], "1001\t1001\t1001\t1001")
}

func userGroup(t *T) {
	config := t.Config(facts())
	config.Process.User = specs.User{UID: 1001, GID: 1002}
	got := t.Facts(config)
	Equal(t, "the real and effective group ids", [2]int{got.GID, got.EGID}, [2]int{1002, 1002})
}

func userGroups(t *T) {
	config := t.Config(facts())
	config.Process.User = specs.User{UID: 1001, GID: 1002, AdditionalGids: []uint32{7, 77, 7777}}
	got := t.Facts(config).Groups
	for _, want := range []int{7, 77, 7777} {
		if !slices.Contains(got, want) {
			t.Errorf("the group %d is missing from %v", want, got)
		}
	}
	for _, group := range got {
		if !slices.Contains([]int{7, 77, 7777, 1002}, group) {
			t.Errorf("the program is in the group %d, which was not asked for", group)
		}
	}
}

func userNoGroups(t *T) {
	config := t.Config(facts())
	config.Process.User = specs.User{UID: 1001, GID: 1002}
	for _, group := range t.Facts(config).Groups {
		if group != 1002 {
			t.Errorf("the program is in the group %d, which was not asked for", group)
		}
	}
}

func userUmask(t *T) {
	config := t.Config(facts())
	mask := uint32(0o137)
	config.Process.User.Umask = &mask
	Equal(t, "the umask", t.Facts(config).Umask, 0o137)
}

func userWithoutPasswd(t *T) {
	config := t.Config(facts())
	config.Process.User = specs.User{UID: 54321, GID: 54321}
	Equal(t, "the user id", t.Facts(config).UID, 54321)
}

func userLarge(t *T) {
	config := t.Config(facts())
	config.Process.User = specs.User{UID: 4294967293, GID: 2147483648}
	c := t.Container(config)
	if c.Create() != nil {
		return // runtimes may choose the subset of values they support (config.md, Valid values)
	}
	c.MustStart()
	c.Wait()
	got := c.Facts()
	Equal(t, "the user id", uint32(got.UID), 4294967293)
	Equal(t, "the group id", uint32(got.GID), 2147483648)
}

func userCannotWrite(t *T) {
	config := t.Config(creating("/etc/new"))
	config.Process.User = specs.User{UID: 1001, GID: 1002}
	Equal(t, "writing to a directory of root", t.Find(t.Life(config), "create", "").Outcome(), "EACCES")
}

func hostnameSet(t *T) {
	config := t.Config(facts())
	config.Hostname = "mrsdalloway"
	Equal(t, "the hostname", t.Facts(config).Hostname, "mrsdalloway")
}

func hostnameUnset(t *T) {
	config := t.Config(facts())
	config.Hostname = ""
	own, err := os.Hostname()
	t.Must(err, "read the host's name")
	Equal(t, "the hostname in a new uts namespace that was given none", t.Facts(config).Hostname, own)
}

func hostnameLong(t *T) {
	config := t.Config()
	config.Hostname = string(bytes.Repeat([]byte("h"), 65)) // __NEW_UTS_LEN is 64
	t.Refused(config, "a hostname of 65 characters")
}

func domainname(t *T) {
	config := t.Config(facts())
	config.Version = "1.1.0"
	config.Domainname = "foobarbaz.test"
	Equal(t, "the domain name", t.Facts(config).Domainname, "foobarbaz.test")
}

// console is a socket on which the runtime sends the terminal's master.
type console struct {
	t        *T
	path     string
	listener int
}

func (t *T) listenConsole() *console {
	path := filepath.Join(t.Dir, fmt.Sprintf("tty%d", len(t.cleanups)))
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	t.Must(err, "make a console socket")
	t.Cleanup(func() { unix.Close(fd) })
	t.Must(unix.Bind(fd, &unix.SockaddrUnix{Name: path}), "bind the console socket")
	t.Must(unix.Listen(fd, 1), "listen on the console socket")
	return &console{t: t, path: path, listener: fd}
}

// receive takes the descriptor of the terminal's master from the connection
// that create has made; it has returned, so the message is there.
func (c *console) receive() int {
	return c.t.receiveDescriptors(c.listener, nil)[0]
}
