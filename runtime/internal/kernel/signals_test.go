package kernel

import (
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// raised sends signals to this process and returns those that are then read, in the order in which they were caught.
func raised(t *testing.T, s *Signals, send ...syscall.Signal) (got []syscall.Signal) {
	t.Helper()
	for _, sig := range send {
		if err := syscall.Kill(os.Getpid(), sig); err != nil {
			t.Fatal(err)
		}
		if ready, err := poll(s.FD(), 10000); err != nil || !ready {
			t.Fatalf("signal %d was not caught: %v", sig, err)
		}
		for sig := s.Next(); sig != 0; sig = s.Next() {
			got = append(got, sig)
		}
	}
	return got
}

func TestSignalsCanBeReadInsteadOfHavingTheirEffect(t *testing.T) {
	s, err := CatchSignals(syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGTSTP)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if sig := s.Next(); sig != 0 {
		t.Errorf("before any was sent there is signal %d", sig)
	}
	want := []syscall.Signal{syscall.SIGUSR1, syscall.SIGTERM, syscall.SIGTSTP, syscall.SIGTERM}
	got := raised(t, s, want...)
	for i := range want {
		if i >= len(got) || got[i] != want[i] || len(got) != len(want) {
			t.Fatalf("caught %v, want %v", got, want)
		}
	}
}

// Many goroutines, each growing its stack, are what a handler on the wrong stack would break.
func TestSignalsMayComeAtAnyMoment(t *testing.T) {
	s, err := CatchSignals(syscall.SIGUSR2)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	stop := make(chan struct{})
	done := make(chan int)
	for range 4 {
		go func() {
			n := 0
			for {
				select {
				case <-stop:
					done <- n
					return
				default:
					n += deep(200)
				}
			}
		}()
	}
	caught := 0
	for range 2000 {
		caught += len(raised(t, s, syscall.SIGUSR2))
	}
	close(stop)
	for range 4 {
		if n := <-done; n%200 != 0 {
			t.Errorf("a goroutine counted %d", n)
		}
	}
	if caught < 2000 {
		t.Errorf("caught %d signals of 2000", caught)
	}
}

func deep(n int) int {
	var frame [256]byte
	if n == 0 {
		return int(frame[0])
	}
	return 1 + deep(n-1) + int(frame[n])
}

func TestSignalsAreGivenBack(t *testing.T) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGUSR1)
	defer signal.Stop(c)
	s, err := CatchSignals(syscall.SIGUSR1)
	if err != nil {
		t.Fatal(err)
	}
	raised(t, s, syscall.SIGUSR1)
	s.Close()
	select {
	case <-c:
		t.Error("the signal reached who had asked for it before")
	default:
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	select {
	case <-c:
	case <-time.After(10 * time.Second):
		t.Error("once given back it does not reach who had asked for it before")
	}
}

// A program that is executed meanwhile has the signals' usual effects: handlers do not outlive execve(2).
func TestCaughtSignalsAreNotInherited(t *testing.T) {
	s, err := CatchSignals(syscall.SIGTERM)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	cmd := exec.Command("sh", "-c", "kill -TERM $$")
	if err := cmd.Run(); err == nil || cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM {
		t.Errorf("the program ended with %v, want by SIGTERM", err)
	}
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	before := len(fds)
	again, err := CatchSignals(syscall.SIGUSR2)
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
	if _, err := os.Stat("/proc/self/fd/" + strconv.Itoa(again.FD())); err == nil {
		t.Error("the pipe is open after Close")
	}
	if fds, _ = os.ReadDir("/proc/self/fd"); len(fds) != before {
		t.Errorf("%d descriptors, before %d", len(fds), before)
	}
}

// Signals that come while the catching ends go to the pipe or have their usual effect, and never into a file that got the pipe's number.
func TestNoSignalIsWrittenIntoAnotherFile(t *testing.T) {
	signal.Ignore(syscall.SIGUSR2)
	defer signal.Reset(syscall.SIGUSR2)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				syscall.Kill(os.Getpid(), syscall.SIGUSR2)
			}
		}
	}()
	name := filepath.Join(t.TempDir(), "file")
	caught, rounds := 0, 400
	if testing.Short() {
		rounds = 40
	}
	for range rounds {
		s, err := CatchSignals(syscall.SIGUSR2)
		if err != nil {
			t.Fatal(err)
		}
		if ready, err := poll(s.FD(), 10000); err != nil || !ready {
			t.Fatalf("no signal was caught: %v", err)
		}
		for s.Next() != 0 {
			caught++
		}
		s.Close()
		var files [2]*os.File // the numbers of the pipe
		for i := range files {
			if files[i], err = os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for _, f := range files {
			f.Close()
		}
	}
	close(stop)
	<-stopped
	if b, err := os.ReadFile(name); err != nil || len(b) != 0 {
		t.Errorf("the file holds %q (%v)", b, err)
	}
	if caught < rounds || signalHandlers != 0 {
		t.Errorf("caught %d signals in %d rounds, %d handlers are at work", caught, rounds, signalHandlers)
	}
}

func TestASignalThatCannotBeCaughtIsNamed(t *testing.T) {
	if s, err := CatchSignals(syscall.SIGUSR1, syscall.SIGKILL); err == nil {
		s.Close()
		t.Error("SIGKILL was caught")
	}
	if signalPipe != -1 {
		t.Error("the pipe is still written to")
	}
}
