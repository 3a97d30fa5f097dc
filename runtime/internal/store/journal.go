package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"syscall"
)

// Undo describes one thing that a container leaves on the machine and that has to be taken back. It is data: carrying it
// out is the runtime's part, from the last record to the first, and must bear that the thing was never made.
type Undo struct {
	Kind UndoKind `json:"kind"`
	Path string   `json:"path,omitempty"` // cgroup, mount, directory, file or resctrl group: absolute

	Name      string `json:"name,omitempty"`      // network device: its name in the container; unit: its name
	Former    string `json:"former,omitempty"`    // network device: its name on the host
	Namespace string `json:"namespace,omitempty"` // network device: path of the namespace it is in
	User      bool   `json:"user,omitempty"`      // unit: of the user manager

	Process Process `json:"process,omitzero"` // process: which one to kill

	Extra json.RawMessage `json:"extra,omitempty"`
}

// UndoKind says what was made.
type UndoKind string

// The kinds of undo.
const (
	UndoCgroup        UndoKind = "cgroup"    // kill what is in it, then rmdir
	UndoUnit          UndoKind = "unit"      // stop the systemd unit
	UndoMount         UndoKind = "mount"     // umount, detached
	UndoDirectory     UndoKind = "directory" // rmdir, never what is in it
	UndoFile          UndoKind = "file"      // unlink
	UndoNetworkDevice UndoKind = "netdev"    // move back and rename
	UndoResctrl       UndoKind = "resctrl"   // rmdir of the group
	UndoProcess       UndoKind = "process"   // kill by pidfd once the start time matches
)

// Record appends to the journal, in one write. It comes before the things are made: a crash between the two leaves a
// record of nothing, which is harmless, where the other order would leave a thing that nobody knows of. The caller
// holds the lock.
func (e *Entry) Record(undo ...Undo) error {
	if err := e.record(undo); err != nil {
		return fmt.Errorf("cannot write %q: %w", filepath.Join(e.Dir(), journalFile), err)
	}
	return nil
}

func (e *Entry) record(undo []Undo) error {
	if e.lock == none {
		return errors.New("the entry is not locked")
	}
	var lines bytes.Buffer
	enc := json.NewEncoder(&lines) // ends each with a newline and never writes one inside
	for i := range undo {
		if err := enc.Encode(&undo[i]); err != nil {
			return err
		}
	}
	if err := e.openJournal(); err != nil {
		return err
	}
	return writeAll(e.journal, lines.Bytes())
}

// openJournal opens the journal for appending, once. A last line that a crash tore is cut off first: what it was to
// undo was never made, and the next record would be unreadable behind it.
func (e *Entry) openJournal() error {
	if e.journal != none {
		return nil
	}
	kept, _, err := e.journalLines()
	if err != nil && !errors.Is(err, syscall.ENOENT) {
		return err
	}
	fd, err := openFile(int(e.dir.Fd()), journalFile, syscall.O_WRONLY|syscall.O_CREAT|syscall.O_APPEND)
	if err != nil {
		return explainOpen(err)
	}
	if err := retry(func() error { return syscall.Ftruncate(fd, kept) }); err != nil {
		syscall.Close(fd)
		return err
	}
	e.journal = fd
	return nil
}

// journalLines reads the whole lines and how many bytes they take.
func (e *Entry) journalLines() (kept int64, lines []byte, err error) {
	data, err := e.readFile(journalFile, maxJournal)
	if err != nil {
		return 0, nil, err
	}
	lines = data[:bytes.LastIndexByte(data, '\n')+1]
	return int64(len(lines)), lines, nil
}

// Journal returns the records in the order they were written. A last line that a crash tore is left out. Where another line
// cannot be read, the error names it and the records that can be read are returned with it, so that as much as possible
// can be undone.
func (e *Entry) Journal() ([]Undo, error) {
	path := filepath.Join(e.Dir(), journalFile)
	_, lines, err := e.journalLines()
	if errors.Is(err, syscall.ENOENT) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read %q: %w", path, explainOpen(err))
	}
	var (
		undo   []Undo
		broken error
		number int
	)
	for line := range bytes.Lines(lines) {
		number++
		var u Undo
		if err := json.Unmarshal(line, &u); err != nil {
			broken = errors.Join(broken, fmt.Errorf("cannot understand %q, line %d: %w", path, number, err))
			continue
		}
		undo = append(undo, u)
	}
	return undo, broken
}
