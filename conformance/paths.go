package conformance

import (
	"os"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-oci/berth/conformance/probe"
)

// config-linux.md: masked and read-only paths, sysctl, personality.
var (
	pathChecks = []Check{
		{Name: "paths/masked/file", Run: maskedFile,
			Clause: must("config-linux.md", "configLinuxMaskedPaths", "maskedPaths (array of strings, OPTIONAL) will mask over the provided paths inside the container so that they cannot be read")},
		{Name: "paths/masked/directory", Run: maskedDirectory,
			Clause: must("config-linux.md", "configLinuxMaskedPaths", "maskedPaths (array of strings, OPTIONAL) will mask over the provided paths inside the container so that they cannot be read")},
		{Name: "paths/masked/in-proc", Run: maskedProc,
			Clause: must("config-linux.md", "configLinuxMaskedPaths", "maskedPaths (array of strings, OPTIONAL) will mask over the provided paths inside the container so that they cannot be read")},
		{Name: "paths/masked/missing-is-fine", Run: maskedMissing,
			Clause: should("config-linux.md", "configLinuxMaskedPaths", "maskedPaths (array of strings, OPTIONAL) will mask over the provided paths inside the container so that they cannot be read")},
		{Name: "paths/masked/relative", Run: func(t *T) { pathRelative(t, true) }, Strict: true,
			Clause: must("config-linux.md", "configLinuxMaskedPaths", "The values MUST be absolute paths in the container namespace")},
		{Name: "paths/readonly/file", Run: readonlyFile,
			Clause: must("config-linux.md", "configLinuxReadonlyPaths", "readonlyPaths (array of strings, OPTIONAL) will set the provided paths as readonly inside the container")},
		{Name: "paths/readonly/directory", Run: readonlyDirectory,
			Clause: must("config-linux.md", "configLinuxReadonlyPaths", "readonlyPaths (array of strings, OPTIONAL) will set the provided paths as readonly inside the container")},
		{Name: "paths/readonly/in-proc", Run: readonlyProc,
			Clause: must("config-linux.md", "configLinuxReadonlyPaths", "readonlyPaths (array of strings, OPTIONAL) will set the provided paths as readonly inside the container")},
		{Name: "paths/readonly/missing-is-fine", Run: readonlyMissing,
			Clause: should("config-linux.md", "configLinuxReadonlyPaths", "readonlyPaths (array of strings, OPTIONAL) will set the provided paths as readonly inside the container")},
		{Name: "paths/readonly/relative", Run: func(t *T) { pathRelative(t, false) }, Strict: true,
			Clause: must("config-linux.md", "configLinuxReadonlyPaths", "The values MUST be absolute paths in the container namespace")},
	}
	sysctlChecks = []Check{
		{Name: "sysctl/network", Run: func(t *T) { sysctlSet(t, "net.ipv4.ip_forward", "/proc/sys/net/ipv4/ip_forward", "1") },
			Clause: must("config-linux.md", "configLinuxSysctl", "sysctl (object, OPTIONAL) allows kernel parameters to be modified at runtime for the container")},
		{Name: "sysctl/ipc", Run: func(t *T) { sysctlSet(t, "kernel.shmmni", "/proc/sys/kernel/shmmni", "1234") },
			Clause: must("config-linux.md", "configLinuxSysctl", "sysctl (object, OPTIONAL) allows kernel parameters to be modified at runtime for the container")},
		{Name: "sysctl/slashes", Run: func(t *T) { sysctlSet(t, "net/ipv4/ip_forward", "/proc/sys/net/ipv4/ip_forward", "1") }, Strict: true,
			Clause: should("config-linux.md", "configLinuxSysctl", "For more information, see the sysctl(8) man page")},
		{Name: "sysctl/unknown", Run: sysctlUnknown,
			Clause: must("runtime.md", "runtimeCreate", "If the runtime cannot apply a property as specified in the configuration, it MUST generate an error and a new container MUST NOT be created")},
		{Name: "sysctl/host-not-changed", Run: sysctlHost,
			Clause: must("config-linux.md", "configLinuxSysctl", "sysctl (object, OPTIONAL) allows kernel parameters to be modified at runtime for the container")},
	}
	personalityChecks = []Check{
		{Name: "personality/linux32", Run: personality32, Needs: []Need{needMachine("x86_64", "aarch64")},
			Clause: must("config-linux.md", "configLinuxPersonality", "LINUX32 will set the uname system call to show a 32 bit CPU type, such as i686")},
		{Name: "personality/unknown", Run: personalityUnknown,
			Clause: must("config.md", "configuration", invalidValues)},
		{Name: "personality/flag", Run: personalityFlag, Strict: true,
			Clause: must("config.md", "configuration", invalidValues)},
		{Name: "memory-policy/bind", Run: memoryPolicyBind, Since: "1.3.0", Needs: []Need{needFile("/proc/self/numa_maps")},
			Clause: must("config-linux.md", "configLinuxMemoryPolicy", "memoryPolicy (object, OPTIONAL) sets the NUMA memory policy for the container")},
		{Name: "memory-policy/unknown-mode", Run: memoryPolicyUnknown, Since: "1.3.0",
			Clause: must("config.md", "configuration", invalidValues)},
	}
)

