package release

import (
	"bytes"
	"context"
	"fmt"
	"runtime"

	"github.com/berth-oci/berth/conformance/vm"
)

// machineCourt tries a binary under another architecture's own kernel, as root of a machine that ends with the trial.
type machineCourt struct {
	boot           func(context.Context) (guest, error)
	guest          guest
	judge, runtime string // paths on this machine
	at             string // where the binary is in the guest
	follow         func(string)
}

// guest is a [vm.Guest], as far as a trial needs one.
type guest interface {
	Run(context.Context, vm.Job) (vm.Result, error)
	Close() error
}

// judgeAt is the conformance command in the guest.
const judgeAt = "/usr/bin/conform"

// openMachine boots the machine. That there can be none here is a reason not to try, with its cause.
func (r *work) openMachine(ctx context.Context, judge string, bin Binary) (court, error) {
	if r.NoMachines {
		return nil, &notHere{"virtual machines were not wanted"}
	}
	follow := r.follow(bin.Arch)
	follow("booting a virtual machine")
	boot := func(ctx context.Context) (guest, error) { return vm.Machine{Arch: bin.Arch}.Boot(ctx) }
	up, err := boot(ctx)
	if vm.IsUnavailable(err) {
		return nil, &notHere{fmt.Sprintf("this machine is %s and has no virtual one: %s", runtime.GOARCH, firstLine(err.Error()))}
	}
	if err != nil {
		return nil, err
	}
	return &machineCourt{boot, up, judge, bin.Path, "/usr/bin/" + bin.Command, follow}, nil
}

func (c *machineCourt) close() { c.guest.Close() }

// attempts is how often a trial is begun when the machine itself breaks down: emulation panics a guest's kernel now and then, in
// places that have nothing to do with what runs there. A runtime that brings the kernel down is found by this all the same.
const attempts = 3

func (c *machineCourt) hear(ctx context.Context, args ...string) ([]byte, error) {
	for n := 1; ; n++ {
		text, err := c.hearOnce(ctx, args...)
		if n == attempts || !vm.Panicked(err) {
			return text, err
		}
		c.follow("the virtual machine broke down: booting another")
		c.guest.Close()
		another, err := c.boot(ctx)
		if err != nil {
			return nil, err
		}
		c.guest = another
	}
}

func (c *machineCourt) hearOnce(ctx context.Context, args ...string) ([]byte, error) {
	said := &tailWriter{each: c.follow}
	var out bytes.Buffer
	// An emulated processor is many times slower than a real one.
	command := append(append([]string{judgeAt}, args...), "--runtime", c.at, "--timeout", "3m")
	result, err := c.guest.Run(ctx, vm.Job{
		Files:   map[string]vm.File{judgeAt: {Host: c.judge}, c.at: {Host: c.runtime}},
		Command: command, Stdout: &out, Stderr: said,
	})
	if err != nil {
		return nil, err
	}
	if out.Len() == 0 {
		return nil, fmt.Errorf("the conformance suite gave no report in the virtual machine: exit status %d\n%s", result.ExitCode, said)
	}
	return out.Bytes(), nil
}
