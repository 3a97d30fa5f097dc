package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

const (
	stateFile   = "state"
	stateTemp   = "state.new"
	journalFile = "journal"
	lockFile    = "lock"
	configFile  = "config"
)

// Limits on what is read back. A state is about the size of the annotations and hooks of a config.json.
const (
	maxState   = 16 << 20
	maxJournal = 64 << 20
	maxConfig  = 16 << 20 // what create accepts
)

// Entry is one container's folder. It stays bound to that folder, even where the id is deleted and claimed again.
type Entry struct {
	store   *Store
	id      string
	dir     *os.File
	lock    int // none, or the descriptor that holds it
	journal int // none, or open for appending
}

// ID is the container's id.
func (e *Entry) ID() string { return e.id }

// Dir is the path of the folder, for sockets and what else must have a name.
func (e *Entry) Dir() string { return filepath.Join(e.store.path, e.id) }

// SocketPath is a path for bind(2) or connect(2) to a socket in the folder. A sockaddr_un holds 107 bytes, so where the
// folder's own path is too long it leads through this process's descriptor, and is good only while the entry is open.
func (e *Entry) SocketPath(name string) string {
	path := filepath.Join(e.Dir(), name)
	if len(path) < len(syscall.RawSockaddrUnix{}.Path) {
		return path
	}
	return filepath.Join("/proc/self/fd", strconv.Itoa(int(e.dir.Fd())), name)
}

// Close gives the descriptors back, and with them the lock.
func (e *Entry) Close() error {
	closeFD(&e.journal)
	closeFD(&e.lock)
	return e.dir.Close()
}

// Lock waits until no other command holds the entry. [ErrNotExist] says that it was deleted meanwhile. Close, Unlock or the
// end of the process gives it back.
func (e *Entry) Lock() error { return e.flock(syscall.LOCK_EX) }

// TryLock is Lock that does not wait; false says that another command holds the entry.
func (e *Entry) TryLock() (bool, error) {
	err := e.flock(syscall.LOCK_EX | syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}

func (e *Entry) flock(how int) error {
	if e.lock != none {
		return nil
	}
	fd, err := openFile(int(e.dir.Fd()), lockFile, syscall.O_RDWR|syscall.O_CREAT)
	if errors.Is(err, syscall.ENOENT) { // the folder itself is gone
		return fmt.Errorf("%q: %w", e.id, ErrNotExist)
	}
	if err != nil {
		return fmt.Errorf("cannot lock %q: %w", e.Dir(), explainOpen(err))
	}
	if err := retry(func() error { return syscall.Flock(fd, how) }); err != nil {
		syscall.Close(fd)
		return fmt.Errorf("cannot lock %q: %w", e.Dir(), err)
	}
	if !e.current() {
		syscall.Close(fd)
		return fmt.Errorf("%q: %w", e.id, ErrNotExist)
	}
	e.lock = fd
	return nil
}

// Unlock gives the lock back.
func (e *Entry) Unlock() { closeFD(&e.lock) }

// current says whether the id still names this folder.
func (e *Entry) current() bool {
	fd, err := openDir(int(e.store.dir.Fd()), e.id)
	if err != nil {
		return false
	}
	defer syscall.Close(fd)
	var named, held syscall.Stat_t
	if syscall.Fstat(fd, &named) != nil || syscall.Fstat(int(e.dir.Fd()), &held) != nil {
		return false
	}
	return named.Dev == held.Dev && named.Ino == held.Ino
}

// Remove deletes the folder and frees the id. It first takes the folder out of sight under a name that is no id, so that
// a command that comes meanwhile finds either all of it or nothing. The caller holds the lock.
func (e *Entry) Remove() error {
	if e.lock == none {
		return fmt.Errorf("cannot remove %q: the entry is not locked", e.Dir())
	}
	var st syscall.Stat_t
	if err := syscall.Fstat(int(e.dir.Fd()), &st); err != nil {
		return fmt.Errorf("cannot remove %q: %w", e.Dir(), err)
	}
	gone := goneMark + strconv.FormatUint(st.Ino, 10)
	dir := int(e.store.dir.Fd())
	if err := retry(func() error { return syscall.Renameat(dir, e.id, dir, gone) }); err != nil {
		return fmt.Errorf("cannot remove %q: %w", e.Dir(), err)
	}
	return e.store.removeTree(gone)
}

// readFile reads a file of the folder that no one else wrote, up to limit bytes.
func (e *Entry) readFile(name string, limit int64) ([]byte, error) {
	fd, err := openFile(int(e.dir.Fd()), name, syscall.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer syscall.Close(fd)
	var st syscall.Stat_t
	if err := syscall.Fstat(fd, &st); err != nil {
		return nil, err
	}
	switch {
	case st.Mode&syscall.S_IFMT != syscall.S_IFREG:
		return nil, errors.New("it is not a regular file")
	case st.Uid != uint32(os.Geteuid()) || st.Mode&0o022 != 0:
		return nil, fmt.Errorf("user %d with mode %04o: another user could have written it", st.Uid, st.Mode&0o7777)
	case st.Size > limit:
		return nil, fmt.Errorf("it has %d bytes and %d is the most", st.Size, limit)
	}
	data := make([]byte, st.Size)
	if err := readFull(fd, data); err != nil {
		return nil, fmt.Errorf("it shrank while being read: %w", err)
	}
	return data, nil
}
