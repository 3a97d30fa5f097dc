package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/berth-oci/berth/aptrepo"
)

const configName = "aptrepo.json"

// readConfig reads the repository's configuration. An unknown field is an
// error: a misspelt one would be ignored for ever.
func readConfig(f *flags, dir string) (aptrepo.Config, error) {
	var c aptrepo.Config
	path := f.config
	if path == "" {
		path = filepath.Join(dir, configName)
	}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, fmt.Errorf("cannot read the configuration: %w: write one with aptrepo init", err)
	}
	if err != nil {
		return c, fmt.Errorf("cannot read the configuration: %w", err)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&c); err != nil {
		return c, fmt.Errorf("cannot read the configuration %s: %w", path, err)
	}
	return c, nil
}

func defineInit(f *flags) {
	f.StringVar(&f.name, "name", "", "`NAME` of the files to download, such as NAME.sources")
	f.StringVar(&f.origin, "origin", "", "who publishes: `TEXT` that clients hold on to")
	f.StringVar(&f.label, "label", "", "what this is: `TEXT` that clients hold on to (default: the origin)")
	f.StringVar(&f.codename, "codename", "stable", "`NAME` of the suite's folder (default: stable)")
	f.StringVar(&f.architectures, "arch", "amd64,arm64", "architectures, a comma between `NAMES` (default: amd64,arm64)")
	f.StringVar(&f.components, "components", "main", "components, a comma between `NAMES` (default: main)")
	f.StringVar(&f.description, "description", "", "one line of `TEXT`")
	f.StringVar(&f.url, "url", "", "`URL` at which the repository will be served")
	f.StringVar(&f.unofficial, "unofficial", "", "`TEXT`: why nobody should rely on this repository; shown loudly")
}

// init writes the configuration where the other commands look for it.
func (a *app) init(f *flags, operands []string) error {
	if len(operands) != 1 {
		return usage("init takes one directory")
	}
	if f.name == "" || f.origin == "" {
		return usage("init needs --name and --origin")
	}
	c := aptrepo.Config{Name: f.name, Origin: f.origin, Label: f.label, Codename: f.codename, Description: f.description, URL: f.url,
		Architectures: strings.Split(f.architectures, ","), Components: strings.Split(f.components, ","),
		Page: aptrepo.Page{Unofficial: f.unofficial}}
	if err := c.Check(); err != nil {
		return err
	}
	data, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(operands[0], 0o755); err != nil {
		return fmt.Errorf("cannot prepare the repository: %w", err)
	}
	path := filepath.Join(operands[0], configName)
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fmt.Errorf("cannot prepare the repository: %w", err)
	}
	_, err = file.Write(append(data, '\n'))
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("cannot prepare the repository: %w", err)
	}
	fmt.Fprintln(a.stdout, path)
	return nil
}
