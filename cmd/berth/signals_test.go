package main

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// running starts "berth run" on a contested bundle changed by the patch.
func running(t *testing.T, dir, id string, patch map[string]any) (*exec.Cmd, *bufio.Reader) {
	t.Helper()
	patchConfig(t, dir, patch)
	cmd := exec.Command("berth", "--root", filepath.Join(dir, "state"), "run", id)
	cmd.Dir = dir
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd, bufio.NewReader(out)
}

func waitStatusOf(t *testing.T, cmd *exec.Cmd) syscall.WaitStatus {
	t.Helper()
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) {
		t.Fatalf("it ended with %v", err)
	}
	return exit.Sys().(syscall.WaitStatus)
}

func TestSignalsGoToTheContainersProcess(t *testing.T) {
	dir, _ := contested(t, "/berth-signals-"+filepath.Base(t.TempDir()))
	script := "for s in HUP INT QUIT TERM USR1 ALRM; do trap \"echo $s\" $s; done; trap 'exit 42' USR2; echo up; while :; do sleep 0.01; done"
	cmd, out := running(t, dir, "signalled", map[string]any{"process": map[string]any{"args": []any{"sh", "-c", script}}})
	say := func(want string) {
		t.Helper()
		if line, err := out.ReadString('\n'); err != nil || line != want+"\n" {
			t.Fatalf("the container says %q (%v), want %q", line, err, want)
		}
	}
	say("up")
	for _, s := range []struct {
		signal syscall.Signal
		name   string
	}{{syscall.SIGHUP, "HUP"}, {syscall.SIGINT, "INT"}, {syscall.SIGQUIT, "QUIT"}, {syscall.SIGTERM, "TERM"}, {syscall.SIGUSR1, "USR1"}, {syscall.SIGALRM, "ALRM"}} {
		if err := cmd.Process.Signal(s.signal); err != nil {
			t.Fatal(err)
		}
		say(s.name)
	}
	if err := cmd.Process.Signal(syscall.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	if got := waitStatusOf(t, cmd); got.ExitStatus() != 42 {
		t.Errorf("it ended with %v, want exit status 42", got)
	}
}

// While there is no process to forward a signal to, whoever waits for a hook can end berth as any other program.
func TestSignalBeforeThereIsAProcessEndsTheRuntime(t *testing.T) {
	dir, berth := contested(t, "/berth-signals-"+filepath.Base(t.TempDir()))
	there := filepath.Join(dir, "there")
	cmd, _ := running(t, dir, "early", map[string]any{"hooks": map[string]any{"createRuntime": []any{
		map[string]any{"path": "/bin/sh", "args": []any{"sh", "-c", "touch " + there + "; exec sleep 1000"}}}}})
	for range 3000 {
		if _, err := os.Stat(there); err == nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if got := waitStatusOf(t, cmd); !got.Signaled() || got.Signal() != syscall.SIGTERM {
		t.Errorf("it ended with %v, want by SIGTERM", got)
	}
	if err := berth("delete", "--force", "early"); err != nil {
		t.Error(err)
	}
}
