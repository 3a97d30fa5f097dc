package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/opencontainers/runtime-spec/specs-go/features"
	"golang.org/x/mod/semver"
)

// features.md and features-linux.md. A runtime MAY tell its features; one that
// does not is skipped, one that does must keep its word.
var featuresChecks = []Check{
	{Name: "features/versions", Since: "1.1.0", Run: featuresVersions, Unprivileged: true,
		Clause: must("features.md", "featuresSpecificationVersion", "The value MUST NOT be less than the value of the ociVersionMin property")},
	{Name: "features/version-min-accepted", Since: "1.1.0", Run: func(t *T) { t.versionAccepted(t.features().OCIVersionMin) },
		Clause: must("features.md", "featuresSpecificationVersion", "The runtime MUST accept this value as the ociVersion property of config.json")},
	{Name: "features/version-max-accepted", Since: "1.1.0", Run: func(t *T) { t.versionAccepted(t.features().OCIVersionMax) },
		Clause: must("features.md", "featuresSpecificationVersion", "The runtime MUST accept this value as the ociVersion property of config.json")},
	{Name: "features/properties-defined", Since: "1.1.0", Run: featuresDefined, Unprivileged: true, Strict: true,
		Clause: must("features.md", "featuresSpecificationVersion", "The Features structure MUST NOT contain properties that are not defined in this version of the Open Container Initiative Runtime Specification")},
	{Name: "features/unsupported-is-refused", Since: "1.1.0", Run: featuresRefused,
		Clause: must("config.md", "configuration", invalidValues)},
	{Name: "features/hooks", Since: "1.1.0", Run: featuresHooks, Unprivileged: true,
		Clause: must("features.md", "featuresHooks", "The runtime MUST support the elements in this array as the hooks property of config.json")},
	{Name: "features/mount-options", Since: "1.1.0", Run: featuresMountOptions,
		Clause: must("features.md", "featuresMountOptions", "The runtime MUST recognize the elements in this array as the options of mounts objects in config.json")},
	{Name: "features/mount-options-complete", Since: "1.1.0", Run: featuresMountOptionsComplete, Unprivileged: true,
		Clause: should("features.md", "featuresMountOptions", "The recognized names of the mount options, including options that might not be supported by the host operating system")},
	{Name: "features/namespaces", Since: "1.1.0", Run: featuresNamespaces,
		Clause: must("features-linux.md", "linuxFeaturesNamespaces", "The runtime MUST recognize the elements in this array as the type of linux.namespaces objects in config.json")},
	{Name: "features/capabilities", Since: "1.1.0", Run: featuresCapabilities,
		Clause: must("features-linux.md", "linuxFeaturesCapabilities", "The runtime MUST recognize the elements in this array in the process.capabilities object of config.json")},
	{Name: "features/seccomp-actions", Since: "1.1.0", Run: featuresSeccompActions,
		Clause: must("features-linux.md", "linuxFeaturesSeccomp", "The runtime MUST recognize the elements in this array in the")},
	{Name: "features/seccomp-operators", Since: "1.1.0", Run: featuresSeccompOperators,
		Clause: must("features-linux.md", "linuxFeaturesSeccomp", "The runtime MUST recognize the elements in this array in the")},
	{Name: "features/seccomp-architectures", Since: "1.1.0", Run: featuresSeccompArchitectures,
		Clause: must("features-linux.md", "linuxFeaturesSeccomp", "The runtime MUST recognize the elements in this array in the architectures property of the linux.seccomp object in config.json")},
	{Name: "features/seccomp-flags", Since: "1.1.0", Run: featuresSeccompFlags,
		Clause: must("features-linux.md", "linuxFeaturesSeccomp", "The runtime MUST recognize and support the elements in this array in the flags property of the linux.seccomp object in config.json")},
}

// featuresText returns what the features operation prints.
func (t *T) featuresText() string {
	text, err := t.run(command{verb: "features", dir: t.Dir})
	if err != nil {
		t.Skipf("the runtime does not tell its features: %v", err)
	}
	return text
}

