// Command aptrepo keeps apt repositories: it publishes packages into one,
// signs it anew before it expires, takes packages back, and reads it as apt
// does. It trusts its key, and what that key has signed; the place that the
// repository is at only holds files.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
	"time"
)

// Exit codes.
const (
	exitFailed = 1 // it could not be done, or a verification found a fault
	exitUsage  = 2 // the command line is wrong
)

// app is the outside world of one run.
type app struct {
	stdout, stderr io.Writer
	env            func(string) string
	now            time.Time
}

type verb struct {
	name, args, summary string
	run                 func(*app, *flags, []string) error
	define              func(*flags)
}

// verbs is the whole command, in the order of its help.
func verbs() []verb {
	return []verb{
		{"init", "DIR", "prepare a repository: write its configuration", (*app).init, defineInit},
		{"publish", "DIR FILE.deb...", "add packages, and publish", (*app).publish, definePublish},
		{"retract", "DIR NAME=VERSION...", "take packages out of the index, and publish", (*app).retract, defineWrite},
		{"rollback", "DIR", "publish again what was published at a date", (*app).rollback, defineRollback},
		{"refresh", "DIR", "sign anew before Valid-Until passes; nothing else changes", (*app).refresh, defineRefresh},
		{"verify", "DIR|URL", "read back as apt does: signature, indices, packages", (*app).verify, defineVerify},
		{"list", "DIR|URL", "list the packages, or the generations kept", (*app).list, defineList},
		{"key generate", "", "make a signing key, and print its secret part", (*app).keyGenerate, defineKeyGenerate},
		{"key audit", "KEYRING|KEY", "say what some apt holds, or soon will hold, against a key", (*app).keyAudit, defineKeyAudit},
		{"key show", "KEY", "print a key's public part", (*app).keyShow, defineKeyShow},
	}
}

func main() {
	os.Exit(run(os.Args[1:], &app{os.Stdout, os.Stderr, os.Getenv, time.Now()}))
}

func run(args []string, a *app) int {
	err := a.dispatch(args)
	var wrong usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &wrong):
		fmt.Fprintf(a.stderr, "aptrepo: error: %v\n", err)
		return exitUsage
	}
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintf(a.stderr, "aptrepo: error: %s\n", strings.TrimSuffix(line, "\n"))
	}
	return exitFailed
}

type usageError struct{ text string }

func (e usageError) Error() string { return e.text }

func usage(format string, args ...any) error { return usageError{fmt.Sprintf(format, args...)} }

func (a *app) dispatch(args []string) error {
	if len(args) == 0 {
		return usage("no command: see aptrepo --help")
	}
	switch args[0] {
	case "-h", "--help", "help":
		a.help()
		return nil
	case "--version":
		fmt.Fprintln(a.stdout, "aptrepo", version())
		return nil
	}
	v, rest, found := find(args)
	if !found {
		return usage("unknown command %q: see aptrepo --help", strings.Join(args[:min(2, len(args))], " "))
	}
	f := newFlags(v)
	operands, err := f.parse(rest)
	if errors.Is(err, flag.ErrHelp) {
		f.help(a.stdout)
		return nil
	}
	if err != nil {
		return usage("%v: see aptrepo %s --help", err, v.name)
	}
	return v.run(a, f, operands)
}

func find(args []string) (verb, []string, bool) {
	for _, v := range verbs() {
		words := strings.Fields(v.name)
		if len(args) >= len(words) && strings.Join(args[:len(words)], " ") == v.name {
			return v, args[len(words):], true
		}
	}
	return verb{}, nil, false
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(unknown)"
}

func (a *app) help() {
	fmt.Fprint(a.stdout, "Usage: aptrepo COMMAND [OPTION]... [ARGUMENT]...\n\nKeeps apt repositories.\n\nCommands:\n")
	for _, v := range verbs() {
		fmt.Fprintf(a.stdout, "  %-32s %s\n", strings.TrimSpace(v.name+" "+v.args), v.summary)
	}
	fmt.Fprint(a.stdout, `
"aptrepo COMMAND --help" lists a command's options. Keys are named as file:PATH,
env:NAME (a variable that holds the key) or agent:FINGERPRINT (gpg-agent).

Exit status: 0 done, 1 it could not be done or a fault was found, 2 wrong usage.
`)
}
