package store

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/berth-oci/berth/runtime/internal/cgroup"
)

// open makes a store in a new directory and one locked entry in it.
func openLocked(t *testing.T) (*Store, *Entry) {
	t.Helper()
	s := openIn(t, filepath.Join(t.TempDir(), "parent", "root"))
	e, err := s.Claim("box")
	must(t, err)
	t.Cleanup(func() { e.Close() })
	must(t, e.Lock())
	return s, e
}

func openIn(t *testing.T, root string) *Store {
	t.Helper()
	s, err := Open(root)
	must(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantError fails unless err is target, where given, and has all words.
func wantError(t *testing.T, err, target error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", words)
	}
	if target != nil && !errors.Is(err, target) {
		t.Errorf("error %q is not %q", err, target)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("error %q lacks %q", err, word)
		}
	}
}

func TestClaimTakesAnIDOnce(t *testing.T) {
	s, e := openLocked(t)
	_, err := s.Claim("box")
	wantError(t, err, ErrExist, `"box": container with given ID already exists`)
	must(t, e.Remove())
	again, err := s.Claim("box")
	must(t, err)
	again.Close()
}

func TestClaimInParallelHasOneWinner(t *testing.T) {
	root := filepath.Join(t.TempDir(), "root")
	var wins, losses int
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			s, err := Open(root)
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			e, err := s.Claim("one")
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				wins++
				e.Close()
			case errors.Is(err, ErrExist):
				losses++
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if wins != 1 || losses != 15 {
		t.Fatalf("%d claims won and %d lost, want 1 and 15", wins, losses)
	}
}

func TestTheStateDirectoryIsForItsOwnerOnly(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	s, e := openLocked(t)
	must(t, e.Save(State{}))
	must(t, e.Record(Undo{Kind: UndoDirectory, Path: "/x"}))
	for path, want := range map[string]os.FileMode{
		filepath.Dir(s.Path()):            0o755,
		s.Path():                          0o700,
		e.Dir():                           0o700,
		filepath.Join(e.Dir(), "lock"):    0o600,
		filepath.Join(e.Dir(), "journal"): 0o600,
		filepath.Join(e.Dir(), stateFile): 0o600,
	} {
		info, err := os.Stat(path)
		must(t, err)
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %04o, want %04o", path, got, want)
		}
	}
}

func TestAnUnmadeStateDirectoryIsEmptyAndStaysUnmade(t *testing.T) {
	root := filepath.Join(t.TempDir(), "none")
	s := openIn(t, root)
	ids, err := s.List()
	must(t, err)
	_, err = s.Lookup("box")
	wantError(t, err, ErrNotExist, `"box": container does not exist`)
	if _, err := os.Lstat(root); !os.IsNotExist(err) || len(ids) != 0 {
		t.Fatalf("looking made %s (%v) or found %q", root, err, ids)
	}
}

func TestOpenRefusesADirectoryThatOthersControl(t *testing.T) {
	dir := t.TempDir()
	open := func(name string, make func(path string) error) error {
		path := filepath.Join(dir, name)
		must(t, make(path))
		s, err := Open(path)
		if err == nil {
			s.Close()
		}
		return err
	}
	mode := func(mode os.FileMode) func(string) error {
		return func(path string) error { return errors.Join(os.Mkdir(path, 0o700), os.Chmod(path, mode)) }
	}
	wantError(t, open("group", mode(0o770)), nil, "mode 0770", "chmod go-w", filepath.Join(dir, "group"))
	wantError(t, open("other", mode(0o702)), nil, "mode 0702")
	wantError(t, open("sticky", mode(0o777|os.ModeSticky)), nil, "mode 1777")
	wantError(t, open("link", func(path string) error { return os.Symlink(dir, path) }), nil, "symbolic link")
	wantError(t, open("file", func(path string) error { return os.WriteFile(path, nil, 0o600) }), nil, "must be a directory")
	if err := open("readable", mode(0o755)); err != nil {
		t.Errorf("a directory that others may only read is refused: %v", err)
	}
	_, err := Open("relative/path")
	wantError(t, err, nil, "not absolute")
}

func TestOpenRefusesAnotherUsersDirectory(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: only root can give a directory away")
	}
	root := filepath.Join(t.TempDir(), "root")
	must(t, os.Mkdir(root, 0o700))
	must(t, os.Chown(root, 12345, 12345))
	_, err := Open(root)
	wantError(t, err, nil, "belongs to user 12345 and this is user 0", "--root")
}

