// Package store keeps what Berth remembers of a container between two commands: one folder per id under the state
// directory, in it the state, the undo journal and a lock.
//
// The parties: the commands of one user, run at the same time and killed at any moment, trust each other's files once
// [Open] and [Store.Lookup] have seen that nobody else could have written them. Nobody else is trusted: another user
// who plants a symbolic link, a FIFO or a folder in the way gets an error, never a write. A container never sees this
// directory.
//
//	ROOT/            0700, owned by the caller
//	  ID/            made by mkdir, which is what claims the id
//	    lock         flock(2), held while a verb changes the container
//	    journal      one undo record a line, written before the thing it undoes is made
//	    config       what create read from the bundle, which may change afterwards; written once, before the state
//	    state        replaced by rename; absent until create has something to say
//	  ~INODE/        a folder on its way out
//
// Nothing is synced to disk. State is of use only until the machine stops, since the processes end then, and every
// state names the boot it belongs to.
package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Errors a caller branches on. Shims and engines match their words.
var (
	ErrNotExist   = errors.New("container does not exist")
	ErrExist      = errors.New("container with given ID already exists")
	ErrIncomplete = errors.New("its creation has not finished or was interrupted")
	ErrInvalidID  = errors.New("invalid container id")
)

// maxID is the longest id: a folder carries it, and NAME_MAX is 255 on every file system that holds /run.
const maxID = 255

// goneMark begins the names of folders that are being removed. No id can begin with it.
const goneMark = "~"

// Store is an open state directory. It may not exist yet: the first Claim makes it.
type Store struct {
	path string
	dir  *os.File // nil while the directory does not exist
}

// Open opens the state directory at the absolute path root and refuses one that another user owns or may write to.
// A directory that does not exist holds no container and is made by the first [Store.Claim].
func Open(root string) (*Store, error) {
	if !filepath.IsAbs(root) {
		return nil, fmt.Errorf("cannot use state directory %q: the path is not absolute", root)
	}
	s := &Store{path: filepath.Clean(root)}
	err := s.open()
	if errors.Is(err, syscall.ENOENT) {
		return s, nil
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// open opens and checks the directory.
func (s *Store) open() error {
	fd, err := openDir(atCWD, s.path)
	if err != nil {
		return fmt.Errorf("cannot open state directory %q: %w", s.path, explainOpen(err))
	}
	dir := os.NewFile(uintptr(fd), s.path)
	if err := checkOwned(dir, s.path); err != nil {
		dir.Close()
		return fmt.Errorf("cannot use state directory %q: %w", s.path, err)
	}
	s.dir = dir
	return nil
}

// explainOpen turns the two errnos of a symbolic link that is not followed into words.
func explainOpen(err error) error {
	if errors.Is(err, syscall.ELOOP) || errors.Is(err, syscall.ENOTDIR) {
		return fmt.Errorf("it must be a directory, not a file or a symbolic link (%w)", err)
	}
	return err
}

// checkOwned refuses a directory that others could have put things into.
func checkOwned(dir *os.File, path string) error {
	var st syscall.Stat_t
	if err := syscall.Fstat(int(dir.Fd()), &st); err != nil {
		return err
	}
	if uid := uint32(os.Geteuid()); st.Uid != uid {
		return fmt.Errorf("it belongs to user %d and this is user %d; choose another with --root", st.Uid, uid)
	}
	if st.Mode&0o022 != 0 {
		return fmt.Errorf("its mode %04o lets other users write to it; run: chmod go-w %s", st.Mode&0o7777, strconv.Quote(path))
	}
	return nil
}

// Path is the state directory.
func (s *Store) Path() string { return s.path }

// Close gives the directory's descriptor back.
func (s *Store) Close() error {
	if s.dir == nil {
		return nil
	}
	return s.dir.Close()
}

// CheckID says why id cannot name a container: letters, digits, "_", "+", "-" and "." only, as runc has it, and neither
// "." nor "..".
func CheckID(id string) error {
	switch {
	case id == "":
		return fmt.Errorf("%w: it is empty", ErrInvalidID)
	case len(id) > maxID:
		return fmt.Errorf("%w: it has %d bytes and %d is the most", ErrInvalidID, len(id), maxID)
	case id == "." || id == "..":
		return fmt.Errorf("%w: %q is a folder's own name", ErrInvalidID, id)
	}
	for i := range len(id) {
		if !idByte(id[i]) {
			return fmt.Errorf("%w %q: byte %d is none of letters, digits, %q", ErrInvalidID, id, i+1, "_+-.")
		}
	}
	return nil
}

func idByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("_+-.", c) >= 0
}

// Claim takes the id by making its folder, and with it the state directory where that is missing. An id that is taken
// is [ErrExist]. The caller locks the entry next.
func (s *Store) Claim(id string) (*Entry, error) {
	if err := CheckID(id); err != nil {
		return nil, err
	}
	if err := s.ensure(); err != nil {
		return nil, err
	}
	err := retry(func() error { return syscall.Mkdirat(int(s.dir.Fd()), id, 0o700) })
	if errors.Is(err, syscall.EEXIST) {
		return nil, fmt.Errorf("%q: %w", id, ErrExist)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot make %q: %w", filepath.Join(s.path, id), err)
	}
	return s.Lookup(id)
}

// ensure makes the state directory: its parents open to all, itself to the owner only.
func (s *Store) ensure() error {
	if s.dir != nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(s.path), 0o755); err != nil {
		return fmt.Errorf("cannot make state directory %q: %w", s.path, err)
	}
	if err := os.Mkdir(s.path, 0o700); err != nil && !os.IsExist(err) {
		return fmt.Errorf("cannot make state directory %q: %w", s.path, err)
	}
	return s.open()
}

