package container

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// TestAttack04MountTargetsThatAreNoFolders: what the plan mounts on is in the image a symbolic link out of it, a file or a
// pipe (CVE-2019-19921, CVE-2023-27561).
func TestAttack04MountTargetsThatAreNoFolders(t *testing.T) {
	trusted := map[string]bool{"/proc": true, "/sys": true, "/dev": true, "/dev/pts": true}
	worlds(t, func(t *testing.T, s *scene) {
		for _, target := range []string{"/proc", "/sys", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/sys/fs/cgroup"} {
			for _, kind := range []string{"link", "climbing link", "file", "fifo"} {
				what := kind + " at " + target
				dir, root := s.bundle(func(c *specs.Spec) {
					if strings.HasPrefix(target, "/dev/") {
						without(c, "/dev") // a tmpfs there would hide the trap
					}
					if strings.HasPrefix(target, "/sys/") {
						without(c, "/sys")
					}
				}, "exit", "0")
				s.plant(kind, s.canary, filepath.Join(root, target))
				if strings.Contains(kind, "link") {
					s.naive(filepath.Join(root, target))
				}
				_, status, err := s.run(dir)
				if err == nil && (status != 0 || trusted[target] || !strings.Contains(kind, "link")) {
					t.Errorf("%s: the container ran (%d)", what, status)
				}
				s.untouched(what)
			}
		}
	})
}

// TestAttack04LinkIntoAVolume: the image's /dev leads into a volume, a folder of the host. No node may appear there.
func TestAttack04LinkIntoAVolume(t *testing.T) {
	worlds(t, func(t *testing.T, s *scene) {
		dir, root := s.bundle(func(c *specs.Spec) {
			without(c, "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue")
			c.Mounts = append(c.Mounts, specs.Mount{Destination: "/volume", Source: s.canary, Type: "bind", Options: []string{"rbind"}})
		}, "exit", "0")
		s.plant("link", "/volume", filepath.Join(root, "dev"))
		if _, _, err := s.run(dir); err == nil {
			t.Error("the container ran")
		}
		s.untouched("/dev in a volume")
	})
}

// TestAttack05VolumesOverProc: a volume over /proc or in it makes writes to labels and limits go astray (CVE-2019-16884,
// CVE-2023-28642). Only the files that are known to be counterfeited with good reason may be covered.
func TestAttack05VolumesOverProc(t *testing.T) {
	worlds(t, func(t *testing.T, s *scene) {
		bind := func(source, destination string) specs.Mount {
			return specs.Mount{Destination: destination, Source: source, Type: "bind", Options: []string{"rbind"}}
		}
		tmpfs := func(destination string) specs.Mount {
			return specs.Mount{Destination: destination, Source: "tmpfs", Type: "tmpfs"}
		}
		file := filepath.Join(s.canary, "file")
		for _, m := range []specs.Mount{
			bind(s.canary, "/proc"), bind(s.canary, "//proc/."), tmpfs("/proc"), bind(s.canary, "/proc/self"), bind(s.canary, "/proc/self/attr"),
			bind(file, "/proc/self/attr/exec"), bind(s.canary, "/proc/sys"), tmpfs("/proc/sys/kernel"), bind(file, "/proc/sysrq-trigger"),
			bind(file, "/x/../proc/self/attr/exec"), bind(s.canary, "/into-proc"), bind(file, "/into-proc-file"), tmpfs("/into-sys"),
		} {
			dir, root := s.bundle(func(c *specs.Spec) { c.Mounts = append(c.Mounts, m) }, "exit", "0")
			s.plant("link", "/proc/self/attr", filepath.Join(root, "into-proc"))
			s.plant("link", "/proc/self/attr/exec", filepath.Join(root, "into-proc-file"))
			s.plant("link", "/proc/sys", filepath.Join(root, "into-sys"))
			if _, _, err := s.run(dir); err == nil {
				t.Errorf("%s on %s was mounted", m.Type, m.Destination)
			}
			s.untouched(m.Destination)
		}
		for _, name := range []string{"cpuinfo", "meminfo", "uptime", "stat", "loadavg", "diskstats", "swaps"} {
			dir, _ := s.bundle(func(c *specs.Spec) { c.Mounts = append(c.Mounts, bind(file, "/proc/"+name)) }, "cat", "/proc/"+name)
			if out, status, err := s.run(dir); err != nil || status != 0 || out != "untouched" {
				t.Errorf("/proc/%s counterfeited: %q, %d, %v", name, out, status, err)
			}
		}
	})
}

