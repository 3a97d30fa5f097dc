package kernel

import (
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// Socketpair is a connected pair of stream sockets that close on exec.
func Socketpair() (a, b int, err error) {
	p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	return p[0], p[1], err
}

// Listen binds a listening socket to a path, readable and writable for its owner only.
func Listen(path string) (int, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if err = unix.Fchmod(fd, 0600); err == nil {
		if err = unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err == nil {
			err = unix.Listen(fd, 1)
		}
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// Connect connects to a listening socket.
func Connect(path string) (int, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	for {
		err = unix.Connect(fd, &unix.SockaddrUnix{Name: path})
		if err != unix.EINTR {
			break
		}
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// PeerPid is the process at the other end of a connected Unix socket, as it was when it began to listen or connected.
func PeerPid(fd int) (int, error) {
	c, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return 0, err
	}
	return int(c.Pid), nil
}

// SendFD connects to a Unix socket and sends a descriptor with a message, as --console-socket wants it.
func SendFD(path string, message []byte, fds ...int) error {
	s, err := Connect(path)
	if err != nil {
		return fmt.Errorf("cannot connect to %q: %w", path, err)
	}
	defer unix.Close(s)
	if err := unix.Sendmsg(s, message, unix.UnixRights(fds...), nil, 0); err != nil {
		return fmt.Errorf("cannot send to %q: %w", path, err)
	}
	return nil
}

// ReceiveFD receives one descriptor from a listening socket's first connection.
func ReceiveFD(listener int) (int, error) {
	conn, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC)
	if err != nil {
		return -1, err
	}
	defer unix.Close(conn)
	data, oob := make([]byte, 4096), make([]byte, 64)
	_, n, _, _, err := unix.Recvmsg(conn, data, oob, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return -1, err
	}
	messages, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil || len(messages) == 0 {
		return -1, errors.Join(err, syscall.EBADMSG)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) == 0 {
		return -1, errors.Join(err, syscall.EBADMSG)
	}
	return fds[0], nil
}
