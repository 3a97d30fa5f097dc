package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// libexec holds the programs that are berth's own subcommands and nobody calls by themselves.
const libexec = "/usr/libexec/berth"

// external executes berth-NAME in the place of this process, the way git finds its subcommands: heavy work has programs
// of its own so that berth stays small. The global options go along before the arguments. It returns only an error.
func (c *command) external(name string, global, args []string) error {
	program := "berth-" + name
	path := findProgram(program, append([]string{libexec}, searchPath()...))
	if path == "" {
		return withHelp(c.unknownVerb(name), "berth --help")
	}
	argv := append(append([]string{program}, global...), args...)
	return fmt.Errorf("cannot execute %s: %w", path, syscall.Exec(path, argv, os.Environ()))
}

// unknownVerb says what may have been meant.
func (c *command) unknownVerb(name string) error {
	if name == "checkpoint" || name == "restore" {
		return fmt.Errorf("berth does not %s containers", name)
	}
	names := make([]string, 0, len(verbs()))
	for _, v := range verbs() {
		names = append(names, v.name)
	}
	if near := nearest(names, name); near != "" {
		return fmt.Errorf("unknown verb %q; did you mean %q?", name, near)
	}
	return fmt.Errorf("unknown verb %q, and there is no program berth-%s in %s or $PATH", name, printable(name), libexec)
}

// searchPath is PATH as a list.
func searchPath() []string { return filepath.SplitList(os.Getenv("PATH")) }

// findProgram looks for an executable file in the absolute ones of the folders. A relative folder is passed over: the
// working directory may be a bundle, and what lies in it is not ours to run.
func findProgram(name string, folders []string) string {
	if strings.ContainsAny(name, "/\x00") {
		return ""
	}
	for _, dir := range folders {
		path := filepath.Join(dir, name)
		if filepath.IsAbs(dir) && executable(path) == nil {
			return path
		}
	}
	return ""
}

func executable(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
		return errors.New("it is not an executable file")
	}
	return nil
}