func withFiles(t *T, config *specs.Spec) *Container {
	c := t.Container(config)
	t.Must(os.MkdirAll(c.Host("/etc/secrets"), 0o755), "make a directory")
	for _, path := range []string{"/etc/secret", "/etc/secrets/inner"} {
		t.Must(os.WriteFile(c.Host(path), []byte("content"), 0o666), "make a file")
	}
	return c
}

func maskedFile(t *T) {
	config := t.Config(reading("/etc/secret"))
	config.Linux.MaskedPaths = []string{"/etc/secret"}
	c := withFiles(t, config)
	Equal(t, "what a masked file reads as", t.Find(c.Life(), "read", "").Text, "")
	Equal(t, "the file on the host", string(readAll(c.Host("/etc/secret"))), "content")
}

func maskedDirectory(t *T) {
	config := t.Config(doing("list", "/etc/secrets"), reading("/etc/secrets/inner"), creating("/etc/secrets/new"))
	config.Linux.MaskedPaths = []string{"/etc/secrets"}
	results := withFiles(t, config).Life()
	EqualLists(t, "the list of a masked directory", t.Find(results, "list", "").Names, nil)
	if t.Find(results, "read", "").OK() {
		t.Errorf("a file in a masked directory can be read")
	}
	if t.Find(results, "create", "").OK() {
		t.Errorf("a masked directory can be written to")
	}
}

func maskedProc(t *T) {
	config := t.Config(reading("/proc/version"), doing("list", "/proc/irq"))
	config.Linux.MaskedPaths = []string{"/proc/version", "/proc/irq"}
	results := t.Life(config)
	Equal(t, "what a masked file of /proc reads as", t.Find(results, "read", "").Text, "")
	EqualLists(t, "the list of a masked directory of /proc", t.Find(results, "list", "").Names, nil)
}

func maskedMissing(t *T) {
	config := t.Config(facts())
	config.Linux.MaskedPaths = []string{"/no/such/path"}
	t.Facts(config)
}

func readonlyFile(t *T) {
	config := t.Config(writing("/etc/secret", "changed"), reading("/etc/secret"))
	config.Linux.ReadonlyPaths = []string{"/etc/secret"}
	results := withFiles(t, config).Life()
	Equal(t, "writing to a read-only path", t.Find(results, "write", "").Outcome(), "EROFS")
	Equal(t, "what it reads as", t.Find(results, "read", "").Text, "content")
}

