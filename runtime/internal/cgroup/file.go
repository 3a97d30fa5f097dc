package cgroup

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// writeFile writes the whole value in one write(2), as cgroup files need it, to a file that exists. It never creates one
// and follows no link. The error is an *os.PathError whose path and value a person can repeat.
func writeFile(path, value string) error {
	fd, err := openFile(path, syscall.O_WRONLY)
	if err != nil {
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer syscall.Close(fd)
	for {
		_, err = syscall.Write(fd, []byte(value))
		if err != syscall.EINTR {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("write %q to %s: %w", value, path, err)
	}
	return nil
}

func openFile(path string, flags int) (int, error) {
	for {
		fd, err := syscall.Open(path, flags|syscall.O_CLOEXEC|syscall.O_NOFOLLOW, 0)
		if err != syscall.EINTR {
			return fd, err
		}
	}
}

// readFile reads a cgroup file, without the space around it. They have no size, so it reads to the end. A sample of many
// containers reads thousands of them: plain system calls spare the registration with the poller, which cannot wait for them
// anyway.
func readFile(path string) (string, error) { return read(path, false) }

// readRecord is readFile for a file that the kernel shows as one record (seq_file.c, single_open), as all but lists of
// processes are: a read that leaves room in the buffer was the last one.
func readRecord(path string) (string, error) { return read(path, true) }

func read(path string, record bool) (string, error) {
	fd, err := openFile(path, syscall.O_RDONLY)
	if err != nil {
		return "", &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer syscall.Close(fd)
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	n := 0
	for {
		if n == len(*buf) {
			*buf = append(*buf, make([]byte, len(*buf))...)
		}
		k, err := syscall.Read(fd, (*buf)[n:])
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return "", &os.PathError{Op: "read", Path: path, Err: err}
		}
		n += k
		if k == 0 || record && n < len(*buf) {
			return strings.TrimSpace(string((*buf)[:n])), nil
		}
	}
}

var buffers = sync.Pool{New: func() any { b := make([]byte, 8192); return &b }}

// readUint reads a file with one number in it; "max" and v1's unlimited read as the highest number.
func readUint(path string) (uint64, error) {
	s, err := readFile(path)
	if err != nil {
		return 0, err
	}
	return parseUint(s)
}

func parseUint(s string) (uint64, error) {
	if s == "max" || s == "-1" {
		return ^uint64(0), nil
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("cannot read %q as a number", s)
	}
	return n, nil
}
