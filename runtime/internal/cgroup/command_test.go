package cgroup

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-oci/berth/conformance/vm"
	"github.com/berth-oci/berth/conformance/vm/vmtest"
)

// script drives the command with systemd's driver: born in the scope, limited, a reload survived, updated, paused, executed
// into, killed, and nothing left.
const script = `set -ex
cd /bundle
berth() { /bin/berth --systemd-cgroup --root /run/b "$@"; }
berth spec
sed -i 's/"terminal": true/"terminal": false/; s/"sh"/"sleep", "1000"/; s/"resources": {/"cgroupsPath": "system.slice:berth:box", &\n"pids": {"limit": 20}, "memory": {"limit": 67108864},/' config.json
berth create box >/dev/null 2>&1 </dev/null
systemctl is-active berth-box.scope
dir=/sys/fs/cgroup/system.slice/berth-box.scope
test "$(cat $dir/pids.max)" = 20
test "$(cat $dir/cgroup.procs)" = "$(berth state box | sed -n 's/.*"pid": *\([0-9]*\).*/\1/p')"
berth start box
systemctl daemon-reload
test "$(cat $dir/pids.max)" = 20
berth update --pids-limit 33 box
systemctl daemon-reload
test "$(cat $dir/pids.max)" = 33
test "$(systemctl show -P TasksMax berth-box.scope)" = 33
berth exec box sh -c 'grep -q "^0::/$" /proc/self/cgroup || cat /proc/self/cgroup'
berth pause box
berth state box | grep -q '"paused"'
berth resume box
berth events --stats box | grep -q '"pids":{"current":1,"limit":33}'
berth delete --force box
test ! -e $dir
systemctl is-active berth-box.scope && exit 1
berth list -q | grep . && exit 1
berth run --detach other >/dev/null 2>&1 </dev/null
berth kill other KILL
for i in 1 2 3 4 5 6 7 8 9 10; do berth state other | grep -q stopped && break; sleep 0.5; done
berth delete other
test ! -e /sys/fs/cgroup/system.slice/berth-box.scope

# the same below a plain user's own systemd
echo 'tester:x:4242:4242::/:/bin/sh' >>/etc/passwd
echo 'tester:x:4242:' >>/etc/group
systemctl start user@4242.service
export XDG_RUNTIME_DIR=/run/user/4242
as() { su -p -s /bin/sh tester -c "$*"; }
user() { as /bin/berth --systemd-cgroup "$@"; }
cp -r /bundle/rootfs $XDG_RUNTIME_DIR/rootfs
chown -R 4242:4242 $XDG_RUNTIME_DIR/rootfs
cd $XDG_RUNTIME_DIR
as /bin/berth spec --rootless
sed -i 's/"terminal": true/"terminal": false/; s/"sh"/"sleep", "1000"/; s/"linux": {/&"cgroupsPath": "user.slice:berth:mine", "resources": {"pids": {"limit": 20}},/' config.json
user run --detach mine >out 2>&1 </dev/null || { cat out /proc/self/cgroup; exit 1; }
as systemctl --user is-active berth-mine.scope
dir=$(echo /sys/fs/cgroup/user.slice/user-4242.slice/user@4242.service/user.slice/berth-mine.scope)
test "$(cat $dir/pids.max)" = 20
user update --pids-limit 33 mine
as systemctl --user daemon-reload
test "$(cat $dir/pids.max)" = 33
user exec mine true
user pause mine
user state mine | grep -q '"paused"'
user resume mine
user stats --once --format json mine | grep -q '"pids":{"current":1,"limit":33}'
user delete --force mine
test ! -e $dir
as systemctl --user is-active berth-mine.scope && exit 1
echo all done
`

func TestCommandWithSystemdDriver(t *testing.T) {
	if os.Getenv(inGuest) != "" {
		t.Skip("this is one of the worlds")
	}
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Skip("no busybox to put into a container: install busybox-static")
	}
	g := vmtest.Boot(t, vm.Machine{Arch: "amd64", Systemd: true, CPUs: 1})
	berth := filepath.Join(t.TempDir(), "berth")
	build := exec.Command("go", "build", "-o", berth, "github.com/berth-oci/berth/cmd/berth")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH=amd64", "GOOS=linux")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	files := map[string]vm.File{"/bin/berth": {Host: berth}, "/script": {Data: []byte(script), Mode: 0o755}}
	for _, name := range []string{"sh", "sleep", "cat", "grep", "true"} {
		files["/bundle/rootfs/bin/"+name] = vm.File{Host: busybox}
	}
	res, err := g.Run(t.Context(), vm.Job{Command: []string{"sh", "/script"}, Files: files})
	vmtest.Check(t, err)
	if res.ExitCode != 0 || !strings.HasSuffix(string(res.Stdout), "all done\n") {
		t.Errorf("exit %d\n%s\n%s", res.ExitCode, res.Stdout, res.Stderr)
	}
}