// TestAttack05ProcOfTheHostIsStillProc: what engines do for --pid=host, a bind of the real /proc, is no attack.
func TestAttack05ProcOfTheHostIsStillProc(t *testing.T) {
	asRoot(t)
	s := newScene(t)
	dir, _ := s.bundle(func(c *specs.Spec) {
		for i := range c.Mounts {
			if c.Mounts[i].Destination == "/proc" {
				c.Mounts[i] = specs.Mount{Destination: "/proc", Source: "/proc", Type: "bind", Options: []string{"rbind"}}
			}
		}
	}, "kind", "/proc/self/status")
	if out, status, err := s.run(dir); err != nil || status != 0 || !strings.HasPrefix(out, "100000") {
		t.Errorf("%q, %d, %v", out, status, err)
	}
}

var creates = flag.Int("attack.creates", 200, "how many containers a race is tried against")

// rounds is how often to try a race in one world.
func rounds() int {
	if testing.Short() {
		return 20
	}
	return *creates
}

// TestAttack06ExchangedMountTarget: somebody who shares a volume swaps a mount's target with a link out, again and again,
// while containers are created (CVE-2021-30465); and what is made on the way (CVE-2024-45310). A container that does come up
// has its mount inside.
func TestAttack06ExchangedMountTarget(t *testing.T) {
	worlds(t, func(t *testing.T, s *scene) {
		volume := t.TempDir()
		s.plant("folder", "", filepath.Join(volume, "swap"))
		s.plant("link", s.canary, filepath.Join(volume, "trap"))
		dir, _ := s.bundle(func(c *specs.Spec) {
			c.Mounts = append(c.Mounts, specs.Mount{Destination: "/shared", Source: volume, Type: "bind", Options: []string{"rbind"}},
				specs.Mount{Destination: "/shared/swap", Source: "bait", Type: "tmpfs"},
				specs.Mount{Destination: "/shared/swap/deep/er", Source: "bait", Type: "tmpfs"},
				specs.Mount{Destination: "/shared/trap/made/file", Source: filepath.Join(s.canary, "file"), Type: "bind", Options: []string{"bind", "ro"}})
		}, "mounts")
		stop := s.exchange(filepath.Join(volume, "swap"), filepath.Join(volume, "trap"))
		n := rounds() / 5 // there are five worlds
		ran, naive := 0, 0
		for range n {
			if _, err := os.Stat(filepath.Join(volume, "swap", "sysrq-trigger")); err == nil {
				naive++
			}
			out, status, err := s.run(dir)
			if err != nil {
				continue
			}
			ran++
			if inside := strings.Count(out, " - tmpfs bait "); status != 0 || inside != 2 {
				t.Errorf("a container came up (%d) with %d of its 2 mounts", status, inside)
			}
		}
		swaps := stop()
		s.untouched("exchanged targets")
		t.Logf("%d creates, %d came up, %d swaps; a naive look was led to the canary %d times", n, ran, swaps, naive)
		if naive == 0 && n >= 40 {
			t.Error("the race never showed: the test proves nothing")
		}
	})
}

