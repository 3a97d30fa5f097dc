package aptrepo

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// Event is one step of a publish, for progress displays and logs.
type Event struct {
	Step string // keep, stage, show or remove
	Path string
	Size int64 // bytes, where known
}

// Publish makes dst the repository t. tell, if not nil, hears of each step.
//
// Nothing is visible until every byte is stored; then the files become visible
// in t's order, InRelease last. So a failure or a kill at any moment leaves a
// client the old repository or the new one, never half of each, and publishing
// the same tree again completes it. A failure before the first file becomes
// visible leaves no trace.
func Publish(dst Destination, t *Tree, tell func(Event)) error {
	if tell == nil {
		tell = func(Event) {}
	}
	unlock, err := dst.Lock()
	if err != nil {
		return fmt.Errorf("cannot publish to %s: %w", dst, err)
	}
	defer unlock()
	if err := errors.Join(publish(dst, t, tell), dst.Discard()); err != nil {
		return fmt.Errorf("cannot publish to %s: %w", dst, err)
	}
	return nil
}

// Plan tells what Publish would do, and changes nothing.
func Plan(dst Source, t *Tree, tell func(Event)) error {
	pending, err := t.pending(dst, func(Event) {})
	if err == nil {
		err = t.unchangedBase(dst)
	}
	if err != nil {
		return fmt.Errorf("cannot publish to %s: %w", dst, err)
	}
	for _, f := range pending {
		tell(Event{"show", f.Path, f.Size})
	}
	for _, path := range t.Remove {
		tell(Event{Step: "remove", Path: path})
	}
	return nil
}

func publish(dst Destination, t *Tree, tell func(Event)) error {
	if err := t.unchangedBase(dst); err != nil {
		return err
	}
	pending, err := t.pending(dst, tell)
	if err != nil {
		return err
	}
	for _, f := range pending {
		if err := stage(dst, f); err != nil {
			return err
		}
		tell(Event{"stage", f.Path, f.Size})
	}
	if err := show(dst, pending, tell); err != nil {
		return err
	}
	return t.remove(dst, tell)
}

// show commits the staged files. Their bytes must be on disk before their
// names, and all that InRelease refers to before InRelease.
func show(dst Destination, staged []File, tell func(Event)) error {
	for i, f := range staged {
		if i == 0 || i == len(staged)-1 {
			if err := dst.Sync(); err != nil {
				return err
			}
		}
		if err := dst.Commit(f.Path); err != nil {
			return err
		}
		tell(Event{"show", f.Path, f.Size})
	}
	return dst.Sync()
}

// unchangedBase makes publishing a compare-and-swap: another publish since the
// tree was built would be lost.
func (t *Tree) unchangedBase(dst Source) error {
	path := t.InRelease().Path
	now, err := readAll(dst, path)
	if errors.Is(err, fs.ErrNotExist) {
		now, err = nil, nil
	}
	if err != nil {
		return err
	}
	sum := ""
	if now != nil {
		sum = sumOf(path, now).SHA256
	}
	if sum != t.base && sum != t.InRelease().SHA256 {
		return errors.New("the repository changed since it was read: read it again and publish on top of that")
	}
	return nil
}

// pending returns the files that dst does not have yet with these bytes. A
// file that is kept for ever under its path (the pool, by-hash) must not
// change its bytes: caches on the way would serve the old ones.
func (t *Tree) pending(dst Source, tell func(Event)) ([]File, error) {
	var files []File
	for _, f := range t.Files {
		has, sum, err := sumAt(dst, f.Path)
		switch {
		case err != nil:
			return nil, err
		case has && sum == f.SHA256:
			tell(Event{"keep", f.Path, f.Size})
			continue
		case has && immutable(f.Path):
			return nil, fmt.Errorf("%s is there with other bytes: raise the version (or, if it was never announced, remove that file)", f.Path)
		}
		files = append(files, f)
	}
	return files, nil
}

func immutable(path string) bool { return strings.HasPrefix(path, "pool/") }

func sumAt(src Source, path string) (has bool, sum string, err error) {
	r, err := src.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, "", nil
	}
	if err != nil {
		return false, "", err
	}
	defer r.Close()
	sum, _, err = digest(r)
	return true, sum, err
}

func digest(r io.Reader) (sum string, size int64, err error) {
	h := sha256.New()
	size, err = io.Copy(h, r)
	return hex.EncodeToString(h.Sum(nil)), size, err
}

// stage stores one file, checking on the way that a local file still has the
// bytes that were indexed.
func stage(dst Destination, f File) error {
	if f.From == "" {
		return dst.Stage(f.Path, bytes.NewReader(f.Data))
	}
	r, err := os.Open(f.From)
	if err != nil {
		return err
	}
	defer r.Close()
	h := sha256.New()
	if err := dst.Stage(f.Path, io.TeeReader(r, h)); err != nil {
		return err
	}
	if hex.EncodeToString(h.Sum(nil)) != f.SHA256 {
		return fmt.Errorf("%s changed while it was being published: publish again", f.From)
	}
	return nil
}

func (t *Tree) remove(dst Destination, tell func(Event)) error {
	for _, path := range t.Remove {
		if err := dst.Remove(path); err != nil {
			return err
		}
		tell(Event{Step: "remove", Path: path})
	}
	return nil
}
