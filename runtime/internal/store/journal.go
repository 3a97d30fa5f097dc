package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/berth-oci/berth/runtime/internal/cgroup"
)

// Undo describes one thing that a container leaves on the machine and that has to be taken back. It is data: carrying it
// out is the runtime's part, from the last record to the first, and must bear that the thing was never made.
type Undo struct {
	Kind UndoKind
	Boot string // the boot it was made in; filled in by Record
	Path string // cgroup, mount, directory, file or resctrl group: absolute

	Name      string // network device: its name in the container; unit: its name
	Former    string // network device: its name on the host
	Namespace string // network device: path of the namespace it is in
	User      bool   // unit: of the user manager

	Process Process // process: which one to kill

	Cgroup cgroup.State // cgroup: what Layout.State gives

	Extra json.RawMessage
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

var undoKinds = []UndoKind{UndoCgroup, UndoUnit, UndoMount, UndoDirectory, UndoFile, UndoNetworkDevice, UndoResctrl, UndoProcess}

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
	boot, err := bootID()
	if err != nil {
		return err
	}
	l := make(lines, 0, 1024)
	for i := range undo {
		undo[i].encode(&l, boot)
	}
	if err := e.openJournal(); err != nil {
		return err
	}
	return writeAll(e.journal, l)
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
	_, whole, err := e.journalLines()
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
	for text := range strings.Lines(string(whole)) {
		number++
		l := parseLine(strings.TrimSuffix(text, "\n"))
		u := decodeUndo(&l)
		if err := l.done(); err != nil {
			broken = errors.Join(broken, fmt.Errorf("cannot understand %q, line %d: %w", path, number, err))
			continue
		}
		undo = append(undo, u)
	}
	return undo, broken
}

// Lasts says whether what the record undoes may still be there: files outlive a reboot, everything else was the kernel's and
// is gone with it. What has its name now is somebody else's.
func (u *Undo) Lasts() (bool, error) {
	if u.Kind == UndoFile || u.Kind == UndoDirectory {
		return true, nil
	}
	boot, err := bootID()
	return u.Boot == boot, err
}

// encode writes one record: the kind, then every field in its order.
func (u *Undo) encode(l *lines, boot string) {
	user := ""
	if u.User {
		user = "user"
	}
	p := u.Process
	values := []string{boot, u.Path, u.Name, u.Former, u.Namespace, user, strconv.Itoa(p.Pid), digits(p.Start), p.Boot, string(u.Extra)}
	if !isZero(u.Cgroup) {
		values = append(values, cgroupValues(u.Cgroup)...)
	}
	l.put(string(u.Kind), values...)
}

func decodeUndo(l *line) Undo {
	u := Undo{Kind: UndoKind(l.word), Boot: l.text(), Path: l.text(), Name: l.text(), Former: l.text(), Namespace: l.text(), User: l.text() == "user", Process: l.process()}
	if extra := l.text(); extra != "" {
		u.Extra = json.RawMessage(extra)
	}
	if len(l.values) > 0 {
		u.Cgroup = l.cgroup()
	}
	if !slices.Contains(undoKinds, u.Kind) {
		l.fail(errors.New("it is no kind of undo"))
	}
	return u
}
