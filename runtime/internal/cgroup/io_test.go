package cgroup

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// loopDevice makes a block device of the given size that is this test's own.
func loopDevice(t *testing.T, size int64) string {
	t.Helper()
	const getFree, setFD, clearFD = 0x4C82, 0x4C00, 0x4C01 // linux/loop.h
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no loop devices here: %v", err)
	}
	defer control.Close()
	backing, err := os.Create(filepath.Join(t.TempDir(), "disk"))
	if err != nil {
		t.Fatal(err)
	}
	defer backing.Close()
	if err := backing.Truncate(size); err != nil {
		t.Fatal(err)
	}
	n, _, errno := syscall.Syscall(syscall.SYS_IOCTL, control.Fd(), getFree, 0)
	if errno != 0 {
		t.Skipf("no free loop device: %v", errno)
	}
	name := fmt.Sprintf("/dev/loop%d", n)
	loop, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no node for the free loop device: %v", err)
	}
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, loop.Fd(), setFD, backing.Fd()); errno != 0 {
		loop.Close()
		t.Skipf("cannot set up a loop device: %v", errno)
	}
	t.Cleanup(func() {
		_, _, _ = syscall.Syscall(syscall.SYS_IOCTL, loop.Fd(), clearFD, 0)
		loop.Close()
	})
	return name
}

func TestWriteRateOfADiskHolds(t *testing.T) {
	probed(t)
	name := loopDevice(t, 8*mib)
	var st syscall.Stat_t
	if err := syscall.Stat(name, &st); err != nil {
		t.Fatal(err)
	}
	major, minor := int64(st.Rdev>>8&0xfff), int64(st.Rdev&0xff|st.Rdev>>12&0xfff00)
	limit := specs.LinuxThrottleDevice{Rate: mib}
	limit.Major, limit.Minor = major, minor
	_, g, err := tryMake(t, &specs.LinuxResources{
		BlockIO: &specs.LinuxBlockIO{ThrottleWriteBpsDevice: []specs.LinuxThrottleDevice{limit}},
		Devices: []specs.LinuxDeviceCgroup{{Allow: true, Type: "b", Major: &major, Minor: &minor, Access: "rw"}},
	})
	if err != nil {
		t.Skipf("no such limit here: %v", err)
	}
	start := time.Now()
	cmd := inside(t, g, fmt.Sprintf("exec dd if=/dev/zero of=%s bs=65536 count=48 oflag=direct 2>/dev/null", name))
	if err := cmd.Wait(); err != nil {
		t.Fatalf("cannot write: %v", err)
	}
	// A slow machine only makes it longer: three MiB at one MiB a second cannot take less than this, less the first burst.
	if took := time.Since(start); took < 2*time.Second {
		t.Errorf("3 MiB took %v with a limit of 1 MiB a second", took)
	}
	s, err := g.Stats()
	if err != nil {
		t.Fatal(err)
	}
	written := uint64(0)
	for _, e := range s.BlockIO.Bytes {
		if int64(e.Major) == major && int64(e.Minor) == minor && e.Op == "Write" {
			written = e.Value
		}
	}
	if written < 3*mib {
		t.Errorf("statistics say %d bytes were written: %+v", written, s.BlockIO.Bytes)
	}
}
