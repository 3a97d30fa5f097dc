package main

import (
	"fmt"
	"os"
	"time"

	"github.com/berth-oci/berth/aptrepo"
	"github.com/berth-oci/berth/signing"
)

func definePublish(f *flags) {
	defineWrite(f)
	f.StringVar(&f.component, "component", "", "`NAME` of the component to add to (default: the configuration's first)")
}

// site is a repository about to be changed.
type site struct {
	dir    string
	config aptrepo.Config
	prev   *aptrepo.Published
	key    signing.Signer
	at     time.Time
}

// open reads all that a change starts from.
func (a *app) open(f *flags, dir string) (*site, error) {
	s := &site{dir: dir}
	var err error
	if s.config, err = readConfig(f, dir); err != nil {
		return nil, err
	}
	if s.at, err = a.at(f); err != nil {
		return nil, err
	}
	if s.key, err = a.signer(f, s.at); err != nil {
		return nil, err
	}
	s.prev, err = readPrevious(f, dir, s.config.Codename, s.key)
	return s, err
}

// readPrevious believes what is there only if the key at hand, or one that the
// user names, has signed it: it is about to be signed again.
func readPrevious(f *flags, dir, codename string, key signing.Signer) (*aptrepo.Published, error) {
	trust := key.Public()
	if f.keyring != "" {
		data, err := os.ReadFile(f.keyring)
		if err == nil {
			trust, err = signing.Dearmor(data)
		}
		if err != nil {
			return nil, fmt.Errorf("cannot read the keyring: %w", err)
		}
	}
	prev, err := aptrepo.Read(aptrepo.Directory(dir), codename, trust)
	if err != nil && f.keyring == "" {
		err = fmt.Errorf("%w\nif another key of yours signed it, name its keyring with --trust", err)
	}
	return prev, err
}

// build builds and publishes what packages say.
func (a *app) build(f *flags, s *site, packages []aptrepo.Package) error {
	tree, err := aptrepo.Build(s.config, s.prev, packages, s.key, s.at, f.consent)
	if err != nil {
		return err
	}
	return a.write(f, s.dir, tree)
}

func (a *app) write(f *flags, dir string, tree *aptrepo.Tree) error {
	dst := aptrepo.Directory(dir)
	if f.dry {
		return aptrepo.Plan(dst, tree, a.tell)
	}
	return aptrepo.Publish(dst, tree, a.tell)
}

// tell prints one line for each change; the same for a plan.
func (a *app) tell(e aptrepo.Event) {
	switch e.Step {
	case "show":
		fmt.Fprintf(a.stdout, "write  %9d  %s\n", e.Size, e.Path)
	case "remove":
		fmt.Fprintf(a.stdout, "remove %9s  %s\n", "", e.Path)
	}
}

func (a *app) publish(f *flags, operands []string) error {
	if len(operands) < 1 {
		return usage("publish takes a directory and packages")
	}
	s, err := a.open(f, operands[0])
	if err != nil {
		return err
	}
	var more []*aptrepo.Package
	for _, file := range operands[1:] {
		p, err := aptrepo.ReadPackage(file)
		if err != nil {
			return err
		}
		p.Component = f.component
		more = append(more, p)
	}
	packages, err := s.prev.Add(s.config, more...)
	if err != nil {
		return err
	}
	return a.build(f, s, packages)
}