// Lookup opens the entry of an id, or returns [ErrNotExist].
func (s *Store) Lookup(id string) (*Entry, error) {
	if err := CheckID(id); err != nil {
		return nil, err
	}
	if s.dir == nil {
		return nil, fmt.Errorf("%q: %w", id, ErrNotExist)
	}
	path := filepath.Join(s.path, id)
	fd, err := openDir(int(s.dir.Fd()), id)
	if errors.Is(err, syscall.ENOENT) {
		return nil, fmt.Errorf("%q: %w", id, ErrNotExist)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot open %q: %w", path, explainOpen(err))
	}
	dir := os.NewFile(uintptr(fd), path)
	if err := checkOwned(dir, path); err != nil {
		dir.Close()
		return nil, fmt.Errorf("cannot use %q: %w", path, err)
	}
	return &Entry{store: s, id: id, dir: dir, lock: none, journal: none}, nil
}

// List returns the claimed ids in order, those whose creation has not finished too. What cannot be an id is passed over.
func (s *Store) List() ([]string, error) {
	names, err := s.names()
	if err != nil {
		return nil, err
	}
	ids := names[:0]
	for _, name := range names {
		if CheckID(name) == nil {
			ids = append(ids, name)
		}
	}
	slices.Sort(ids)
	return ids, nil
}

// names lists the folders in the state directory.
func (s *Store) names() ([]string, error) {
	if s.dir == nil {
		return nil, nil
	}
	fd, err := openDir(int(s.dir.Fd()), ".") // a position of its own
	if err != nil {
		return nil, fmt.Errorf("cannot list state directory %q: %w", s.path, err)
	}
	dir := os.NewFile(uintptr(fd), s.path)
	defer dir.Close()
	entries, err := dir.ReadDir(-1)
	if err != nil {
		return nil, fmt.Errorf("cannot list state directory %q: %w", s.path, err)
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// Leftovers lists the paths of folders whose removal was interrupted, or is going on. They have no id any more.
func (s *Store) Leftovers() ([]string, error) {
	names, err := s.names()
	if err != nil {
		return nil, err
	}
	var left []string
	for _, name := range names {
		if strings.HasPrefix(name, goneMark) {
			left = append(left, filepath.Join(s.path, name))
		}
	}
	slices.Sort(left)
	return left, nil
}

// Sweep removes one of the [Store.Leftovers]. That somebody else does so at the same time is no error.
func (s *Store) Sweep(leftover string) error {
	dir, name := filepath.Split(leftover)
	if filepath.Clean(dir) != s.path || !strings.HasPrefix(name, goneMark) {
		return fmt.Errorf("cannot remove %q: it is not what a delete has left", leftover)
	}
	return s.removeTree(name)
}

// removeTree removes a folder of the state directory and follows no link on the way.
func (s *Store) removeTree(name string) error {
	path := filepath.Join(s.path, name)
	root, err := os.OpenRoot(s.path)
	if err != nil {
		return fmt.Errorf("cannot remove %q: %w", path, err)
	}
	defer root.Close()
	if err := s.sameDirectory(root); err != nil {
		return fmt.Errorf("cannot remove %q: %w", path, err)
	}
	// Who looked the entry up before it went may make a lock file in it now, so an attempt can find it not empty.
	for range 5 {
		if err = root.RemoveAll(name); !errors.Is(err, syscall.ENOTEMPTY) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("cannot remove %q: %w", path, err)
	}
	return nil
}

// sameDirectory makes sure that the path still leads to the directory that was opened.
func (s *Store) sameDirectory(root *os.Root) error {
	now, err := root.Stat(".")
	if err != nil {
		return err
	}
	was, err := s.dir.Stat()
	if err != nil {
		return err
	}
	if !os.SameFile(now, was) {
		return errors.New("the state directory was exchanged for another")
	}
	return nil
}
