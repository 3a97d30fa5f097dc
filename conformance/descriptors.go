package conformance

import (
	"time"

	"golang.org/x/sys/unix"
)

// receiveDescriptors accepts one connection, collects its payload until the
// peer closes or pauses, and returns the descriptors that came with it.
func (t *T) receiveDescriptors(listener int, payload *[]byte) []int {
	if !readable(listener, t.options.Timeout) {
		t.Fatalf("the runtime did not connect to the socket")
	}
	connection, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC)
	t.Must(err, "accept a connection of the runtime")
	defer unix.Close(connection)
	var received []int
	for readable(connection, 5*time.Second) {
		data, control := make([]byte, 64<<10), make([]byte, unix.CmsgSpace(8*4))
		n, oobn, _, _, err := unix.Recvmsg(connection, data, control, unix.MSG_CMSG_CLOEXEC)
		t.Must(err, "receive from the runtime")
		received = append(received, parseRights(control[:oobn])...)
		if payload != nil {
			*payload = append(*payload, data[:n]...)
		}
		if n == 0 || payload == nil && len(received) > 0 {
			break
		}
	}
	if len(received) == 0 {
		t.Fatalf("the runtime sent no descriptor")
	}
	return received
}

func readable(fd int, limit time.Duration) bool {
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(limit.Milliseconds()))
		if err != unix.EINTR {
			return n > 0
		}
	}
}

func parseRights(control []byte) []int {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return nil
	}
	var found []int
	for _, message := range messages {
		if fds, err := unix.ParseUnixRights(&message); err == nil {
			found = append(found, fds...)
		}
	}
	return found
}
