package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/berth-oci/berth/runtime/container"
)

// Set by the linker: -ldflags "-X main.version=… -X main.commit=… -X main.date=…".
var (
	version = ""
	commit  = ""
	date    = ""
)

// printVersion writes what wrappers parse: "NAME version X" first, then "commit:" and "spec:" as runc has them.
func printVersion(w io.Writer) error {
	v, c, d := versionParts()
	_, err := fmt.Fprintf(w, "berth version %s\n", v)
	for _, line := range [][2]string{{"commit", c}, {"date", d}, {"spec", container.SpecVersion}, {"go", runtime.Version()}} {
		if line[1] != "" && err == nil {
			_, err = fmt.Fprintf(w, "%s: %s\n", line[0], line[1])
		}
	}
	return err
}

// versionParts is what the linker was told, or else what the go command recorded when it built.
func versionParts() (v, c, d string) {
	v, c, d = version, commit, date
	if v != "" {
		return v, c, d
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown", c, d
	}
	v = info.Main.Version
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			c = s.Value
		case "vcs.time":
			d = s.Value
		}
	}
	if v == "" || v == "(devel)" {
		v = "0.0.0-devel"
	}
	return v, c, d
}
