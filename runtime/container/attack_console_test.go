package container

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-oci/berth/runtime/internal/kernel"
)

// runOnTerminal is run with a terminal, whose master goes over a socket as it goes to an engine. The output is the terminal's.
func (s *scene) runOnTerminal(dir string) (string, int, error) {
	s.Helper()
	folder, err := os.MkdirTemp("", "console") // short: the path of a socket has room for 107 bytes
	s.must(err)
	defer os.RemoveAll(folder)
	l, err := kernel.Listen(filepath.Join(folder, "socket"))
	s.must(err)
	defer syscall.Close(l)
	s.must(syscall.SetNonblock(l, true))
	status, rerr := s.runtime.Run(unique(s.T), RunOptions{CreateOptions: CreateOptions{Bundle: dir, ConsoleSocket: filepath.Join(folder, "socket")}})
	conn, _, err := syscall.Accept4(l, syscall.SOCK_CLOEXEC)
	if err != nil {
		return "", status, rerr // it did not come that far
	}
	defer syscall.Close(conn)
	text, oob := make([]byte, 4096), make([]byte, 64)
	_, oobn, _, _, err := syscall.Recvmsg(conn, text, oob, syscall.MSG_CMSG_CLOEXEC)
	s.must(err)
	messages, err := syscall.ParseSocketControlMessage(oob[:oobn])
	s.must(err)
	fds, err := syscall.ParseUnixRights(&messages[0])
	s.must(err)
	defer syscall.Close(fds[0])
	s.must(syscall.SetNonblock(fds[0], true))
	n, err := syscall.Read(fds[0], text)
	if err != nil { // EIO: nothing was said before the other end closed
		n = 0
	}
	return string(text[:n]), status, rerr
}

// terminals is what the probe says of standard input and /dev/console where both are a pseudoterminal's end (major 136), or where the
// second was swapped away, with the terminal mounted on it, before the program could look: then a link is there that leads nowhere inside.
var terminals = regexp.MustCompile(`^20000 136:(\d+) 0\r\n(?:20000 136:(\d+) 0|(no such file or directory))\r\n$`)

// checkTerminals wants a container that came up to have its terminal, and at /dev/console the same one or, in a race, nothing.
func (s *scene) checkTerminals(what, out string, status int, race bool) {
	s.Helper()
	m := terminals.FindStringSubmatch(out)
	if status != 0 || m == nil || m[1] != m[2] && (m[3] == "" || !race) {
		s.Errorf("%s: a container came up (%d) with %q as its terminals", what, status, out)
	}
}

// onImagesDev is a bundle with a terminal whose /dev is the image's own.
func (s *scene) onImagesDev(change func(*specs.Spec)) (dir, root string) {
	s.Helper()
	return s.bundle(func(c *specs.Spec) {
		c.Process.Terminal = true
		without(c, "/dev", "/dev/shm", "/dev/mqueue")
		if change != nil {
			change(c)
		}
	}, "kind", "/proc/self/fd/0", "/dev/console")
}

// TestAttack09ConsoleTargets: what the terminal is made from and shown at is in the image a link out of it, a file, a pipe, another
// device or a folder (CVE-2025-52565). Nothing outside is chowned, opened or covered.
func TestAttack09ConsoleTargets(t *testing.T) {
	baits := map[string]string{"/dev/console": "console", "/dev/ptmx": "null", "/dev/pts": "pts", "/dev/pts/ptmx": "null", "/dev/pts/0": "console"}
	worlds(t, func(t *testing.T, s *scene) {
		for target, bait := range baits {
			for _, kind := range []string{"link", "climbing link", "file", "fifo", "other device", "folder", "nothing"} {
				what := fmt.Sprintf("%s is a %s", target, kind)
				own := filepath.Dir(target) == "/dev/pts" // which a devpts there would hide: there is none
				dir, root := s.onImagesDev(func(c *specs.Spec) {
					if own {
						without(c, "/dev/pts")
					}
				})
				s.plant(kind, filepath.Join(s.canary, bait), filepath.Join(root, target))
				link := kind == "link" || kind == "climbing link"
				if link {
					s.naive(filepath.Join(root, target))
				}
				out, status, err := s.runOnTerminal(dir)
				s.untouched(what)
				unused := target == "/dev/ptmx"
				switch {
				case err == nil && (own || link && !unused):
					t.Errorf("%s: the container ran (%d): %q", what, status, out)
				case err == nil:
					s.checkTerminals(what, out, status, false)
				case kind == "nothing" && !own || unused:
					t.Errorf("%s: %v", what, err)
				}
			}
		}
	})
}

