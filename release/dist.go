package release

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The folder of results:
//
//	dist/VERSION/             what is attached to a release: commands, packages, sums, notes
//	dist/VERSION/.stages/     what a stage hands to the next, one JSON file each
//	dist/apt/                 the published repository, of every version so far
//	dist/throwaway.key        the key made where none was given, kept so that the next snapshot is an upgrade
//	dist/.lock                held while a release runs
const (
	changelogName = "changelog"
	notesName     = "RELEASE_NOTES.md"
	sumsName      = "SHA256SUMS"
	stagesName    = ".stages"
	throwawayName = "throwaway.key"
)

func (r *work) folder(v Version) string { return filepath.Join(r.Dist, v.SemVer) }

func (r *work) aptFolder() string { return filepath.Join(r.Dist, "apt") }

func (r *work) binaryPath(v Version, command, arch string) string {
	return filepath.Join(r.folder(v), command+"_linux_"+arch)
}

// lockFolder makes the folder and takes it for this process alone. The lock is the kernel's, so a killed release leaves none.
func lockFolder(dir string) (io.Closer, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("cannot make the folder for results: %w%s", err, remedy(err))
	}
	path := filepath.Join(dir, ".lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o644)
	if err != nil {
		return nil, fmt.Errorf("cannot write to the folder for results: %w%s", err, remedy(err))
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		f.Close()
		return nil, fmt.Errorf("cannot release into %s: another release is writing there\nhint: wait for it, or release into another folder with -dist=FOLDER", dir)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("cannot lock %s: %w", path, err)
	}
	return f, nil
}

// replaceFile writes a file so that it is there whole or not at all.
func replaceFile(path string, data []byte, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new-")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Chmod(mode), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// record is what a stage hands to the next on disk. Paths are relative to the version's folder, so that a folder may be
// moved, and so that releases in different places write the same bytes.
type record struct {
	Stage  string
	Commit string
	Files  []file
	Value  json.RawMessage
}

type file struct {
	Path   string
	SHA256 string
	Size   int64
}

func (r *work) recordPath(v Version, stage string) string {
	return filepath.Join(r.folder(v), stagesName, stage+".json")
}

// forget removes the records of a stage and of all after it: once the stage has begun, they are about something else.
func (r *work) forget(v Version, stage string) error {
	for _, s := range Stages[slices.Index(Stages, stage):] {
		if err := os.Remove(r.recordPath(v, s)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("cannot begin the stage %s: %w%s", stage, err, remedy(err))
		}
	}
	return nil
}

// save writes a stage's record: the value, and the sums of the files it speaks of.
func (r *work) save(v Version, stage string, value any, paths ...string) error {
	rec := record{Stage: stage, Commit: v.Commit}
	for _, p := range paths {
		sum, size, err := sumFile(p)
		if err != nil {
			return fmt.Errorf("cannot record the stage %s: %w", stage, err)
		}
		rel, err := filepath.Rel(r.folder(v), p)
		if err != nil {
			return fmt.Errorf("cannot record the stage %s: %w", stage, err)
		}
		rec.Files = append(rec.Files, file{rel, sum, size})
	}
	var err error
	if rec.Value, err = json.Marshal(value); err != nil {
		return fmt.Errorf("cannot record the stage %s: %w", stage, err)
	}
	text, err := json.MarshalIndent(rec, "", "  ")
	if err != nil {
		return fmt.Errorf("cannot record the stage %s: %w", stage, err)
	}
	if err := replaceFile(r.recordPath(v, stage), append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("cannot record the stage %s: %w%s", stage, err, remedy(err))
	}
	return nil
}

// load reads a stage's record into value and proves that every file it speaks of is still what it was.
func (r *work) load(v Version, stage string, value any) error {
	path := r.recordPath(v, stage)
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("cannot go on from the stage %s of %s: it has left no result in %s\nhint: run that stage first", stage, v.SemVer, r.folder(v))
	}
	if err != nil {
		return fmt.Errorf("cannot go on from the stage %s: %w", stage, err)
	}
	var rec record
	if err := json.Unmarshal(text, &rec); err != nil {
		return fmt.Errorf("cannot go on from the stage %s: %s: %w\nhint: run that stage again", stage, path, err)
	}
	if rec.Commit != v.Commit || rec.Stage != stage {
		return fmt.Errorf("cannot go on from the stage %s: its result is of commit %.12s, not %.12s\nhint: run that stage again", stage, rec.Commit, v.Commit)
	}
	for _, f := range rec.Files {
		if err := r.checkFile(v, f); err != nil {
			return fmt.Errorf("cannot go on from the stage %s: %w\nhint: run that stage again", stage, err)
		}
	}
	if err := json.Unmarshal(rec.Value, value); err != nil {
		return fmt.Errorf("cannot go on from the stage %s: %s: %w\nhint: run that stage again", stage, path, err)
	}
	return nil
}

func (r *work) checkFile(v Version, f file) error {
	sum, _, err := sumFile(filepath.Join(r.folder(v), f.Path))
	if err != nil {
		return err
	}
	if sum != f.SHA256 {
		return fmt.Errorf("%s has changed since: its SHA-256 is %s, not %s", f.Path, sum, f.SHA256)
	}
	return nil
}

func (r *work) saveBuilt(b Built) error {
	bins := slices.Clone(b.Binaries)
	paths := make([]string, len(bins))
	for i, bin := range bins {
		paths[i] = bin.Path
		bins[i].Path = filepath.Base(bin.Path)
	}
	return r.save(b.Version, "build", bins, paths...)
}

func (r *work) loadBuilt(w Written) (Built, error) {
	b := Built{Written: w}
	err := r.load(w.Version, "build", &b.Binaries)
	for i := range b.Binaries {
		b.Binaries[i].Path = filepath.Join(r.folder(w.Version), b.Binaries[i].Path)
	}
	return b, err
}

func (r *work) savePacked(p Packed) error {
	pkgs := slices.Clone(p.Packages)
	paths := make([]string, len(pkgs))
	for i, pkg := range pkgs {
		paths[i] = pkg.File
		pkgs[i].File = filepath.Base(pkg.File)
	}
	return r.save(p.Version, "deb", pkgs, paths...)
}

func (r *work) loadPacked(w Written) (Packed, error) {
	proven, err := r.loadProven(w)
	if err != nil {
		return Packed{}, err
	}
	p := Packed{Proven: proven}
	err = r.load(w.Version, "deb", &p.Packages)
	for i := range p.Packages {
		p.Packages[i].File = filepath.Join(r.folder(w.Version), p.Packages[i].File)
	}
	return p, err
}

// sourceDateEpoch is the time that the environment prescribes instead of the clock's, for builds that must be repeatable at
// any time (https://reproducible-builds.org/specs/source-date-epoch/).
func sourceDateEpoch(clock time.Time) (time.Time, error) {
	text, set := os.LookupEnv("SOURCE_DATE_EPOCH")
	if !set || text == "" {
		return clock, nil
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil || seconds < 0 {
		return time.Time{}, fmt.Errorf("cannot read SOURCE_DATE_EPOCH: %q is not a number of seconds since 1970", text)
	}
	return time.Unix(seconds, 0).UTC(), nil
}

// bytesText writes a size as a person reads it, in powers of ten as Debian's tools do.
func bytesText(n int64) string {
	switch {
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	case n >= 1e3:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%d B", n)
}

// shellQuote writes a word so that a shell reads it back as it is.
func shellQuote(word string) string {
	plain := func(c rune) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("@%+=:,./_-", c)
	}
	if word != "" && strings.IndexFunc(word, func(c rune) bool { return !plain(c) }) < 0 {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
