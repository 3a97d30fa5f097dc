package main

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// unpack writes the files of a tar stream below root. The host is trusted: no path is refused.
func unpack(r io.Reader, root string) error {
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := unpackOne(tr, h, filepath.Join(root, h.Name)); err != nil {
			return fmt.Errorf("cannot write %s: %w", h.Name, err)
		}
	}
}

func unpackOne(tr *tar.Reader, h *tar.Header, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeDir:
		if err := os.MkdirAll(path, 0o755); err != nil {
			return err
		}
	case tar.TypeSymlink:
		_ = os.Remove(path)
		return os.Symlink(h.Linkname, path)
	case tar.TypeReg:
		if err := writeFile(path, tr); err != nil {
			return err
		}
	default:
		return fmt.Errorf("unexpected type %q", h.Typeflag)
	}
	if err := os.Lchown(path, h.Uid, h.Gid); err != nil {
		return err
	}
	return syscall.Chmod(path, uint32(h.Mode&0o7777))
}

// writeFile makes a new file rather than writing into an old one, which may be a program that runs.
func writeFile(path string, r io.Reader) error {
	_ = os.Remove(path)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if _, err := io.Copy(f, r); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// pack sends the files that match the patterns as a tar stream and returns the patterns that match none.
func pack(w io.Writer, patterns []string) (missing []string, err error) {
	if len(patterns) == 0 {
		return nil, nil
	}
	tw := tar.NewWriter(w)
	for _, p := range patterns {
		matches, err := filepath.Glob(p)
		if err != nil || len(matches) == 0 {
			missing = append(missing, p)
			continue
		}
		for _, m := range matches {
			if err := packTree(tw, m); err != nil {
				return missing, err
			}
		}
	}
	return missing, tw.Close()
}

func packTree(tw *tar.Writer, root string) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !d.Type().IsRegular() && !d.IsDir() && d.Type() != fs.ModeSymlink {
			return nil // sockets, devices and pipes have nothing to bring home
		}
		return packOne(tw, path, d)
	})
}

// packOne reads a regular file whole first: files in /proc and /sys lie about their size.
func packOne(tw *tar.Writer, path string, d fs.DirEntry) error {
	h := &tar.Header{Name: path, Format: tar.FormatPAX}
	info, err := d.Info()
	if err != nil {
		return err
	}
	h.Mode, h.ModTime = int64(info.Mode().Perm()), info.ModTime().Truncate(time.Second)
	var data []byte
	switch {
	case d.IsDir():
		h.Typeflag, h.Name = tar.TypeDir, path+"/"
	case d.Type() == fs.ModeSymlink:
		h.Typeflag = tar.TypeSymlink
		if h.Linkname, err = os.Readlink(path); err != nil {
			return err
		}
	default:
		h.Typeflag = tar.TypeReg
		if data, err = os.ReadFile(path); err != nil {
			return fmt.Errorf("cannot read %s: %w", path, err)
		}
		h.Size = int64(len(data))
	}
	if err := tw.WriteHeader(h); err != nil {
		return err
	}
	_, err = tw.Write(data)
	return err
}