func TestLookupRefusesAPlantedEntry(t *testing.T) {
	s, e := openLocked(t)
	outside := t.TempDir()
	must(t, os.Symlink(outside, filepath.Join(s.Path(), "link")))
	must(t, os.WriteFile(filepath.Join(s.Path(), "file"), nil, 0o600))
	must(t, os.Chmod(e.Dir(), 0o777))
	_, err := s.Lookup("link")
	wantError(t, err, nil, "symbolic link")
	_, err = s.Claim("link")
	wantError(t, err, ErrExist)
	_, err = s.Lookup("file")
	wantError(t, err, nil, "must be a directory")
	_, err = s.Lookup("box")
	wantError(t, err, nil, "mode 0777")
	ids, err := s.List()
	must(t, err)
	if !slices.Equal(ids, []string{"box"}) {
		t.Errorf("List = %q, want the one real entry", ids)
	}
}

func TestCheckID(t *testing.T) {
	for _, id := range []string{"a", "0", "A_z+0-9.b", "...", ".hidden", "-x", strings.Repeat("a", 255)} {
		if err := CheckID(id); err != nil {
			t.Errorf("%.20q is refused: %v", id, err)
		}
	}
	for _, id := range []string{"", ".", "..", "/", "a/b", "../x", "a b", "a\n", "a\x00", "é", "a,b", "~1", "a\x1b[31m",
		strings.Repeat("a", 256), strings.Repeat("a", 1<<20)} {
		err := CheckID(id)
		wantError(t, err, ErrInvalidID)
		if strings.ContainsAny(err.Error(), "\n\x1b\x00") || len(err.Error()) > 200 {
			t.Errorf("error for %.20q carries it raw or whole", id)
		}
	}
}

func TestSaveReplacesTheState(t *testing.T) {
	s, e := openLocked(t)
	want := State{
		ID: "box", OCIVersion: "1.3.0", Bundle: "/b", Rootfs: "/b/rootfs", Owner: 1000,
		Created:     time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC),
		Annotations: map[string]string{"k": "line\nbreak \x1b[0m <&>"},
		Init:        Process{Pid: 12, Start: 1 << 63, Boot: "b"}, Started: true,
		Cgroup: cgroup.State{Mode: "hybrid", Unit: "u.scope", User: true, Dirs: []cgroup.Dir{{Version: 2, Mountpoint: "/m", Path: "/m/c"},
			{Version: 1, Controllers: []string{"cpu", "cpuacct"}, Mountpoint: "/n", Path: "/n/c"}}},
		Namespaces: map[string]string{"network": "/proc/12/ns/net"}, IntelRdt: "/r", NoNewKeyring: true,
		Extra: map[string]json.RawMessage{"x": json.RawMessage(`1`)},
	}
	must(t, e.Save(State{Bundle: "/former"}))
	must(t, e.Save(want))
	other, err := s.Lookup("box")
	must(t, err)
	defer other.Close()
	got, err := other.Load()
	must(t, err)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("Load = %+v\nwant   %+v", got, want)
	}
	left, err := os.ReadDir(e.Dir())
	must(t, err)
	for _, f := range left {
		if f.Name() == stateTemp {
			t.Errorf("%s is left behind", stateTemp)
		}
	}
}

func TestNoPartOfAStateIsMistakenForAWhole(t *testing.T) {
	_, e := openLocked(t)
	must(t, e.Save(State{Bundle: "/b\nend\n", Annotations: map[string]string{"a": "end\n"}}))
	path := filepath.Join(e.Dir(), stateFile)
	whole, err := os.ReadFile(path)
	must(t, err)
	for cut := range whole {
		must(t, os.WriteFile(path, whole[:cut], 0o600))
		if s, err := e.Load(); err == nil {
			t.Fatalf("the first %d of %d bytes are read as %+v", cut, len(whole), s)
		}
	}
}

// Every field that a state may get must come back: none is forgotten in encodeState or take.
func TestStateKeepsEveryField(t *testing.T) {
	var s State
	fill(reflect.ValueOf(&s).Elem())
	got, err := decodeState(encodeState(s), s.ID)
	must(t, err)
	if !reflect.DeepEqual(got, s) {
		t.Errorf("got  %+v\nwant %+v", got, s)
	}
	var u Undo
	fill(reflect.ValueOf(&u).Elem())
	u.Kind = UndoMount
	var l lines
	u.encode(&l, u.Boot)
	read := parseLine(strings.TrimSuffix(string(l), "\n"))
	if got := decodeUndo(&read); !reflect.DeepEqual(got, u) || read.done() != nil {
		t.Errorf("got  %+v (%v)\nwant %+v", got, read.done(), u)
	}
}

