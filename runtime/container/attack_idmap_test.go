package container

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// mappedVolume is a folder of the host, open to all, with a file of root's and a set-user-id program of root's.
func (s *scene) mappedVolume() string {
	s.Helper()
	volume := s.TempDir()
	exe, err := os.ReadFile("/proc/self/exe")
	s.must(err)
	s.must(os.WriteFile(filepath.Join(volume, "probe"), exe, 0755))
	s.must(os.WriteFile(filepath.Join(volume, "file"), []byte("untouched"), 0600))
	s.must(os.Chmod(filepath.Join(volume, "probe"), 0755|os.ModeSetuid))
	s.must(os.Chmod(volume, 0777))
	return volume
}

// onVolume runs a verb, as a user, in a container that has the volume three times: at /mapped with root's id mapped to
// another of the host, at /plain as it is, and at /unset mapped too, but with set-user-id programs.
func (s *scene) onVolume(volume string, id, user uint32, args ...string) (string, int) {
	s.Helper()
	dir, _ := s.bundle(func(c *specs.Spec) {
		c.Process.User, c.Process.NoNewPrivileges, c.Process.Args = specs.User{UID: user, GID: user}, false, args
		mapping := []specs.LinuxIDMapping{{ContainerID: 0, HostID: id, Size: 10}}
		bind := func(to string, m []specs.LinuxIDMapping, options ...string) {
			c.Mounts = append(c.Mounts, specs.Mount{Destination: to, Source: volume, Type: "bind", Options: options, UIDMappings: m, GIDMappings: m})
		}
		bind("/mapped", mapping, "bind", "idmap", "nosuid")
		bind("/unset", mapping, "bind", "idmap")
		bind("/plain", nil, "bind")
	})
	out, status, err := s.run(dir)
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.EPERM) {
		s.Skipf("the file system of the tests cannot be idmapped: %v", err)
	}
	s.must(err)
	return out, status
}

// TestAttack23IDMappedMounts: a mapping holds for its own mount and no other of the same file system, keeps nosuid, and gives nobody
// an id that it does not name.
func TestAttack23IDMappedMounts(t *testing.T) {
	asRoot(t)
	for _, world := range []struct {
		name         string
		user         bool
		host, inside uint32 // an id of the host that the container has, and what it is called there
	}{
		{"plain", false, 5000, 5000},
		{"user namespace", true, 200006, 7},
	} {
		t.Run(world.name, func(t *testing.T) {
			s := newScene(t)
			s.user = world.user
			volume := s.mappedVolume()
			before := treeHash(t, volume)
			const stranger = 70
			id := world.inside
			setID := "0" // what the set-user-id program gives where nothing hinders it: the trap is real
			mappedID := fmt.Sprint(id)
			if setUserIDIgnored(t, volume) {
				setID, mappedID = fmt.Sprint(stranger), fmt.Sprint(stranger)
				t.Logf("%s is mounted nosuid: set-user-id programs prove nothing", volume)
			}
			for _, c := range []struct {
				user   uint32
				args   []string
				want   string
				status int
			}{
				{stranger, []string{"/probe", "owners", "/mapped/file", "/plain/file"}, fmt.Sprintf("%d\n0\n", id), 0},
				{stranger, []string{"/plain/probe", "euid"}, setID, 0},
				{stranger, []string{"/unset/probe", "euid"}, mappedID, 0},
				{stranger, []string{"/mapped/probe", "euid"}, fmt.Sprint(stranger), 0},
				{stranger, []string{"/probe", "write", "/mapped/new"}, "open /mapped/new: value too large for defined data type\n", 1},
				{stranger, []string{"/probe", "write", "/mapped/file"}, "open /mapped/file: permission denied\n", 1},
				{id, []string{"/probe", "write", "/plain/file"}, "open /plain/file: permission denied\n", 1},
			} {
				if out, status := s.onVolume(volume, world.host, c.user, c.args...); out != c.want || status != c.status {
					t.Errorf("%v as %d: %q, exit %d, want %q", c.args, c.user, out, status, c.want)
				}
			}
			if world.user { // an id that the container's own namespace does not have is nobody's there
				for _, args := range [][]string{{"/probe", "write", "/mapped/file"}, {"/probe", "write", "/mapped/new"}} {
					if out, status := s.onVolume(volume, 300000, 0, args...); status != 1 {
						t.Errorf("%v of a foreign id: %q, exit %d", args, out, status)
					}
				}
				if out, _ := s.onVolume(volume, 300000, 0, "/probe", "owners", "/mapped/file"); out != "65534\n" {
					t.Errorf("a foreign id is %q", out)
				}
			}
			if treeHash(t, volume) != before {
				t.Error("the volume changed")
			}
			if mounts, err := os.ReadFile("/proc/self/mountinfo"); err != nil || strings.Contains(string(mounts), volume) {
				t.Errorf("a mount of the volume is left: %v", err)
			}
		})
	}
}

// setUserIDIgnored says that the filesystem of a folder is mounted so already.
func setUserIDIgnored(t *testing.T, dir string) bool {
	t.Helper()
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		t.Fatal(err)
	}
	const nosuid = 2 // ST_NOSUID, statfs(2)
	return fs.Flags&nosuid != 0
}

func attackerMapped(args []string) int {
	switch args[0] {
	case "owners":
		for _, name := range args[1:] {
			var st syscall.Stat_t
			if err := syscall.Stat(name, &st); err != nil {
				fmt.Println(err)
				continue
			}
			fmt.Println(st.Uid)
		}
	case "euid":
		fmt.Print(os.Geteuid())
	default:
		return attackerCrowd(args)
	}
	return 0
}
