package spec

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-oci/berth/runtime/internal/host"
)

const process = `"process":{"cwd":"/","args":["sh"]`

// every namespace is there, so that a case shows its own finding alone
const ownAll = `"namespaces":[{"type":"pid"},{"type":"network"},{"type":"mount"},{"type":"ipc"},{"type":"uts"},{"type":"cgroup"}]`

func linux(s string) string { return `,"linux":{` + ownAll + `,` + s + `}` }

func proc(s string) string { return `,` + process + `,` + s + `}` }

// Each case is what is added to a minimal config, and the findings, as "path: part of the message"; warnings begin with "~".
var validateCases = []struct {
	add  string
	want []string
}{
	{``, nil},
	{proc(`"terminal":false`), nil},
	{`,"process":{"cwd":"sub","args":[]}`, []string{`process.args: is missing or empty`, `process.cwd: "sub" is not absolute`}},
	{proc(`"terminal":true,"consoleSize":{"width":70000,"height":1}`), []string{`process.consoleSize: is 70000 × 1`}},
	{proc(`"consoleSize":{"width":70000,"height":1}`), nil},
	{proc(`"user":{"uid":4294967295,"umask":512}`), []string{`process.user.uid: is 4294967295`, `process.user.umask: is 512 (octal 1000)`}},
	{proc(`"capabilities":{"bounding":["CAP_CHOWN","CAP_KILL\n"],"effective":["CAP_CHOWN"],"permitted":[]}`), []string{
		`~process.capabilities.bounding[1]: "CAP_KILL\n" is no capability`, `~process.capabilities.effective: has CAP_CHOWN, left out for not being permitted`}},
	{proc(`"capabilities":{"permitted":["CAP_KILL"],"ambient":["CAP_KILL"]}`), []string{`~process.capabilities.ambient: has CAP_KILL`}},
	{proc(`"rlimits":[{"type":"RLIMIT_CORE","soft":1,"hard":1},{"type":"RLIMIT_CORE","soft":1,"hard":1},{"type":"RLIMIT_X","soft":1,"hard":1},{"type":"RLIMIT_AS","soft":2,"hard":1}]`), []string{
		`process.rlimits[1].type: RLIMIT_CORE is given twice`, `process.rlimits[2].type: "RLIMIT_X" is not known`, `process.rlimits[3].soft: is 2, above`}},
	{proc(`"apparmorProfile":"p","selinuxLabel":"l"`), []string{`process.apparmorProfile: is "p", but AppArmor`, `process.selinuxLabel: is "l", but SELinux`}},
	{proc(`"apparmorProfile":"unconfined"`), nil},
	{proc(`"oomScoreAdj":1001`), []string{`process.oomScoreAdj: is 1001`}},
	{proc(`"oomScoreAdj":-1000`), nil},
	{proc(`"scheduler":{"policy":"SCHED_ISO"}`), []string{`process.scheduler.policy: "SCHED_ISO" is not known`}},
	{proc(`"scheduler":{"policy":"SCHED_OTHER","nice":20,"priority":1,"runtime":5}`), []string{`process.scheduler.nice: is 20`, `process.scheduler.priority: is 1, must be 0`, `process.scheduler: has runtime`}},
	{proc(`"scheduler":{"policy":"SCHED_FIFO","priority":0}`), []string{`process.scheduler.priority: is 0, must be from 1 to 99`}},
	{proc(`"scheduler":{"policy":"SCHED_DEADLINE","runtime":100000,"deadline":200000,"period":300000,"flags":["SCHED_FLAG_RECLAIM"]}`), nil},
	{proc(`"scheduler":{"policy":"SCHED_DEADLINE","runtime":3,"deadline":2}`), []string{`process.scheduler: must have 1024`}},
	{proc(`"scheduler":{"policy":"SCHED_BATCH","flags":["SCHED_FLAG_UTIL_CLAMP_MIN"]}`), []string{`process.scheduler.flags[0]: "SCHED_FLAG_UTIL_CLAMP_MIN" is not known`}},
	{proc(`"ioPriority":{"class":"IOPRIO_CLASS_NONE","priority":8}`), []string{`process.ioPriority.class: "IOPRIO_CLASS_NONE"`, `process.ioPriority.priority: is 8`}},
	{proc(`"execCPUAffinity":{"initial":"0-","final":"9000"}`), []string{`process.execCPUAffinity.initial: "0-" in "0-"`, `process.execCPUAffinity.final: 9000 is above`}},
	{`,"hostname":"h","domainname":"d"`, []string{`hostname: needs a uts namespace`, `domainname: needs a uts namespace`}},
	{`,"hostname":"` + strings.Repeat("h", 65) + `"` + linux(`"cgroupsPath":"/a"`), []string{`hostname: is 65 bytes long`}},
	{`,"mounts":[{"destination":"/proc","type":"proc"}],"linux":{"maskedPaths":["/x"]}`, []string{`mounts: needs a mount namespace`, `linux.maskedPaths: needs a mount namespace`}},
	{`,"mounts":[{"destination":"proc","type":"proc"}]` + linux(`"cgroupsPath":""`), []string{`~mounts[0].destination: "proc" is relative`}},
	{`,"mounts":[{"destination":"/../..","type":"proc"},{"destination":"","type":"proc"}]` + linux(`"cgroupsPath":""`), []string{`mounts[0].destination: is the root filesystem itself`, `mounts[1].destination: is empty`}},
	{`,"mounts":[{"destination":"/a","options":["rbind"]},{"destination":"/b"},{"destination":"/c","type":"bind","source":"/x"}]` + linux(`"cgroupsPath":""`), []string{
		`mounts[0].source: is empty`, `mounts[1].type: is empty`, `~mounts[2].options: have neither`}},
	{`,"mounts":[{"destination":"/a","type":"tmpfs","options":["` + strings.Repeat("x", 4096) + `"]}]` + linux(`"cgroupsPath":""`), []string{`mounts[0].options: hold 4096 bytes`}},
	{`,"mounts":[{"destination":"/a","type":"proc","options":["tmpcopyup"]}]` + linux(`"cgroupsPath":""`), []string{`mounts[0].options: hold tmpcopyup`}},
	{`,"mounts":[{"destination":"/a","source":"/b","options":["bind","idmap","size=1"]}]` + linux(`"cgroupsPath":""`), []string{
		`~mounts[0].options: hold "size=1"`, `mounts[0].options: hold idmap, but neither`}},
	{`,"mounts":[{"destination":"/a","source":"/b","options":["bind"],"uidMappings":[{"containerID":0,"hostID":1,"size":1}]}]` + linux(`"cgroupsPath":""`), []string{`mounts[0]: has only one of`}},
	{`,"linux":{"namespaces":[{"type":"pid"},{"type":"pid"},{"type":"net"},{"type":"ipc","path":"rel"}]}`, []string{
		`linux.namespaces[1].type: "pid" is given twice`, `linux.namespaces[2].type: "net" is not known`, `linux.namespaces[3].path: "rel" is not absolute`}},
	{`,"linux":{"uidMappings":[{"containerID":0,"hostID":1,"size":1}]}`, []string{`linux.uidMappings: or gidMappings are given without a user namespace`}},
	{`,"linux":{"namespaces":[{"type":"user"}]}`, []string{`linux.uidMappings: is empty`}},
	{`,"linux":{"namespaces":[{"type":"user"}],"uidMappings":[{"containerID":0,"hostID":1000,"size":10},{"containerID":9,"hostID":2000,"size":1},{"containerID":50,"hostID":0,"size":0}],"gidMappings":[{"containerID":4294967290,"hostID":0,"size":10}]}` + proc(`"user":{"uid":10,"gid":0}`), []string{
		`linux.uidMappings[1]: overlaps linux.uidMappings[0]`, `linux.uidMappings[2].size: is 0`, `linux.gidMappings[0]: reaches past the last id`,
		`process.user.uid: is 10, which the container's user namespace does not map`, `process.user.gid: is 0, which`}},
	{linux(`"timeOffsets":{"monotonic":{"nanosecs":1000000000},"realtime":{}}`), []string{`linux.timeOffsets: needs a new time namespace`, `linux.timeOffsets["monotonic"].nanosecs: is 1000000000`, `linux.timeOffsets["realtime"]: "realtime" is not known`}},
	{linux(`"devices":[{"type":"x","path":"dev/x","major":1,"minor":1},{"type":"c","path":"/dev/a","major":4096,"minor":0},{"type":"c","path":"/dev/a","major":1,"minor":3}]`), []string{
		`linux.devices[0].type: "x" is not known`, `linux.devices[0].path: "dev/x" is no absolute path`, `linux.devices[1]: has the number 4096:0`, `linux.devices[2].path: "/dev/a" is given twice`}},
	{linux(`"devices":[{"type":"p","path":"/run/fifo"},{"type":"c","path":"/a","major":1,"minor":3,"fileMode":8630},{"type":"c","path":"/b","major":1,"minor":3}]`), []string{`~linux.devices[2]: is the same device 1:3 as linux.devices[1]`}},
	{`,"linux":{"netDevices":{"eth0":{}}}`, []string{`linux.netDevices: needs a network namespace`}},
	{linux(`"netDevices":{"eth0":{"name":"a/b"},"eth1":{"name":"x"},"eth2":{"name":"x"},"eth3":{"name":"v%d"},"eth4":{"name":"v%d"},"../x":{}}`), []string{
		`linux.netDevices["../x"]: the device's name has no slash`, `linux.netDevices["eth0"].name: "a/b" is not usable`, `linux.netDevices["eth2"].name: "x" is the name of "eth1" as well`}},
	{linux(`"cgroupsPath":"/a/../b"`), []string{`linux.cgroupsPath: "/a/../b" climbs up`}},
	{linux(`"cgroupsPath":"system.slice:berth:a..b"`), nil},
	{linux(`"rootfsPropagation":"rslave"`), nil},
	{linux(`"rootfsPropagation":"none"`), []string{`linux.rootfsPropagation: "none" is not known`}},
	{linux(`"maskedPaths":["proc/kcore"],"readonlyPaths":["/proc/sys",""]`), []string{`linux.maskedPaths[0]: "proc/kcore" is not absolute`, `linux.readonlyPaths[1]: "" is not absolute`}},
	{linux(`"mountLabel":"x"`), []string{`linux.mountLabel: is "x", but SELinux`}},
	{linux(`"personality":{"domain":"BSD","flags":["X"]}`), []string{`linux.personality.domain: "BSD" is not known`, `linux.personality.flags[0]: is "X"`}},
	{linux(`"intelRdt":{"closID":"a/b","memBwSchema":"L3:0","schemata":["a\nb"]}`), []string{`linux.intelRdt.closID: "a/b"`, `linux.intelRdt.memBwSchema: "L3:0" does not`, `linux.intelRdt.schemata[0]: "a\nb" holds a line break`}},
	{linux(`"intelRdt":{"closID":"/"}`), nil},
	{linux(`"memoryPolicy":{"mode":"MPOL_BIND"}`), []string{`linux.memoryPolicy.nodes: is empty, and MPOL_BIND needs`}},
	{linux(`"memoryPolicy":{"mode":"MPOL_DEFAULT","nodes":"0"}`), []string{`linux.memoryPolicy.nodes: is "0", and MPOL_DEFAULT takes no nodes`}},
	{linux(`"memoryPolicy":{"mode":"MPOL_INTERLEAVE","nodes":"2-1","flags":["MPOL_F_STATIC_NODES","MPOL_F_RELATIVE_NODES","MPOL_F_NUMA_BALANCING"]}`), []string{
		`linux.memoryPolicy.nodes: "2-1" in "2-1"`, `linux.memoryPolicy.flags: has MPOL_F_NUMA_BALANCING`, `linux.memoryPolicy.flags: has both`}},
	{linux(`"sysctl":{"kernel.hostname":"x","kernel.panic":"1","net.ipv4.ip_forward":"1","net/../kernel/panic":"1","fs.mqueue.msg_max":"1","vm.swappiness":"1"}`), []string{
		`linux.sysctl["kernel.hostname"]: is set by the property hostname`, `linux.sysctl["kernel.panic"]: belongs to no namespace`,
		`linux.sysctl["net/../kernel/panic"]: is no name`, `linux.sysctl["vm.swappiness"]: belongs to no namespace`}},
	{`,"linux":{"sysctl":{"net.core.somaxconn":"1","kernel.sem":"1","user.max_user_namespaces":"1"}}`, []string{
		`linux.sysctl["kernel.sem"]: needs a ipc namespace`, `linux.sysctl["net.core.somaxconn"]: needs a network namespace`, `linux.sysctl["user.max_user_namespaces"]: needs a user namespace`}},
	{linux(`"seccomp":{"defaultAction":"SCMP_ACT_NOTIFY","architectures":["X"],"flags":["Y"],"listenerMetadata":"m","syscalls":[{"names":[],"action":"Z","args":[{"index":6,"value":0,"op":"W"}]},{"names":["a"],"action":"SCMP_ACT_NOTIFY"}]}`), []string{
		`linux.seccomp.defaultAction: is SCMP_ACT_NOTIFY`, `linux.seccomp.architectures[0]: "X"`, `linux.seccomp.flags[0]: "Y"`, `linux.seccomp.listenerMetadata: is given without`,
		`linux.seccomp.syscalls[0].names: is empty`, `linux.seccomp.syscalls[0].action: "Z"`, `linux.seccomp.syscalls[0].args[0].index: is 6`, `linux.seccomp.syscalls[0].args[0].op: "W"`, `linux.seccomp.syscalls[1].action: is SCMP_ACT_NOTIFY`}},
	{linux(`"seccomp":{"defaultAction":"SCMP_ACT_ALLOW","defaultErrnoRet":1,"syscalls":[{"names":["a"],"action":"SCMP_ACT_ERRNO","errnoRet":4096},{"names":["a"],"action":"SCMP_ACT_TRACE","errnoRet":4096}]}`), []string{
		`linux.seccomp.defaultErrnoRet: is given, and SCMP_ACT_ALLOW`, `linux.seccomp.syscalls[0].errnoRet: is 4096`}},
	{linux(`"resources":{"devices":[{"allow":true,"type":"x","access":"rx"},{"allow":false,"major":-2}],"pids":{"limit":-2},"hugepageLimits":[{"pageSize":"2mb","limit":1}],"rdma":{"a":{}},"unified":{"memory/high":"1"}}`), []string{
		`linux.resources.devices[0].type: "x"`, `linux.resources.devices[0].access: "rx"`, `linux.resources.devices[1]: has a device number`, `linux.resources.pids.limit: is -2`,
		`linux.resources.hugepageLimits[0].pageSize: "2mb"`, `linux.resources.rdma["a"]: has neither`, `linux.resources.unified["memory/high"]: is no file`}},
	{linux(`"resources":{"memory":{"limit":100,"swap":50,"swappiness":101,"reservation":-2,"kernel":5},"cpu":{"quota":5,"burst":6,"idle":2,"cpus":"x"},"pids":{"limit":0}}`), []string{
		`linux.resources.memory.reservation: is -2`, `~linux.resources.memory.kernel: has no effect`, `linux.resources.memory.swappiness: is 101`, `linux.resources.memory.swap: is 50, below`,
		`linux.resources.cpu.burst: is 6`, `linux.resources.cpu.idle: is 2`, `linux.resources.cpu.cpus: "x"`}},
	{linux(`"resources":{"blockIO":{"weight":9,"leafWeight":0,"weightDevice":[{"major":8,"minor":0}],"throttleReadBpsDevice":[{"major":-1,"minor":0,"rate":1}]}}`), []string{
		`linux.resources.blockIO.weight: is 9`, `linux.resources.blockIO.weightDevice[0]: has neither`, `linux.resources.blockIO.throttleReadBpsDevice[0]: has the number`}},
	{`,"hooks":{"prestart":[{"path":"x","timeout":0}],"poststop":[{"path":"/x","timeout":-1},{"path":"/y","timeout":1}]}`, []string{
		`hooks.prestart[0].path: "x" is not absolute`, `hooks.prestart[0].timeout: is 0`, `hooks.poststop[0].timeout: is -1`}},
	{`,"annotations":{"":"x","a":""}`, []string{`annotations: has an entry with an empty key`}},
}

