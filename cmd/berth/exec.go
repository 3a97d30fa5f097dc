package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/berth-oci/berth/runtime/container"
)

// maxProcess is the size of the largest process or resources file that is read, in bytes.
const maxProcess = 16 << 20

func execVerb() *verb {
	o := container.ExecOptions{Stdio: stdio()}
	var process string
	return &verb{
		args: "ID COMMAND [ARGUMENT...]", min: 1, max: -1, ids: true,
		summary: "run another program in a running container",
		about: `It exits with the program's own status, or 128 and the number of the signal that ended it, and with 255 where the program
could not be started. What is not said is as config.json has it for the container's own program.`,
		examples: []example{
			{"berth exec -t mybox sh", "a shell in the container"},
			{"berth exec --user 1000:1000 --env LANG=C mybox ls -l /", "another user, another environment"},
			{"berth exec --process process.json mybox", "all of it from a file, in the form of config.json's process"},
		},
		flags: execFlags(&o, &process),
		run: func(c *command, args []string) (int, error) {
			o.Args = args[1:]
			if len(o.Args) > 0 && o.Args[0] == "--" {
				o.Args = o.Args[1:]
			}
			if err := readProcess(&o, process); err != nil {
				return exitError, err
			}
			rt, err := c.runtime()
			if err != nil {
				return exitError, err
			}
			status, err := rt.Exec(args[0], o)
			if err != nil {
				return exitNoExec, err
			}
			return status, nil
		},
	}
}

func execFlags(o *container.ExecOptions, process *string) []flag {
	return []flag{
		toggle(&o.TTY, "tty", 't', "give the program a terminal"),
		text(&o.User, "user", 'u', "UID[:GID]", "run it as this user and group"),
		gids(&o.AdditionalGids, "additional-gids", 'g'),
		text(&o.Cwd, "cwd", 0, "DIR", "run it in this folder of the container"),
		list(&o.Env, "env", 'e', "NAME=VALUE", "set an environment variable; may be given again"),
		path(process, "process", 'p', "FILE", "file", "take all of it from a JSON file, or from standard input where FILE is -"),
		toggle(&o.Detach, "detach", 'd', "return as soon as the program runs"),
		path(&o.PidFile, "pid-file", 0, "FILE", "file", "write the number of the new process to FILE"),
		path(&o.ConsoleSocket, "console-socket", 0, "SOCKET", "file", "send the master end of the terminal to this Unix socket"),
		path(&o.PidfdSocket, "pidfd-socket", 0, "SOCKET", "file", "send a pidfd of the new process to this Unix socket"),
		list(&o.Caps, "cap", 'c', "CAP", "add a capability, as CAP_NET_RAW; may be given again"),
		toggle(&o.NoNewPrivs, "no-new-privs", 0, "let no program gain rights by set-user-ID or file capabilities"),
		text(&o.Apparmor, "apparmor", 0, "PROFILE", "run it under this AppArmor profile"),
		text(&o.ProcessLabel, "process-label", 0, "LABEL", "run it with this SELinux label"),
		count(&o.PreserveFDs, "preserve-fds", 0, "N", "pass N more descriptors to the process, from 3 on, besides those of $LISTEN_FDS"),
		list(&o.Cgroup, "cgroup", 0, "[CONTROLLER:]PATH", "run it in a cgroup below the container's own; may be given again for each controller"),
		toggle(&o.IgnorePaused, "ignore-paused", 0, "go on where the container is paused; the program waits until it is resumed"),
		ignored("no-subreaper", ""),
	}
}

// gids is an option that collects group numbers.
func gids(target *[]uint32, long string, short byte) flag {
	return flag{long: long, short: short, value: "GID", help: "make the process a member of this group too; may be given again",
		set: func(v string) error {
			gid, err := strconv.ParseUint(v, 10, 32)
			if err != nil {
				return errors.New("no group number")
			}
			*target = append(*target, uint32(gid))
			return nil
		}}
}

// readProcess reads --process, or makes sure that there is a command without it.
func readProcess(o *container.ExecOptions, file string) error {
	switch {
	case file == "" && len(o.Args) == 0:
		return withHelp(errors.New("exec needs a command to run: berth exec ID COMMAND, or --process FILE"), "berth exec --help")
	case file == "":
		return nil
	case len(o.Args) > 0:
		return fmt.Errorf("exec takes its command from --process %s or from the command line (%q), not from both", file, o.Args[0])
	}
	data, err := readInput(file, maxProcess)
	o.Process = data
	return err
}

// readInput reads a file that the caller named, or standard input for "-", up to limit bytes.
func readInput(file string, limit int64) ([]byte, error) {
	in := os.Stdin
	if file != "-" {
		var err error
		if in, err = os.Open(file); err != nil {
			return nil, fmt.Errorf("cannot read %q: %w", file, errors.Unwrap(err))
		}
		defer in.Close()
	}
	data, err := io.ReadAll(io.LimitReader(in, limit+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read %q: %w", file, err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("cannot read %q: it has more than %d bytes", file, limit)
	}
	return data, nil
}
