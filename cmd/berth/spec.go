package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/berth-oci/berth/runtime/container"
)

func specVerb() *verb {
	bundle, file, rootless := ".", "config.json", false
	return &verb{
		max:     0,
		summary: "write a config.json to start from",
		about: `It describes a container that runs a shell on a terminal, with namespaces, mounts and rights that suit most programs; edit it to
your needs. The root filesystem is expected in the folder rootfs beside it. A config.json that exists is left alone.`,
		examples: []example{
			{"berth spec", "in the working directory"},
			{"berth spec --rootless --bundle /srv/box", "for a container that needs no root, in /srv/box"},
		},
		flags: []flag{
			path(&bundle, "bundle", 'b', "DIR", "directory", "write it in this folder; default is the working directory"),
			path(&file, "file", 'f', "FILE", "file", "write it under another name, or to standard output where FILE is -"),
			toggle(&rootless, "rootless", 0, "write one for a container that is made without root's rights"),
		},
		run: func(*command, []string) (int, error) {
			data, err := container.Example(rootless)
			if err != nil {
				return exitError, err
			}
			if file == "-" {
				_, err := os.Stdout.Write(data)
				return exitOK, err
			}
			return exitOK, writeNew(inFolder(bundle, file), data)
		},
	}
}

// inFolder is file below dir, or file itself where it is absolute.
func inFolder(dir, file string) string {
	if filepath.IsAbs(file) {
		return file
	}
	return filepath.Join(dir, file)
}

// writeNew writes a file that does not exist yet.
func writeNew(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("cannot write %q: it exists; remove it first, or choose another folder with --bundle", path)
	}
	if err != nil {
		return fmt.Errorf("cannot write %q: %w", path, errors.Unwrap(err))
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err != nil {
		os.Remove(path)
		return fmt.Errorf("cannot write %q: %w", path, err)
	}
	return nil
}