// TestAttack09ExchangedConsole: somebody who shares the root filesystem swaps /dev/console and /dev/pts with links out, again and again,
// while containers with a terminal are created (CVE-2025-52565).
func TestAttack09ExchangedConsole(t *testing.T) {
	worlds(t, func(t *testing.T, s *scene) {
		dir, root := s.onImagesDev(nil)
		dev := filepath.Join(root, "dev")
		var stops []func() int
		for target, kind := range map[string]string{"console": "file", "pts": "folder"} {
			trap := filepath.Join(dev, "trap-"+target)
			s.plant(kind, "", filepath.Join(dev, target))
			s.plant("link", filepath.Join(s.canary, target), trap)
			stops = append(stops, s.exchange(filepath.Join(dev, target), trap))
		}
		n := rounds() / 5 // there are five worlds
		ran, naive, swaps := 0, 0, 0
		for range n {
			if to, err := filepath.EvalSymlinks(filepath.Join(dev, "console")); err == nil && filepath.Dir(to) == s.canary {
				naive++
			}
			out, status, err := s.runOnTerminal(dir)
			if err != nil {
				continue
			}
			ran++
			s.checkTerminals("exchanged targets", out, status, true)
		}
		for _, stop := range stops {
			swaps += stop()
		}
		s.untouched("exchanged targets")
		t.Logf("%d creates, %d came up, %d swaps; a naive look was led to the canary %d times", n, ran, swaps, naive)
		if naive == 0 && n >= 40 {
			t.Error("the race never showed: the test proves nothing")
		}
	})
}

// TestTerminalWhereDevIsAVolume: `-t -v /dev:/dev` as engines say it. The program has its terminal, and nothing is made in the volume.
func TestTerminalWhereDevIsAVolume(t *testing.T) {
	worlds(t, func(t *testing.T, s *scene) {
		for _, there := range []bool{true, false} {
			volume := t.TempDir()
			s.must(os.Mkdir(filepath.Join(volume, "pts"), 0755))
			if there {
				s.plant("file", "", filepath.Join(volume, "console"))
			}
			before := treeHash(t, volume)
			dir, _ := s.onImagesDev(func(c *specs.Spec) {
				c.Mounts = append([]specs.Mount{{Destination: "/dev", Source: volume, Type: "bind", Options: []string{"rbind"}}}, c.Mounts...)
			})
			out, status, err := s.runOnTerminal(dir)
			if err != nil {
				t.Fatal(err)
			}
			s.checkTerminals(fmt.Sprintf("/dev/console is there: %t", there), out, status, !there)
			if treeHash(t, volume) != before {
				t.Error("something was made in the volume")
			}
		}
	})
}

// TestTerminalWithoutAMountNamespace: it is one of the host's devpts, and nothing is mounted for it.
func TestTerminalWithoutAMountNamespace(t *testing.T) {
	asRoot(t)
	s := newScene(t)
	dir, _ := s.bundle(func(c *specs.Spec) {
		c.Process.Terminal = true
		c.Mounts, c.Root.Readonly, c.Hostname = nil, false, ""
		c.Linux = &specs.Linux{Namespaces: []specs.LinuxNamespace{{Type: specs.PIDNamespace}}}
	}, "ids")
	if out, status, err := s.runOnTerminal(dir); err != nil || status != 0 || out != "0 0" {
		t.Errorf("%q, exit %d, %v", out, status, err)
	}
}
