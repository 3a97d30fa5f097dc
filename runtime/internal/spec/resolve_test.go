package spec

import (
	"encoding/json"
	"slices"
	"sort"
	"testing"

	"github.com/berth-oci/berth/runtime/internal/host"
)

func TestMountOptionsAreSortedAndOnce(t *testing.T) {
	l := MountOptions()
	if !sort.StringsAreSorted(l) || len(slices.Compact(slices.Clone(l))) != len(l) {
		t.Error("the table of mount options must be sorted, without duplicates: it is searched by halves")
	}
	for _, name := range l {
		if o := findOption(name); o == nil || o.name != name {
			t.Errorf("option %q is not found", name)
		}
	}
}

func TestMountOptionsResolve(t *testing.T) {
	for _, c := range []struct {
		options []string
		want    Mount
	}{
		{nil, Mount{}},
		{[]string{"defaults"}, Mount{}},
		{[]string{"ro", "nosuid", "size=1k", "mode=755"}, Mount{Flags: MS_RDONLY | MS_NOSUID, Data: "size=1k,mode=755"}},
		{[]string{"ro", "rw"}, Mount{ClearFlags: MS_RDONLY}},
		{[]string{"rw", "ro"}, Mount{Flags: MS_RDONLY}},
		{[]string{"noatime", "strictatime"}, Mount{Flags: MS_STRICTATIME}},
		{[]string{"noatime", "atime"}, Mount{ClearFlags: MS_NOATIME}},
		{[]string{"rprivate", "shared"}, Mount{Propagation: []uintptr{MS_PRIVATE | MS_REC, MS_SHARED}}},
		{[]string{"rro", "rnoatime", "rdev"}, Mount{Rec: Attr{Set: MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOATIME, Clr: MOUNT_ATTR__ATIME | MOUNT_ATTR_NODEV}}},
		{[]string{"rro", "rrw"}, Mount{Rec: Attr{Clr: MOUNT_ATTR_RDONLY}}},
		{[]string{"rnoatime", "rstrictatime"}, Mount{Rec: Attr{Set: MOUNT_ATTR_STRICTATIME, Clr: MOUNT_ATTR__ATIME}}},
		{[]string{"rstrictatime", "rrelatime"}, Mount{Rec: Attr{Clr: MOUNT_ATTR__ATIME}}},
		{[]string{"tmpcopyup", "", "ridmap"}, Mount{TmpCopyUp: true, HasIDMap: true, IDMapRecurse: true}},
	} {
		var m Mount
		m.applyOptions(c.options)
		if m.Flags != c.want.Flags || m.ClearFlags != c.want.ClearFlags || m.Rec != c.want.Rec || m.Data != c.want.Data ||
			!slices.Equal(m.Propagation, c.want.Propagation) || m.TmpCopyUp != c.want.TmpCopyUp ||
			m.HasIDMap != c.want.HasIDMap || m.IDMapRecurse != c.want.IDMapRecurse {
			t.Errorf("%v gives %+v, want %+v", c.options, m, c.want)
		}
	}
}

func TestMountAttr(t *testing.T) {
	m := Mount{Flags: MS_RDONLY | MS_NOATIME | MS_SYNCHRONOUS | MS_NOSYMFOLLOW, ClearFlags: MS_NODEV}
	if got, want := m.Attr(), (Attr{MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOATIME | MOUNT_ATTR_NOSYMFOLLOW, MOUNT_ATTR_NODEV | MOUNT_ATTR__ATIME}); got != want {
		t.Errorf("Attr = %x, want %x", got, want)
	}
	if got := (Mount{ClearFlags: MS_NOATIME}).Attr(); got != (Attr{Clr: MOUNT_ATTR__ATIME}) {
		t.Errorf("atime gives %x", got)
	}
}

func TestParseBits(t *testing.T) {
	for list, want := range map[string][]int{
		"0": {0}, "0-3,7": {0, 1, 2, 3, 7}, "63-64": {63, 64}, "1, 3": {1, 3}, "130": {130},
		"60-200": func() (l []int) {
			for n := 60; n <= 200; n++ {
				l = append(l, n)
			}
			return
		}(),
	} {
		b, err := parseBits(list, 8191)
		if err != nil {
			t.Errorf("%q: %v", list, err)
		}
		var got []int
		for n := range 300 {
			if b.Has(n) {
				got = append(got, n)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q gives %v", list, got)
		}
	}
	for _, list := range []string{"a", "3-1", "-1", "1-", "1,,2", "8192", "99999999999999999999", "0x1"} {
		if b, err := parseBits(list, 8191); err == nil {
			t.Errorf("%q gives %v", list, b)
		}
	}
	if b, err := parseBits("", 1); b != nil || err != nil {
		t.Errorf("an empty list gives %v, %v", b, err)
	}
}

func TestSysctlFile(t *testing.T) {
	for name, want := range map[string]string{
		"net.ipv4.ip_forward":             "net/ipv4/ip_forward",
		"net/ipv4/conf/eth0.1/forwarding": "net/ipv4/conf/eth0.1/forwarding",
		"net.ipv4.conf.eth0/1.forwarding": "net/ipv4/conf/eth0.1/forwarding",
		"kernel":                          "kernel",
	} {
		if got := sysctlFile(name); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
}

func TestResolveDockersConfig(t *testing.T) {
	raw, err := Load("testdata/docker")
	if err != nil {
		t.Fatal(err)
	}
	s, err := Resolve(raw, "/run/bundle")
	if err != nil {
		t.Fatal(err)
	}
	if s.Root.Path != "/run/bundle/rootfs" || !s.HasProcess || !s.Process.HasOOMScoreAdj || s.Process.Cwd != "/" {
		t.Errorf("%+v", s)
	}
	n := s.Linux.Namespaces
	if !n[PIDNS].New || !n[MountNS].New || n[UserNS].Own() || n[TimeNS].Own() {
		t.Errorf("namespaces %+v", n)
	}
	hosts := s.Mounts[9]
	if !hosts.IsBind || !hosts.Recursive || hosts.Type != "bind" || hosts.Data != "" || hosts.Propagation[0] != MS_PRIVATE|MS_REC {
		t.Errorf("%+v", hosts)
	}
	if got := s.Process.Capabilities.Bounding; got != 0xa80425fb {
		t.Errorf("bounding set %x, Docker's is a80425fb", got)
	}
	if h := s.Hooks.Prestart; len(h) != 1 || h[0].Kind != "prestart" || h[0].Timeout != 0 {
		t.Errorf("hooks %+v", h)
	}
	if len(s.Linux.Sysctl) != 2 || s.Linux.Sysctl[0].File != "net/ipv4/ip_unprivileged_port_start" {
		t.Errorf("sysctl %+v", s.Linux.Sysctl)
	}
}

// A config that uses every property is accepted where the machine has all there is, and resolves to what the file says.
func TestResolveIsGolden(t *testing.T) {
	everySupported(t)
	h := host.Modern()
	h.LSM = host.LSM{Apparmor: true, Selinux: true}
	for _, name := range []string{"everything", "docker", "example", "rootless"} {
		raw, err := Load("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if found := Validate(raw, h); len(found) > 0 {
			t.Errorf("%s: %v", name, found)
		}
		s, err := Resolve(raw, "/run/bundle")
		if err != nil {
			t.Fatal(err)
		}
		s.Linux.Resources, s.Linux.Seccomp = nil, nil // as they are in the config
		text, err := json.MarshalIndent(s, "", "\t")
		if err != nil {
			t.Fatal(err)
		}
		golden(t, "testdata/"+name+"/resolved.json", append(text, '\n'))
	}
}