func TestValidateFindsEachFault(t *testing.T) {
	everySupported(t)
	for _, c := range validateCases {
		raw, _, err := Parse(minimal(c.add))
		if err != nil {
			t.Errorf("%s: %v", c.add, err)
			continue
		}
		sameFindings(t, c.add, Validate(raw, host.Modern()), c.want)
	}
}

func sameFindings(t *testing.T, name string, found []Finding, want []string) {
	t.Helper()
	if len(found) != len(want) {
		t.Errorf("%.200s:\n found %v\n want %q", name, found, want)
		return
	}
	for i, f := range found {
		warning := strings.HasPrefix(want[i], "~")
		path, part, _ := strings.Cut(strings.TrimPrefix(want[i], "~"), ": ")
		if f.Path != path || !strings.Contains(f.Message, part) || f.Warning != warning {
			t.Errorf("%.200s:\n found %s (warning: %v)\n want %q", name, f, f.Warning, want[i])
		}
		if f.Clause == "" && !strings.Contains(f.Remedy, "0-3") {
			t.Errorf("%s has no clause", f)
		}
	}
}

func TestValidateVersions(t *testing.T) {
	for version, ok := range map[string]bool{
		"1.0.0": true, "1.0.2-dev": true, "1.0.0-rc5": true, "1.1.0+dev": true, "1.2.1": true, "1.3.0": true, "1.3.9": true, "1.0.0-a.b-c.0": true,
		"1.4.0": false, "2.0.0": false, "0.1.0": false, "1.0": false, "v1.0.0": false, "": false, "1.0.0-": false, "01.0.0": false,
		"1.0.0-01": false, "1.0.0+": false, "1.0.0 ": false, "1.0.0.0": false, "1.-1.0": false, "1.0.99999999999999999999": false,
	} {
		raw, _, err := Parse(`{"ociVersion":` + quote(version) + `,"root":{"path":"r"}}`)
		if err != nil {
			t.Fatal(err)
		}
		if got := Refusal(Validate(raw, host.Modern())) == nil; got != ok {
			t.Errorf("version %q accepted: %v, want %v", version, got, ok)
		}
	}
}

