// Command init is the first program of a test machine and the agent in it.
//
// As process 1 it furnishes the machine (modules, mounts, cgroups, loopback), then either stays process 1 and serves
// jobs, or hands process 1 to another init such as systemd, which starts it again as "agent". It trusts the host that
// made the machine and nothing a job leaves behind. The words of the conversation are package wire's.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"syscall"

	"github.com/berth-oci/berth/conformance/vm/wire"
)

func main() {
	var err error
	if os.Getpid() == 1 {
		err = boot()
	} else {
		err = serve(nil)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "vm-init: error: %v\n", err)
	}
	if os.Getpid() == 1 {
		syscall.Sync()
		_ = syscall.Reboot(syscall.LINUX_REBOOT_CMD_RESTART) // the machine is started so that a restart ends it
	}
	os.Exit(1)
}

func boot() error {
	data, err := os.ReadFile(wire.ConfigPath)
	if err != nil {
		return fmt.Errorf("cannot read the machine's configuration: %w", err)
	}
	var cfg wire.Config
	if err := json.Unmarshal(data, &cfg); err != nil {
		return fmt.Errorf("cannot read the machine's configuration: %w", err)
	}
	if err := leaveRootfs(); err != nil {
		return err
	}
	warnings := furnish(cfg)
	if cfg.Init != "" {
		return handOver(cfg.Init)
	}
	return serve(warnings)
}

// handOver makes another program process 1. It is given the variable by which systemd and its kin know that they run
// in a machine that was furnished before them.
func handOver(program string) error {
	err := syscall.Exec(program, []string{program}, []string{"TERM=linux", "PATH=" + defaultPath})
	return fmt.Errorf("cannot hand process 1 to %s: %w", program, err)
}
