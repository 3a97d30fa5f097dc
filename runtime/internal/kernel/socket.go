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

// ReceiveDatagrams binds a datagram socket to a path.
func ReceiveDatagrams(path string) (int, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, err
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// AwaitDatagram returns the next datagram of a socket, of which it reads 4096 bytes at most and no descriptors, or ESRCH once the
// process of the pidfd has ended and none is left.
func AwaitDatagram(fd, pidfd int) (string, error) {
	buf := make([]byte, 4096)
	for {
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}, {Fd: int32(pidfd), Events: unix.POLLIN}}
		if _, err := unix.Poll(p, -1); err != nil && err != unix.EINTR {
			return "", err
		}
		n, err := unix.Read(fd, buf)
		switch {
		case err == nil:
			return string(buf[:n]), nil
		case err != unix.EAGAIN && err != unix.EINTR:
			return "", err
		case err == unix.EAGAIN && p[1].Revents != 0:
			return "", unix.ESRCH
		}
	}
}

// SendDatagram sends one message, with descriptors if there are any, to a datagram socket: a path or, after "@", an abstract name.
// One whose queue stays full for five seconds is EAGAIN.
func SendDatagram(path, message string, fds ...int) error {
	s, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	if err := unix.SetsockoptTimeval(s, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &unix.Timeval{Sec: 5}); err != nil {
		return err
	}
	for {
		err := unix.Sendmsg(s, []byte(message), rights, &unix.SockaddrUnix{Name: path}, unix.MSG_NOSIGNAL)
		if err != unix.EINTR {
			return err
		}
	}
}

// Pipe is a pipe that closes on exec.
func Pipe() (r, w int, err error) {
	var p [2]int
	err = unix.Pipe2(p[:], unix.O_CLOEXEC)
	return p[0], p[1], err
}

// AwaitClosed waits until nobody has the other end of a pipe open any more, or for a number of milliseconds.
func AwaitClosed(fd, milliseconds int) (bool, error) { return poll(fd, milliseconds) }