func quote(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

func TestValidateKnowsTheHost(t *testing.T) {
	everySupported(t)
	user := func(h host.Host) host.Host { h.EUID, h.Rootless = 1000, true; return h }
	without := func(name string) host.Host {
		h, err := host.Modern().Without(name)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	confined := host.Modern()
	confined.LSM = host.LSM{Apparmor: true, Selinux: true}
	for _, c := range []struct {
		name, add string
		h         host.Host
		want      []string
	}{
		{"labels", proc(`"apparmorProfile":"p","selinuxLabel":"l"`), confined, nil},
		{"no root", ``, user(host.Modern()), []string{`linux.namespaces: has no user namespace`}},
		{"devices without root", `,"linux":{"namespaces":[{"type":"user","path":"/n"},{"type":"network"}],"netDevices":{"eth0":{}}}`, user(host.Modern()), []string{`linux.netDevices: cannot be moved`}},
		{"no time", `,"linux":{"namespaces":[{"type":"time"}]}`, without("timeNamespace"), []string{`linux.namespaces: has a time namespace`}},
		{"no rro", `,"mounts":[{"destination":"/a","source":"/b","options":["rbind","rro"]}]` + linux(`"cgroupsPath":""`), host.Oldest(), []string{`mounts[0].options: hold a recursive option`}},
		{"no symfollow", `,"mounts":[{"destination":"/a","source":"/b","options":["rbind","nosymfollow"]}]` + linux(`"cgroupsPath":""`), without("noSymFollow"), []string{`mounts[0].options: hold nosymfollow`}},
		{"unified on v1", linux(`"resources":{"unified":{"memory.high":"1"}}`), host.Oldest(), []string{`linux.resources.unified: needs control groups v2`}},
		{"no seccomp", linux(`"seccomp":{"defaultAction":"SCMP_ACT_ALLOW"}`), host.Host{Kernel: host.ParseKernel("6.1")}, []string{`linux.seccomp: cannot be applied`}},
		{"old capability", proc(`"capabilities":{"bounding":["CAP_BPF"]}`), host.Host{LastCap: 38}, []string{`~process.capabilities.bounding[0]: "CAP_BPF" is no capability of this kernel`}},
	} {
		raw, _, err := Parse(minimal(c.add))
		if err != nil {
			t.Fatal(err)
		}
		sameFindings(t, c.name, Validate(raw, c.h), c.want)
	}
}

func TestValidateBoundsItsFindings(t *testing.T) {
	raw, _, err := Parse(minimal(`,"linux":{"sysctl":{},"maskedPaths":[` + strings.TrimSuffix(strings.Repeat(`"x",`, 100_000), ",") + `]}`))
	if err != nil {
		t.Fatal(err)
	}
	found := Validate(raw, host.Modern())
	if len(found) != maxFindings+1 || !strings.Contains(found[maxFindings].Message, "more findings are left out") {
		t.Errorf("%d findings, the last %v", len(found), found[len(found)-1])
	}
}

func TestFindingsStayOnOneLine(t *testing.T) {
	raw, _, err := Parse(minimal(`,"linux":{"sysctl":{"a\n\u001b[31mb":"1"},"rootfsPropagation":"x\ny\u001b"},"hooks":{"poststop":[{"path":"\u202e\n"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	found := Validate(raw, host.Modern())
	if len(found) != 3 {
		t.Fatalf("found %v", found)
	}
	for _, f := range found {
		for _, c := range f.String() {
			if c < ' ' || c > '~' {
				t.Errorf("%q holds %q", f.String(), c)
			}
		}
	}
}

func TestOpenRefusesWithEveryReason(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(minimal(`,"hostname":"h","process":{"cwd":"x","args":["a"]}`)), 0o600); err != nil {
		t.Fatal(err)
	}
	_, found, err := Open(dir, host.Modern())
	if len(found) != 2 || err == nil {
		t.Fatalf("%v, %v", found, err)
	}
	for _, want := range []string{dir + "/config.json", "process.cwd", "hostname: needs a uts namespace", "begin it with"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
}

func TestDockersConfigHasNoFindings(t *testing.T) {
	everySupported(t)
	h := host.Modern()
	h.LSM.Apparmor = true
	for _, name := range []string{"docker", "example"} {
		if _, found, err := Open("testdata/"+name, h); err != nil || len(found) > 0 {
			t.Errorf("%s: %v, %v", name, found, err)
		}
	}
}

func TestValidateProcessForExec(t *testing.T) {
	p, err := ParseProcess(`{"cwd":"/","args":["a"],"user":{"uid":5,"gid":0},"rlimits":[{"type":"RLIMIT_X","soft":0,"hard":0}]}`)
	if err != nil {
		t.Fatal(err)
	}
	container, _, err := Parse(minimal(`,"linux":{"namespaces":[{"type":"user"}],"uidMappings":[{"containerID":0,"hostID":1,"size":1}],"gidMappings":[{"containerID":0,"hostID":1,"size":1}]}`))
	if err != nil {
		t.Fatal(err)
	}
	sameFindings(t, "exec", ValidateProcess(p, container, host.Modern()), []string{`process.user.uid: is 5`, `process.rlimits[0].type: "RLIMIT_X"`})
	sameFindings(t, "exec", ValidateProcess(p, nil, host.Modern()), []string{`process.rlimits[0].type: "RLIMIT_X"`})
}

// Whatever validates also resolves, stays inside the root and has its Has… flags right.
func FuzzResolve(f *testing.F) {
	everySupported(f)
	for _, c := range validateCases {
		f.Add(minimal(c.add))
	}
	h := host.Modern()
	h.LSM = host.LSM{Apparmor: true, Selinux: true}
	f.Fuzz(func(t *testing.T, text string) {
		raw, _, err := Parse(text)
		if err != nil {
			return
		}
		refused := Refusal(Validate(raw, h))
		s, err := Resolve(raw, "/bundle")
		if refused == nil && err != nil {
			t.Fatalf("Validate accepts %s, Resolve does not: %v", text, err)
		}
		if err != nil {
			return
		}
		for _, p := range insidePaths(&s) {
			if p[0] != '/' || p != filepath.Clean(p) || p == "/.." || strings.HasPrefix(p, "/../") {
				t.Fatalf("%s: %q may leave the root", text, p)
			}
		}
		if s.HasProcess != (raw.Process != nil) || len(s.Mounts) != len(raw.Mounts) {
			t.Fatalf("%s: something was dropped", text)
		}
	})
}

func insidePaths(s *Spec) []string {
	l := append([]string{s.Root.Path}, s.Linux.MaskedPaths...)
	l = append(l, s.Linux.ReadonlyPaths...)
	for _, m := range s.Mounts {
		l = append(l, m.Destination)
	}
	for _, d := range s.Linux.Devices {
		l = append(l, d.Path)
	}
	if s.HasProcess {
		l = append(l, s.Process.Cwd)
	}
	return l
}

func BenchmarkOpenDocker(b *testing.B) {
	everySupported(b)
	h := host.Modern()
	h.LSM.Apparmor = true
	dir, err := filepath.Abs("testdata/docker")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := Open(dir, h); err != nil {
			b.Fatal(err)
		}
	}
}
