package store

import (
	"os"
	"os/exec"
	"testing"
	"time"
)

func TestLifeTellsProcessesApart(t *testing.T) {
	self, err := Identify(os.Getpid())
	must(t, err)
	reused, otherBoot := self, self
	reused.Start++
	otherBoot.Boot = "00000000-0000-0000-0000-000000000000"
	cat := exec.Command("cat") // ends when its standard input does
	in, err := cat.StdinPipe()
	must(t, err)
	must(t, cat.Start())
	child, err := Identify(cat.Process.Pid)
	must(t, err)
	check := func(what string, p Process, want Life) {
		t.Helper()
		if got, err := p.Life(); err != nil || got != want {
			t.Errorf("%s: %v, %v; want %v", what, got, err, want)
		}
	}
	check("this process", self, Alive)
	check("its pid, started at another time", reused, Gone)
	check("its pid, of another boot", otherBoot, Gone)
	check("no process", Process{}, Gone)
	check("a child", child, Alive)
	must(t, in.Close())
	waitZombie(t, child)
	check("an ended child", child, Zombie)
	must(t, cat.Wait())
	check("a reaped child", child, Gone)
}

// waitZombie waits until the process has ended, without reaping it.
func waitZombie(t *testing.T, p Process) {
	t.Helper()
	for {
		life, err := p.Life()
		must(t, err)
		if life != Alive {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

func TestAnOddCommandNameDoesNotMoveTheFields(t *testing.T) {
	path := t.TempDir() + "/) Z 1 (x"
	data, err := os.ReadFile("/proc/self/exe")
	must(t, err)
	if os.Getenv("STORE_TEST_NAME") != "" {
		state, start, err := processStat(os.Getpid())
		if err != nil || state != 'R' && state != 'S' || start < 100 {
			t.Fatalf("state %c, start %d, %v", state, start, err)
		}
		return
	}
	must(t, os.WriteFile(path, data, 0o700))
	cmd := exec.Command(path, "-test.run=^TestAnOddCommandNameDoesNotMoveTheFields$", "-test.v")
	cmd.Env = append(os.Environ(), "STORE_TEST_NAME=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