func readonlyDirectory(t *T) {
	config := t.Config(creating("/etc/secrets/new"), writing("/etc/secrets/inner", "x"), creating("/etc/beside"))
	config.Linux.ReadonlyPaths = []string{"/etc/secrets"}
	results := withFiles(t, config).Life()
	Equal(t, "making a file in a read-only path", t.Find(results, "create", "/etc/secrets/new").Outcome(), "EROFS")
	Equal(t, "writing to a file in a read-only path", t.Find(results, "write", "").Outcome(), "EROFS")
	Equal(t, "making a file beside it", t.Find(results, "create", "/etc/beside").Outcome(), "ok")
}

func readonlyProc(t *T) {
	config := t.Config(writing("/proc/sys/kernel/shmmni", "999"), reading("/proc/sys/kernel/shmmni"))
	config.Linux.ReadonlyPaths = []string{"/proc/sys"}
	results := t.Life(config)
	Equal(t, "writing below /proc/sys", t.Find(results, "write", "").Outcome(), "EROFS")
	Equal(t, "reading below /proc/sys", t.Find(results, "read", "").Outcome(), "ok")
}

func readonlyMissing(t *T) {
	config := t.Config(facts())
	config.Linux.ReadonlyPaths = []string{"/no/such/path"}
	t.Facts(config)
}

func pathRelative(t *T, masked bool) {
	config := t.Config()
	if masked {
		config.Linux.MaskedPaths = []string{"etc"}
	} else {
		config.Linux.ReadonlyPaths = []string{"etc"}
	}
	t.Refused(config, "a relative path to mask or protect")
}

func sysctlSet(t *T, key, path, value string) {
	config := t.Config(reading(path))
	config.Linux.Sysctl = map[string]string{key: value}
	Equal(t, key, t.Find(t.Life(config), "read", "").Text, value+"\n")
}

func sysctlUnknown(t *T) {
	config := t.Config()
	config.Linux.Sysctl = map[string]string{"net.no_such_parameter": "1"}
	t.Refused(config, "a kernel parameter that does not exist")
}

func sysctlHost(t *T) {
	before := string(readAll("/proc/sys/kernel/msgmni"))
	config := t.Config(facts())
	config.Linux.Sysctl = map[string]string{"kernel.msgmni": "777"}
	t.Facts(config)
	Equal(t, "the host's kernel.msgmni", string(readAll("/proc/sys/kernel/msgmni")), before)
}

func personality32(t *T) {
	config := t.Config(facts())
	config.Linux.Personality = &specs.LinuxPersonality{Domain: specs.PerLinux32}
	want := map[string]string{"x86_64": "i686", "aarch64": "armv8l"}[t.Env.Machine]
	Equal(t, "the machine that uname tells", t.Facts(config).Machine, want)
}

func personalityUnknown(t *T) {
	config := t.Config()
	config.Linux.Personality = &specs.LinuxPersonality{Domain: "SOLARIS"}
	t.RefusedOrNotRun(config, "an unknown personality")
}

func personalityFlag(t *T) {
	config := t.Config()
	config.Linux.Personality = &specs.LinuxPersonality{Domain: specs.PerLinux, Flags: []specs.LinuxPersonalityFlag{"ADDR_NO_RANDOMIZE"}}
	t.RefusedOrNotRun(config, "a personality flag, of which none is supported")
}

func memoryPolicyBind(t *T) {
	config := t.Config(probe.Op{Do: "mempolicy"})
	config.Version = "1.3.0"
	config.Linux.MemoryPolicy = &specs.LinuxMemoryPolicy{Mode: "MPOL_BIND", Nodes: "0"}
	if text := t.Find(t.Life(config), "mempolicy", "").Text; !contains(text, " bind:0") {
		t.Errorf("the memory of the program has the policy %q, want bind:0", text)
	}
}

func memoryPolicyUnknown(t *T) {
	config := t.Config()
	config.Version = "1.3.0"
	config.Linux.MemoryPolicy = &specs.LinuxMemoryPolicy{Mode: "MPOL_NO_SUCH"}
	t.RefusedOrNotRun(config, "an unknown memory policy")
}