// fill gives every field a value that is not its zero.
func fill(v reflect.Value) {
	if v.Type() == reflect.TypeFor[time.Time]() {
		v.Set(reflect.ValueOf(time.Unix(1, 2).UTC()))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString("a \"b\" \n \x00 \xff ü")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int:
		v.SetInt(1<<8 - 1)
	case reflect.Uint32, reflect.Uint64:
		v.SetUint(1<<32 - 1)
	case reflect.Slice:
		if v.Type().Elem().Kind() != reflect.Uint8 {
			v.Set(reflect.MakeSlice(v.Type(), 2, 2))
			fill(v.Index(0))
			fill(v.Index(1))
			return
		}
		v.SetBytes([]byte(`{"a":"\n"}`))
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key)
		fill(value)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	default:
		panic(v.Type())
	}
}

func TestChangesNeedTheLock(t *testing.T) {
	_, e := openLocked(t)
	e.Unlock()
	wantError(t, e.Save(State{}), nil, "not locked")
	wantError(t, e.Record(Undo{}), nil, "not locked")
	wantError(t, e.Remove(), nil, "not locked")
}

func TestLoadRefusesWhatSaveDidNotWrite(t *testing.T) {
	_, e := openLocked(t)
	_, err := e.Load()
	wantError(t, err, ErrIncomplete)
	must(t, e.Save(State{}))
	path := filepath.Join(e.Dir(), stateFile)
	good, err := os.ReadFile(path)
	must(t, err)
	write := func(data string) func() error { return func() error { return os.WriteFile(path, []byte(data), 0o600) } }
	swap := func(old, new string) func() error { return write(strings.Replace(string(good), old, new, 1)) }
	for _, c := range []struct {
		name  string
		plant func() error
		words string
	}{
		{"empty", write(""), "not a container's state"},
		{"something else", write("{}"), "not a container's state"},
		{"newer format", swap(`berth-state "1"`, `berth-state "2"`), "format 2 and this version knows 1"},
		{"another's state", swap(`id "box"`, `id "other"`), `state of container "other"`},
		{"negative pid", swap("end\n", "init \"-1\" \"0\" \"\"\nend\n"), `line "init": a value is no number`},
		{"huge pid", swap("end\n", "init \"2147483648\" \"0\" \"\"\nend\n"), `line "init": a value is no number, or too large a one`},
		{"unknown line", swap("end\n", "what \"x\"\nend\n"), `line "what": it is unknown`},
		{"value missing", swap("end\n", "bundle\nend\n"), `line "bundle": a value is missing`},
		{"value too many", swap("end\n", "bundle \"a\" \"b\"\nend\n"), `line "bundle": it has more values`},
		{"no quotes", swap("end\n", "bundle /b\nend\n"), `line "bundle": a value is not between quotes`},
		{"escape in a word", swap("end\n", "\x1b[2J\nend\n"), `line "\x1b[2J": it is unknown`},
		{"too big", func() error { return os.Truncate(path, maxState+1) }, "is the most"},
		{"writable by others", func() error { return os.Chmod(path, 0o666) }, "another user could have written it"},
		{"link", func() error { return errors.Join(os.Remove(path), os.Symlink("/etc/passwd", path)) }, "symbolic link"},
		{"FIFO", func() error { return errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o600)) }, "not a regular file"},
		{"folder", func() error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) }, "not a regular file"},
	} {
		must(t, c.plant())
		_, err := e.Load()
		if err == nil || !strings.Contains(err.Error(), c.words) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: error %v, want %q and the path", c.name, err, c.words)
		}
	}
}

func TestSaveDoesNotWriteThroughALink(t *testing.T) {
	_, e := openLocked(t)
	canary := filepath.Join(t.TempDir(), "canary")
	must(t, os.WriteFile(canary, []byte("untouched"), 0o600))
	for _, name := range []string{stateTemp, journalFile} {
		must(t, os.Symlink(canary, filepath.Join(e.Dir(), name)))
	}
	wantError(t, e.Save(State{}), nil, stateFile)
	must(t, os.Remove(filepath.Join(e.Dir(), stateTemp)))
	must(t, os.Symlink(canary, filepath.Join(e.Dir(), stateFile))) // rename replaces a link, it does not follow it
	must(t, e.Save(State{}))
	wantError(t, e.Record(Undo{Kind: UndoFile}), nil, "symbolic link")
	if data, _ := os.ReadFile(canary); string(data) != "untouched" {
		t.Errorf("the link's target now holds %q", data)
	}
}

