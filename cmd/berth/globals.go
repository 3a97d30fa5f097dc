package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// globals are the options that stand before the verb.
type globals struct {
	root          string
	log           string
	logFormat     string
	debug         bool
	systemdCgroup bool
	cgroupManager string
	rootless      string
	criu          string
	version       bool
}

// globalFlags is the table of the global options.
func globalFlags(g *globals) []flag {
	level := choice(new(string), "log-level", 0, "debug, info, warn or error; debug is the same as --debug", "debug", "info", "warn", "warning", "error")
	level.set = func(v string) error { g.debug = v == "debug"; return nil }
	level.value = "LEVEL"
	manager := choice(&g.cgroupManager, "cgroup-manager", 0, "as crun has it: systemd is the same as --systemd-cgroup", "cgroupfs", "systemd")
	manager.hidden = true
	manager.set = func(v string) error { g.systemdCgroup = v == "systemd"; return nil }
	version := toggle(&g.version, "version", 'v', "print the version and exit")
	return []flag{
		path(&g.root, "root", 0, "DIR", "directory", "keep the state of containers here; default /run/berth, or $XDG_RUNTIME_DIR/berth without root"),
		path(&g.log, "log", 0, "FILE", "file", "append messages to FILE; journald: and syslog: name those instead"),
		choice(&g.logFormat, "log-format", 0, "how messages are written", "text", "json"),
		level,
		toggle(&g.debug, "debug", 0, "write messages that help to find a mistake"),
		toggle(&g.systemdCgroup, "systemd-cgroup", 0, "let systemd make the cgroup; cgroupsPath then has the form slice:prefix:name"),
		choice(&g.rootless, "rootless", 0, "whether to do without root's rights; auto looks who is calling", "auto", "true", "false"),
		manager,
		{long: "criu", value: "PATH", hidden: true, set: func(v string) error { g.criu = v; return nil }},
		version,
		{long: "V", short: 'V', hidden: true, set: version.set},
	}
}

// stateDirectory is --root made absolute, or the default for who is calling.
func (g *globals) stateDirectory() (string, error) {
	if g.root != "" {
		root, err := filepath.Abs(g.root)
		if err != nil {
			return "", fmt.Errorf("cannot use state directory %q: %w", g.root, err)
		}
		return root, nil
	}
	if !g.unprivileged() {
		return "/run/berth", nil
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "berth"), nil
	}
	return filepath.Join("/run/user", strconv.Itoa(os.Getuid()), "berth"), nil
}

// unprivileged says whether the state belongs in the user's own directory: without root, and for the root of a user
// namespace that a user made, where USER keeps that user's name. runc decides the same way.
func (g *globals) unprivileged() bool {
	if g.rootless == "true" || os.Geteuid() != 0 {
		return true
	}
	return g.rootless != "false" && os.Getenv("USER") != "root" && os.Getenv("XDG_RUNTIME_DIR") != "" && inUserNamespace()
}

// inUserNamespace says whether uids are mapped: the first namespace maps all of them to themselves
// (user_namespaces(7)).
func inUserNamespace() bool {
	data, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		return false
	}
	return strings.Join(strings.Fields(string(data)), " ") != "0 0 4294967295"
}