// TestAttack07NothingIsMadeOutside: destinations whose parents are links out are made inside or refused (CVE-2024-45310).
func TestAttack07NothingIsMadeOutside(t *testing.T) {
	worlds(t, func(t *testing.T, s *scene) {
		for _, target := range []string{"/out/new", "/out/new/deep/er", "/sub/out/new", "/out/../out/new", "/chain/new"} {
			for _, kind := range []string{"dir", "file", "tmpfs", "device", "cwd"} {
				dir, root := s.bundle(func(c *specs.Spec) {
					switch kind {
					case "dir":
						c.Mounts = append(c.Mounts, specs.Mount{Destination: target, Source: "/etc", Type: "bind", Options: []string{"bind", "ro"}})
					case "file":
						c.Mounts = append(c.Mounts, specs.Mount{Destination: target, Source: "/etc/passwd", Type: "bind", Options: []string{"bind", "ro"}})
					case "tmpfs":
						c.Mounts = append(c.Mounts, specs.Mount{Destination: target, Source: "tmpfs", Type: "tmpfs"})
					case "device":
						c.Linux.Devices = append(c.Linux.Devices, specs.LinuxDevice{Path: target, Type: "c", Major: 1, Minor: 3})
					case "cwd":
						c.Process.Cwd, c.Root.Readonly = target, false
					}
				}, "exit", "0")
				s.plant("link", s.canary, filepath.Join(root, "out"))
				s.plant("climbing link", s.canary, filepath.Join(root, "sub/out"))
				s.plant("link", "/out", filepath.Join(root, "chain"))
				s.naive(filepath.Join(root, "out"))
				s.naive(filepath.Join(root, "sub/out"))
				s.run(dir)
				s.untouched(kind + " at " + target)
			}
		}
	})
}

// TestAttack08MaskWithAnEvilNull: what covers a masked file is the host's null device, whatever the image calls /dev/null
// (CVE-2025-31133).
func TestAttack08MaskWithAnEvilNull(t *testing.T) {
	worlds(t, func(t *testing.T, s *scene) {
		for _, kind := range []string{"link", "climbing link", "file", "fifo", "other device", "folder", "nothing"} {
			for _, bound := range []bool{false, true} {
				what := fmt.Sprintf("/dev/null is a %s, bound %t", kind, bound)
				dev := t.TempDir()
				dir, root := s.bundle(func(c *specs.Spec) {
					without(c, "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue")
					c.Linux.MaskedPaths = []string{"/secret", "/secrets", "/proc/timer_list"}
					if bound { // then nothing is made in it and the runtime comes as far as the masks
						c.Mounts = append(c.Mounts, specs.Mount{Destination: "/dev", Source: dev, Type: "bind", Options: []string{"rbind"}})
					}
				}, "kind", "/secret", "/proc/timer_list", "/secrets/one")
				if !bound {
					dev = filepath.Join(root, "dev")
				}
				s.plant(kind, filepath.Join(s.canary, "null"), filepath.Join(dev, "null"))
				s.plant("file", "", filepath.Join(root, "secret"))
				s.plant("file", "", filepath.Join(root, "secrets/one"))
				out, status, err := s.run(dir)
				s.untouched(what)
				switch {
				case err != nil && bound:
					t.Errorf("%s: %v", what, err)
				case err == nil && (status != 0 || out != "20000 1:3 0\n20000 1:3 0\nno such file or directory\n"):
					t.Errorf("%s: behind the masks are %q (%d)", what, out, status)
				}
			}
		}
	})
}

// TestAttack08MasksFollowLinksInside: a masked path that leads through a link of the image is masked where it leads, or
// refused; it is never silently left open.
func TestAttack08MasksFollowLinksInside(t *testing.T) {
	worlds(t, func(t *testing.T, s *scene) {
		for _, kind := range []string{"mask", "read-only"} {
			dir, root := s.bundle(func(c *specs.Spec) {
				c.Root.Readonly = false
				if kind == "mask" {
					c.Linux.MaskedPaths = append(c.Linux.MaskedPaths, "/etc/secret")
				} else {
					c.Linux.ReadonlyPaths = append(c.Linux.ReadonlyPaths, "/etc/secret")
				}
			}, map[string][]string{"mask": {"cat", "/usr/etc/secret"}, "read-only": {"write", "/usr/etc/secret"}}[kind]...)
			s.plant("file", "", filepath.Join(root, "usr/etc/secret"))
			s.plant("link", "/usr/etc", filepath.Join(root, "etc"))
			out, status, err := s.run(dir)
			if err == nil && (kind == "mask" && out != "" || kind == "read-only" && status == 0) {
				t.Errorf("%s through a link: %q (%d)", kind, out, status)
			}
		}
	})
}
