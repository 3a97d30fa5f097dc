package main

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A record for a log daemon is one datagram whose fields no message can add to.
func TestSocketSinkSendsOneDatagram(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	daemon, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(daemon)
	if err := syscall.Bind(daemon, &syscall.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		format func(name, level, message string) string
		want   string
	}{
		{journalRecord, "PRIORITY=3\nSYSLOG_IDENTIFIER=box\nMESSAGE=first\\nPRIORITY=0\n"},
		{syslogRecord, "<27>"},
	} {
		sink, err := openSocket(path, "box", c.format)
		if err != nil {
			t.Fatal(err)
		}
		defer syscall.Close(sink.(socketSink).fd)
		if err := sink.record("error", "first\nPRIORITY=0", false); err != nil {
			t.Fatal(err)
		}
		buffer := make([]byte, 1000)
		n, err := syscall.Read(daemon, buffer)
		if got := string(buffer[:n]); err != nil || !strings.HasPrefix(got, c.want) || !strings.Contains(got, `first\nPRIORITY=0`) {
			t.Errorf("the daemon got %q, %v; want %q", got, err, c.want)
		}
	}
}

func TestALogDaemonThatIsAbsentIsNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none")
	if _, err := openSocket(path, "box", journalRecord); err == nil || !strings.Contains(err.Error(), "no daemon listens at "+path) {
		t.Errorf("error %v", err)
	}
}
