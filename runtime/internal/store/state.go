package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"syscall"
	"time"
)

// format is the version of the file's layout. A berth that finds a newer one than its own does not guess.
const format = 1

// State is what one command leaves for the next. Zero values are left out of the file.
type State struct {
	Format      int               `json:"format"`
	ID          string            `json:"id"`
	OCIVersion  string            `json:"ociVersion"`
	Bundle      string            `json:"bundle"` // absolute
	Rootfs      string            `json:"rootfs"` // absolute
	Created     time.Time         `json:"created"`
	Owner       uint32            `json:"owner"` // uid of who created it
	Annotations map[string]string `json:"annotations,omitempty"`

	Init    Process `json:"init"`              // the container's first process; Pid 0 while there is none
	Started bool    `json:"started,omitempty"` // start was asked for; until then the container is "created"

	Cgroup       Cgroup            `json:"cgroup"`
	Namespaces   map[string]string `json:"namespaces,omitempty"` // spec type → path that stays good while Init lives
	IntelRdt     string            `json:"intelRdt,omitempty"`   // the resctrl group
	NoNewKeyring bool              `json:"noNewKeyring,omitempty"`
	ConfigDigest string            `json:"configDigest,omitempty"` // "sha256:HEX" of config.json as it was read

	// Hooks that run after create, as config.json has them, because the bundle may change meanwhile.
	Poststart json.RawMessage `json:"poststart,omitempty"`
	Poststop  json.RawMessage `json:"poststop,omitempty"`

	// Extra holds what single features keep, under their own names.
	Extra map[string]json.RawMessage `json:"extra,omitempty"`
}

// Cgroup says where the container's processes are accounted and who made that place.
type Cgroup struct {
	Mode  string            `json:"mode,omitempty"`  // v1, hybrid, v2
	Unit  string            `json:"unit,omitempty"`  // the systemd unit, where systemd made it
	Slice string            `json:"slice,omitempty"` // the unit's slice
	User  bool              `json:"user,omitempty"`  // the unit is the user manager's
	Paths map[string]string `json:"paths,omitempty"` // controller → absolute folder; "" is the unified hierarchy
}

// Save replaces the state in one step: a reader, or a crash at any moment, meets the former state or this one. The caller
// holds the lock. Format and ID are filled in.
func (e *Entry) Save(s State) error {
	if e.lock == none {
		return fmt.Errorf("cannot save state of %q: the entry is not locked", e.id)
	}
	s.Format, s.ID = format, e.id
	data, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("cannot save state of %q: %w", e.id, err)
	}
	if len(data) > maxState {
		return fmt.Errorf("cannot save state of %q: it has %d bytes and %d is the most; shorten the annotations or hooks", e.id, len(data), maxState)
	}
	if err := e.replace(stateFile, stateTemp, data); err != nil {
		return fmt.Errorf("cannot save %q: %w", filepath.Join(e.Dir(), stateFile), err)
	}
	return nil
}

// replace writes data under a passing name and renames it.
func (e *Entry) replace(name, temp string, data []byte) error {
	dir := int(e.dir.Fd())
	fd, err := openFile(dir, temp, syscall.O_WRONLY|syscall.O_CREAT|syscall.O_TRUNC)
	if err != nil {
		return err
	}
	err = writeAll(fd, data)
	if cerr := syscall.Close(fd); err == nil {
		err = cerr
	}
	if err == nil {
		err = retry(func() error { return syscall.Renameat(dir, temp, dir, name) })
	}
	if err != nil {
		_ = syscall.Unlinkat(dir, temp)
	}
	return err
}

// Load reads the state. [ErrIncomplete] says that there is none yet: create is at work, or was killed.
func (e *Entry) Load() (State, error) {
	path := filepath.Join(e.Dir(), stateFile)
	data, err := e.readFile(stateFile, maxState)
	if errors.Is(err, syscall.ENOENT) {
		if !e.current() {
			return State{}, fmt.Errorf("%q: %w", e.id, ErrNotExist)
		}
		return State{}, fmt.Errorf("container %q: %w", e.id, ErrIncomplete)
	}
	if err != nil {
		return State{}, fmt.Errorf("cannot read %q: %w", path, explainOpen(err))
	}
	s, err := decodeState(data, e.id)
	if err != nil {
		return State{}, fmt.Errorf("cannot understand %q: %w; remove the container with: berth delete --force %s", path, err, e.id)
	}
	return s, nil
}

// decodeState refuses what no Save of this id wrote.
func decodeState(data []byte, id string) (State, error) {
	var s State
	if err := json.Unmarshal(data, &s); err != nil {
		return State{}, err
	}
	switch {
	case s.Format != format:
		return State{}, fmt.Errorf("it has format %d and this version knows %d", s.Format, format)
	case s.ID != id:
		return State{}, fmt.Errorf("it is the state of container %q", s.ID)
	case s.Init.Pid < 0:
		return State{}, fmt.Errorf("pid %d is negative", s.Init.Pid)
	}
	return s, nil
}