func (t *T) features() *features.Features {
	text := t.featuresText()
	var told features.Features
	if err := json.Unmarshal([]byte(text), &told); err != nil {
		t.Fatalf("cannot read the features %q: %v", text, err)
	}
	return &told
}

func (t *T) linuxFeatures() *features.Linux {
	told := t.features()
	if told.Linux == nil {
		t.Skipf("the runtime does not tell its features of Linux")
	}
	return told.Linux
}

func featuresVersions(t *T) {
	told := t.features()
	low, high := "v"+told.OCIVersionMin, "v"+told.OCIVersionMax
	if !semver.IsValid(low) || !semver.IsValid(high) {
		t.Fatalf("ociVersionMin %q or ociVersionMax %q is not in SemVer format", told.OCIVersionMin, told.OCIVersionMax)
	}
	if semver.Compare(high, low) < 0 {
		t.Errorf("ociVersionMax %q is less than ociVersionMin %q", told.OCIVersionMax, told.OCIVersionMin)
	}
}

func featuresDefined(t *T) {
	decoder := json.NewDecoder(strings.NewReader(t.featuresText()))
	decoder.DisallowUnknownFields()
	var told features.Features
	if err := decoder.Decode(&told); err != nil {
		t.Errorf("the features hold what the specification does not define: %v", err)
	}
}

func featuresHooks(t *T) {
	for _, name := range t.features().Hooks {
		if !slices.Contains(hookKinds, name) {
			t.Errorf("the features name the unknown hook %q", name)
		}
	}
}

// declined asks the runtime once which features it declares unsupported. A
// feature it says nothing about, or that it names with null, is not declined.
func declined(ctx context.Context, target Runtime) map[string]bool {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	text, err := exec.CommandContext(ctx, target.Path, append(slices.Clone(target.Args), "features")...).Output()
	var told features.Features
	if err != nil || json.Unmarshal(text, &told) != nil || told.Linux == nil {
		return nil
	}
	no := func(enabled *bool) bool { return enabled != nil && !*enabled }
	l := told.Linux
	return map[string]bool{
		"linux.seccomp":    l.Seccomp != nil && no(l.Seccomp.Enabled),
		"linux.netDevices": l.NetDevices != nil && no(l.NetDevices.Enabled),
		"linux.intelRdt":   l.IntelRdt != nil && no(l.IntelRdt.Enabled),
	}
}

// featuresRefused uses each feature that the runtime declares unsupported.
func featuresRefused(t *T) {
	uses := map[string]func(*specs.Spec){
		"linux.seccomp":    func(config *specs.Spec) { filtered(config) },
		"linux.netDevices": func(config *specs.Spec) { config.Linux.NetDevices = map[string]specs.LinuxNetDevice{"nosuchdev0": {}} },
		"linux.intelRdt":   func(config *specs.Spec) { config.Linux.IntelRdt = &specs.LinuxIntelRdt{ClosID: "conformance"} },
	}
	tried := 0
	for feature, use := range uses {
		if !t.Env.Declined[feature] {
			continue
		}
		tried++
		config := t.Config()
		config.Version = SpecVersion
		use(config)
		t.Refused(config, "a configuration that uses "+feature+", which it declares unsupported")
	}
	if tried == 0 {
		t.Skipf("the runtime declares no feature unsupported")
	}
}

// notOnTmpfs are options that need another kind of mount than a plain tmpfs.
var notOnTmpfs = []string{"bind", "rbind", "remount", "idmap", "ridmap", "mand", "nomand", "acl", "noacl", "tmpcopyup"}

// featuresMountOptions mounts a tmpfs for each option; an option that was not
// recognized would be handed to the filesystem, which refuses it.
func featuresMountOptions(t *T) {
	options := t.features().MountOptions
	if len(options) == 0 {
		t.Skipf("the runtime does not tell its mount options")
	}
	config := t.Config(facts())
	for i, option := range options {
		if !slices.Contains(notOnTmpfs, option) {
			withMount(config, "tmpfs", "tmpfs", fmt.Sprintf("/mnt/%d", i), option)
		}
	}
	t.Facts(config)
}

