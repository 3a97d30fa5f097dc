package vm_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/berth-oci/berth/conformance/vm"
	"github.com/berth-oci/berth/conformance/vm/vmtest"
)

// allVariable names the environment variable that asks for the machines whose boot takes longest.
const allVariable = "CONFORMANCE_VM_ALL"

func TestSystemd(t *testing.T) {
	for i, m := range []vm.Machine{
		{Arch: "amd64", Systemd: true},
		{Arch: "arm64", Systemd: true},
		{Arch: "amd64", Suite: "bookworm", Cgroup: vm.CgroupHybrid, Systemd: true},
	} {
		t.Run(m.String(), func(t *testing.T) {
			if i > 0 && os.Getenv(allVariable) == "" {
				t.Skip("a second boot of systemd takes a while: set " + allVariable + "=1 to have it")
			}
			start := time.Now()
			g := vmtest.Boot(t, m)
			t.Logf("booted in %.1f s, kernel's clock %.1f s: %+v", time.Since(start).Seconds(), g.Facts.Uptime, g.Facts)
			if got := run(t, g, "cat /proc/1/comm; systemctl is-system-running --wait"); got != "systemd\nrunning" {
				t.Errorf("process 1 and its state: %q\n%s", got, run(t, g, "systemctl --failed"))
			}
			file, group := "/sys/fs/cgroup$(sed -n s/^0:://p /proc/self/cgroup)/pids.max", "0::/system.slice/probe.service"
			if m.Cgroup == vm.CgroupHybrid {
				file, group = "/sys/fs/cgroup/pids$(sed -n s/^.*:pids://p /proc/self/cgroup)/pids.max", "1:name=systemd:/system.slice/probe.service"
			}
			got := run(t, g, "systemd-run -q --unit=probe --wait --pipe -p TasksMax=77 sh -c 'cat "+file+" /proc/self/cgroup'")
			if !strings.HasPrefix(got, "77\n") || !strings.Contains(got, group) {
				t.Errorf("a service with TasksMax=77 reads %q", got)
			}
			if m.Cgroup != vm.CgroupHybrid {
				checkUserManager(t, g)
			}
		})
	}
}

func checkUserManager(t *testing.T, g *vm.Guest) {
	t.Helper()
	run(t, g, `loginctl enable-linger user; i=0; until systemctl is-active -q user@1000.service || [ $i -ge 300 ]; do sleep 0.2; i=$((i+1)); done`)
	res, err := g.Run(t.Context(), vm.Job{
		Command: []string{"systemd-run", "-q", "--user", "--wait", "--pipe", "sh", "-c", "id -u; cat /proc/self/cgroup"},
		Env:     []string{"XDG_RUNTIME_DIR=/run/user/1000", "HOME=/home/user"},
		UID:     1000, GID: 1000,
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := string(res.Stdout); !strings.HasPrefix(got, "1000\n0::/user.slice/user-1000.slice/user@1000.service/") {
		t.Errorf("a service of the user's manager reads %q %s\n%s", got, res.Stderr, run(t, g, "systemctl status user@1000.service; journalctl -b -n 30"))
	}
}

func TestAppArmorConfines(t *testing.T) {
	g := vmtest.Boot(t, vm.Machine{Arch: "amd64", Packages: []string{"apparmor"}})
	if !strings.Contains(g.Facts.LSM, "apparmor") {
		t.Fatalf("security modules are %q", g.Facts.LSM)
	}
	const profile = `profile probe { file, deny /etc/hostname r, }`
	res, err := g.Run(t.Context(), vm.Job{
		Files:   map[string]vm.File{"/probe": {Data: []byte(profile + "\n")}},
		Command: []string{"sh", "-c", `apparmor_parser -K -r /probe && cat /etc/hostname && aa-exec -p probe -- sh -c 'cat /proc/self/attr/current; cat /etc/hostname || echo denied'`},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := string(res.Stdout); got != "vm\nprobe (enforce)\ndenied\n" {
		t.Errorf("got %q, %s", got, res.Stderr)
	}
}
