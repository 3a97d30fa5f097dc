// Command berth runs OCI containers. It takes the place of runc: the same verbs, options, exit codes and words.
//
// It is the edge of the program: it reads what a person or an engine typed, hands it to runtime/container and prints what
// comes back. It trusts its caller, who may do nothing through it that the kernel would not allow them anyway, and it
// trusts no text that it prints: names and messages may come from an image or a container, so whatever could steer a
// terminal or forge a line of a log is escaped.
//
// A verb is one file and one line of the table below. Help, completion and the manual page's check come from the same
// table.
//
//go:debug containermaxprocs=0
//go:debug updatemaxprocs=0
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/berth-oci/berth/runtime/container"
)

// entry is one line of the table: a verb is made only when it is asked for.
type entry struct {
	name string
	make func() *verb
}

// verbs is the table of commands, in the order of the help.
func verbs() []entry {
	return []entry{
		{"run", runVerb},
		{"create", createVerb},
		{"start", startVerb},
		{"exec", execVerb},
		{"kill", killVerb},
		{"delete", deleteVerb},
		{"gc", gcVerb},
		{"state", stateVerb},
		{"list", listVerb},
		{"ps", psVerb},
		{"events", eventsVerb},
		{"stats", statsVerb},
		{"pause", pauseVerb},
		{"resume", resumeVerb},
		{"update", updateVerb},
		{"mounts", mountsVerb},
		{"spec", specVerb},
		{"plan", planVerb},
		{"features", featuresVerb},
		{"completion", completionVerb},
		{"help", helpVerb},
	}
}

// Exit codes, as runc has them. A verb that runs a process answers with that process's status instead.
const (
	exitOK     = 0
	exitError  = 1
	exitNoExec = 255 // exec could not start the process, so that no status of one is mistaken for it
)

func main() {
	os.Exit(run(os.Args[1:]))
}

// run does what the arguments say and returns the exit code. It is the one place that prints an error.
func run(args []string) int {
	c := &command{messages: messages{stderr: os.Stderr}}
	code, err := c.dispatch(args)
	if err == nil {
		return code
	}
	c.messages.Error(err)
	if code == exitOK {
		return exitError
	}
	return code
}

// command is one call of berth: its global options and where its messages go.
type command struct {
	global   globals
	messages messages
}

// dispatch reads the global options, finds the verb and runs it.
func (c *command) dispatch(args []string) (int, error) {
	global := globalFlags(&c.global)
	rest, err := parse(global, args, false)
	if errors.Is(err, errHelp) {
		return exitOK, printHelp(os.Stdout, overview)
	}
	if err != nil {
		return exitError, withHelp(err, "berth --help")
	}
	if c.global.version {
		return exitOK, printVersion(os.Stdout)
	}
	if len(rest) == 0 {
		return exitOK, printHelp(os.Stdout, overview)
	}
	if err := c.messages.Open(c.global.log, c.global.logFormat, c.global.debug); err != nil {
		return exitError, err
	}
	c.messages.Debug("%s", rest[0])
	v := findVerb(rest[0])
	if v == nil {
		return exitError, c.external(rest[0], args[:len(args)-len(rest)], rest[1:])
	}
	return c.call(v, rest[1:])
}

// call reads a verb's own options and runs it.
func (c *command) call(v *verb, args []string) (int, error) {
	rest, err := parse(v.flags, args, v.anyOrder)
	if errors.Is(err, errHelp) {
		return exitOK, printHelp(os.Stdout, v.help)
	}
	help := "berth " + v.name + " --help"
	if err != nil {
		return exitError, withHelp(explainGlobal(err, v.name), help)
	}
	if len(rest) < v.min || v.max >= 0 && len(rest) > v.max {
		return exitError, withHelp(v.wrongCount(rest), help)
	}
	return v.run(c, rest)
}

// runtime is the door to the containers under --root.
func (c *command) runtime() (*container.Runtime, error) {
	root, err := c.global.stateDirectory()
	if err != nil {
		return nil, err
	}
	return &container.Runtime{
		Root:          root,
		SystemdCgroup: c.global.systemdCgroup,
		Criu:          c.global.criu,
		Warn:          func(message string) { c.messages.Warn("%s", message) },
	}, nil
}

// findVerb makes the verb of that name, or returns nil.
func findVerb(name string) *verb {
	for _, v := range verbs() {
		if v.name == name {
			made := v.make()
			made.name = name
			return made
		}
	}
	return nil
}

// withHelp adds where to read on.
func withHelp(err error, command string) error {
	return fmt.Errorf("%w\nsee: %s", err, command)
}