func featuresMountOptionsComplete(t *T) {
	told := t.features().MountOptions
	if len(told) == 0 {
		t.Skipf("the runtime does not tell its mount options")
	}
	required := []string{"bind", "rbind", "private", "rprivate", "shared", "rshared", "slave", "rslave", "unbindable", "runbindable", "remount"}
	for _, check := range perOption() {
		required = append(required, strings.TrimPrefix(check.Name, "mounts/option/"))
	}
	for _, option := range required {
		if !slices.Contains(told, option) {
			t.Errorf("the features do not name the option %s, which every runtime MUST implement", option)
		}
	}
}

func featuresNamespaces(t *T) {
	told := t.linuxFeatures().Namespaces
	config := t.Config(facts())
	for _, kind := range told {
		if !slices.Contains(namespaceTypes, kind) {
			t.Errorf("the features name the unknown namespace %q", kind)
		} else if kind != "user" && t.Env.Namespaces[nsFile(kind)] {
			withNewNamespace(config, kind)
		}
	}
	t.Facts(config)
}

func featuresCapabilities(t *T) {
	names := t.linuxFeatures().Capabilities
	if len(names) == 0 {
		t.Skipf("the runtime does not tell its capabilities")
	}
	config := t.Config(facts())
	config.Process.Capabilities.Bounding = names
	t.Facts(config)
}

func (t *T) seccompFeatures() *features.Seccomp {
	told := t.linuxFeatures().Seccomp
	if told == nil || told.Enabled != nil && !*told.Enabled {
		t.Skipf("the runtime does not tell its features of seccomp")
	}
	return told
}

func featuresSeccompActions(t *T) {
	for _, action := range t.seccompFeatures().Actions {
		if action == string(specs.ActNotify) {
			continue // proven with a listener by seccomp/notify/process-state
		}
		config := filtered(t.Config(facts()))
		config.Linux.Seccomp.Syscalls[0] = specs.LinuxSyscall{Names: []string{"dup"}, Action: specs.LinuxSeccompAction(action)}
		t.Facts(config)
	}
}

func featuresSeccompOperators(t *T) {
	config := filtered(t.Config(facts()))
	config.Linux.Seccomp.Syscalls = nil
	for _, operator := range t.seccompFeatures().Operators {
		arg := specs.LinuxSeccompArg{Index: 0, Value: 5000, ValueTwo: 1, Op: specs.LinuxSeccompOperator(operator)}
		config.Linux.Seccomp.Syscalls = append(config.Linux.Seccomp.Syscalls,
			specs.LinuxSyscall{Names: []string{"dup"}, Action: specs.ActErrno, Args: []specs.LinuxSeccompArg{arg}})
	}
	t.Facts(config)
}

var bigEndian = []string{"SCMP_ARCH_MIPS", "SCMP_ARCH_MIPS64", "SCMP_ARCH_MIPS64N32", "SCMP_ARCH_PPC", "SCMP_ARCH_PPC64", "SCMP_ARCH_S390",
	"SCMP_ARCH_S390X", "SCMP_ARCH_PARISC", "SCMP_ARCH_PARISC64", "SCMP_ARCH_M68K", "SCMP_ARCH_SHEB"}

func featuresSeccompArchitectures(t *T) {
	config := filtered(t.Config(facts()))
	for _, arch := range t.seccompFeatures().Archs {
		if slices.Contains(bigEndian, arch) {
			continue // one filter cannot hold architectures of both byte orders (libseccomp, seccomp_arch_add(3))
		}
		config.Linux.Seccomp.Architectures = append(config.Linux.Seccomp.Architectures, specs.Arch(arch))
	}
	t.Facts(config)
}

func featuresSeccompFlags(t *T) {
	for _, flag := range t.seccompFeatures().SupportedFlags {
		if flag == "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV" {
			continue // valid with a listener only, seccomp(2)
		}
		config := filtered(t.Config(facts()))
		config.Linux.Seccomp.Flags = []specs.LinuxSeccompFlag{specs.LinuxSeccompFlag(flag)}
		t.Facts(config)
	}
}