func TestLockHasOneHolder(t *testing.T) {
	s, e := openLocked(t)
	other, err := s.Lookup("box")
	must(t, err)
	defer other.Close()
	if held, err := other.TryLock(); err != nil || held {
		t.Fatalf("TryLock = %v, %v while another holds it", held, err)
	}
	e.Unlock()
	if held, err := other.TryLock(); err != nil || !held {
		t.Fatalf("TryLock = %v, %v while it is free", held, err)
	}
}

func TestWhoWaitsForARemovedEntryIsTold(t *testing.T) {
	s, e := openLocked(t)
	waiter, err := s.Lookup("box")
	must(t, err)
	defer waiter.Close()
	got := make(chan error)
	go func() { got <- waiter.Lock() }()
	must(t, e.Remove())
	again, err := s.Claim("box") // the id is free for another container, which the waiter must not get
	must(t, err)
	defer again.Close()
	e.Close()
	wantError(t, <-got, ErrNotExist)
	_, err = waiter.Load()
	wantError(t, err, ErrNotExist)
}

func TestTheLockEndsWithItsProcess(t *testing.T) {
	if root := os.Getenv("STORE_TEST_HOLD"); root != "" {
		s := openIn(t, root)
		e, err := s.Lookup("box")
		must(t, err)
		must(t, e.Lock())
		os.Stdout.WriteString("held\n")
		select {}
	}
	s, e := openLocked(t)
	e.Unlock()
	cmd := exec.Command(os.Args[0], "-test.run=^TestTheLockEndsWithItsProcess$")
	cmd.Env = append(os.Environ(), "STORE_TEST_HOLD="+s.Path())
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	defer cmd.Process.Kill()
	if _, err := out.Read(make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	if held, err := e.TryLock(); err != nil || held {
		t.Fatalf("TryLock = %v, %v while another process holds it", held, err)
	}
	must(t, cmd.Process.Kill())
	_ = cmd.Wait()
	must(t, e.Lock())
}

func TestRemoveLeavesNothingAndFollowsNoLink(t *testing.T) {
	s, e := openLocked(t)
	outside := filepath.Join(t.TempDir(), "kept")
	must(t, os.WriteFile(outside, nil, 0o600))
	must(t, os.MkdirAll(filepath.Join(e.Dir(), "a", "b"), 0o700))
	must(t, os.Symlink(filepath.Dir(outside), filepath.Join(e.Dir(), "a", "link")))
	must(t, e.Save(State{}))
	must(t, e.Remove())
	left, err := os.ReadDir(s.Path())
	must(t, err)
	if len(left) != 0 {
		t.Errorf("%v is left", left)
	}
	must(t, func() error { _, err := os.Stat(outside); return err }())
}

func TestSweepFinishesAnInterruptedRemoval(t *testing.T) {
	s, e := openLocked(t)
	must(t, os.Rename(e.Dir(), filepath.Join(s.Path(), "~123")))
	keep, err := s.Claim("keep")
	must(t, err)
	defer keep.Close()
	if ids, err := s.List(); err != nil || !slices.Equal(ids, []string{"keep"}) {
		t.Errorf("List = %q, %v: what is going away must not show", ids, err)
	}
	found, err := s.Leftovers()
	if want := filepath.Join(s.Path(), "~123"); err != nil || len(found) != 1 || found[0] != want {
		t.Fatalf("Leftovers = %q, %v, want %q", found, err, want)
	}
	must(t, s.Sweep(found[0]))
	must(t, s.Sweep(found[0])) // another command may have been faster
	for _, path := range []string{filepath.Join(s.Path(), "keep"), "/tmp/~123"} {
		wantError(t, s.Sweep(path), nil, "not what a delete has left")
	}
	left, err := os.ReadDir(s.Path())
	must(t, err)
	if len(left) != 1 || left[0].Name() != "keep" {
		t.Errorf("left: %v", left)
	}
}

func TestSocketPathFitsASocketAddress(t *testing.T) {
	deep := filepath.Join(t.TempDir(), strings.Repeat("d", 120))
	for _, root := range []string{filepath.Join(t.TempDir(), "r"), deep} {
		s := openIn(t, root)
		e, err := s.Claim(strings.Repeat("i", 64))
		must(t, err)
		defer e.Close()
		fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		must(t, err)
		defer syscall.Close(fd)
		must(t, syscall.Bind(fd, &syscall.SockaddrUnix{Name: e.SocketPath("start.sock")}))
		if _, err := os.Lstat(filepath.Join(e.Dir(), "start.sock")); err != nil {
			t.Errorf("the socket is not in the entry's folder: %v", err)
		}
	}
}
