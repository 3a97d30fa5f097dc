package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/berth-oci/berth/runtime/internal/cgroup"
)

// format is the version of the file's layout. A berth that finds a newer one than its own does not guess.
const format = 1

// State is what one command leaves for the next.
type State struct {
	ID          string // filled in by Save
	OCIVersion  string
	Bundle      string // absolute
	Rootfs      string // absolute
	Created     time.Time
	Owner       uint32 // uid of who created it
	Annotations map[string]string

	Init    Process // the container's first process; Pid 0 while there is none
	Started bool    // start was asked for; until then the container is "created"

	Cgroup       cgroup.State      // where its processes are accounted
	Namespaces   map[string]string // spec type → path that stays good while Init lives
	IntelRdt     string            // the resctrl group
	NoNewKeyring bool

	// Extra holds what single features keep, under their own names.
	Extra map[string]json.RawMessage
}

// Save replaces the state in one step: a reader, or a crash at any moment, meets the former state or this one. The caller
// holds the lock. A negative pid is an error of the caller.
func (e *Entry) Save(s State) error {
	if e.lock == none {
		return fmt.Errorf("cannot save state of %q: the entry is not locked", e.id)
	}
	s.ID = e.id
	data := encodeState(s)
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

// KeepConfig stores the text of the config that create was given. It comes before the first Save, so whoever finds a state finds the config
// too. The caller holds the lock.
func (e *Entry) KeepConfig(text string) error {
	if e.lock == none {
		return fmt.Errorf("cannot keep the config of %q: the entry is not locked", e.id)
	}
	fd, err := openFile(int(e.dir.Fd()), configFile, syscall.O_WRONLY|syscall.O_CREAT|syscall.O_TRUNC)
	if err == nil {
		err = writeAll(fd, []byte(text))
		if cerr := syscall.Close(fd); err == nil {
			err = cerr
		}
	}
	if err != nil {
		return fmt.Errorf("cannot write %q: %w", filepath.Join(e.Dir(), configFile), explainOpen(err))
	}
	return nil
}

// Config reads what KeepConfig stored.
func (e *Entry) Config() (string, error) {
	data, err := e.readFile(configFile, maxConfig)
	if err != nil {
		return "", fmt.Errorf("cannot read %q: %w", filepath.Join(e.Dir(), configFile), explainOpen(err))
	}
	return string(data), nil
}

// Load reads the state. [ErrIncomplete] says that there is none yet: create is at work, or was killed. Times come back in UTC.
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

// encodeState writes a state. The first line says what the file is, the last that it is whole.
func encodeState(s State) []byte {
	l := make(lines, 0, 2048)
	l.put(stateHead, digits(format))
	l.put("id", s.ID)
	l.text("ociVersion", s.OCIVersion)
	l.text("bundle", s.Bundle)
	l.text("rootfs", s.Rootfs)
	if !s.Created.IsZero() {
		l.put("created", strconv.FormatInt(s.Created.Unix(), 10), digits(uint64(s.Created.Nanosecond())))
	}
	l.put("owner", digits(uint64(s.Owner)))
	table(&l, "annotation", s.Annotations)
	l.process("init", s.Init)
	l.flag("started", s.Started)
	if !isZero(s.Cgroup) {
		l.put("cgroup", cgroupValues(s.Cgroup)...)
	}
	table(&l, "namespace", s.Namespaces)
	l.text("intelRdt", s.IntelRdt)
	l.flag("noNewKeyring", s.NoNewKeyring)
	table(&l, "extra", s.Extra)
	l.put(stateTail)
	return l
}

const (
	stateHead = "berth-state"
	stateTail = "end"
)

// decodeState refuses what no Save of this id wrote.
func decodeState(data []byte, id string) (State, error) {
	head, rest, _ := strings.Cut(string(data), "\n")
	first := parseLine(head)
	if first.word != stateHead {
		return State{}, errors.New("it is not a container's state")
	}
	if n := first.number(64); n != format {
		return State{}, fmt.Errorf("it has format %d and this version knows %d", n, format)
	}
	rest, whole := strings.CutSuffix(rest, "\n"+stateTail+"\n")
	if !whole {
		return State{}, errors.New("it is cut off")
	}
	var s State
	for text := range strings.SplitSeq(rest, "\n") {
		l := parseLine(text)
		s.take(&l)
		if err := l.done(); err != nil {
			return State{}, err
		}
	}
	if s.ID != id {
		return State{}, fmt.Errorf("it is the state of container %q", s.ID)
	}
	return s, nil
}

// take sets what one line says.
func (s *State) take(l *line) {
	switch l.word {
	case "id":
		s.ID = l.text()
	case "ociVersion":
		s.OCIVersion = l.text()
	case "bundle":
		s.Bundle = l.text()
	case "rootfs":
		s.Rootfs = l.text()
	case "created":
		s.Created = time.Unix(int64(l.number(63)), int64(l.number(30))).UTC()
	case "owner":
		s.Owner = uint32(l.number(32))
	case "annotation":
		entry(l, &s.Annotations)
	case "init":
		s.Init = l.process()
	case "started":
		s.Started = true
	case "cgroup":
		s.Cgroup = l.cgroup()
	case "namespace":
		entry(l, &s.Namespaces)
	case "intelRdt":
		s.IntelRdt = l.text()
	case "noNewKeyring":
		s.NoNewKeyring = true
	case "extra":
		entry(l, &s.Extra)
	default:
		l.fail(errors.New("it is unknown"))
	}
}
