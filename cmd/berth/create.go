package main

import (
	"os"

	"github.com/berth-oci/berth/runtime/container"
)

const aboutBundle = `The bundle is a folder with a file config.json and, usually, the root filesystem in a folder rootfs beside it.
"berth spec" writes a config.json to start from. The ID is a name you choose: letters, digits, "_", "+", "-" and ".".`

func createVerb() *verb {
	var o container.CreateOptions
	return &verb{
		args: "ID", min: 1, max: 1, anyOrder: true,
		summary: "make a container from a bundle, ready to be started",
		about: `The container exists after this with all its namespaces, mounts and limits, and a process that waits. "berth start" lets
it run the program that config.json names.

` + aboutBundle,
		examples: []example{
			{"berth create --bundle /srv/box --pid-file /run/box.pid mybox", "make it and note the process's number"},
			{"berth start mybox", "run its program"},
		},
		flags: createFlags(&o),
		run: func(c *command, args []string) (int, error) {
			rt, err := c.runtime()
			if err != nil {
				return exitError, err
			}
			return exitOK, rt.Create(args[0], o)
		},
	}
}

// createFlags are the options that create and run share.
func createFlags(o *container.CreateOptions) []flag {
	o.Bundle = "."
	o.Stdio = stdio()
	return []flag{
		path(&o.Bundle, "bundle", 'b', "DIR", "directory", "the bundle; default is the working directory"),
		path(&o.ConsoleSocket, "console-socket", 0, "SOCKET", "file", "send the master end of the container's terminal to this Unix socket"),
		path(&o.PidFile, "pid-file", 0, "FILE", "file", "write the number of the container's first process to FILE"),
		path(&o.PidfdSocket, "pidfd-socket", 0, "SOCKET", "file", "send a pidfd of the container's first process to this Unix socket"),
		count(&o.PreserveFDs, "preserve-fds", 0, "N", "pass N more descriptors to the process, from 3 on, besides those of $LISTEN_FDS"),
		toggle(&o.NoPivot, "no-pivot", 0, "move the root filesystem into place rather than pivot_root(2); for bundles on a ramdisk"),
		toggle(&o.NoNewKeyring, "no-new-keyring", 0, "keep the caller's session keyring"),
		ignored("no-subreaper", ""),
	}
}

// stdio are this process's own standard streams.
func stdio() container.Stdio {
	return container.Stdio{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}
}
