package netdev

import (
	"encoding/binary"
	"fmt"
	"syscall"
)

// socket is an rtnetlink socket; it stays in the network namespace it was opened in.
type socket struct {
	fd       int
	sequence uint32
}

// link is what this package needs to know of a network device.
type link struct {
	index   int
	flags   uint32
	name    string
	address []byte
}

func (l link) up() bool { return l.flags&syscall.IFF_UP != 0 }

// address is one of a device: the message's head, and those attributes that go with it.
type address struct {
	family, prefix, flags, scope byte
	attributes                   []syscall.NetlinkRouteAttr
}

// Constants of linux/if_link.h and linux/if_addr.h that package syscall lacks.
const (
	iflaNetNSFD   = 28
	ifaFlags      = 8
	ifaPermanent  = 0x80
	ifaTentative  = 0x40
	ifaDadFailed  = 0x08
	ifInfoLen     = 16
	ifAddrLen     = 8
	headLen       = 16
	receiveBuffer = 64 << 10
)

func open() (*socket, error) {
	fd, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, syscall.NETLINK_ROUTE)
	if err == nil {
		if err = syscall.Bind(fd, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK}); err == nil {
			return &socket{fd: fd}, nil
		}
		syscall.Close(fd)
	}
	return nil, fmt.Errorf("cannot open a netlink socket: %w", err)
}

func (s *socket) close() { syscall.Close(s.fd) }

// ask sends a request and returns the messages of the answer; an error message of the kernel's becomes an errno.
func (s *socket) ask(kind, flags uint16, body []byte) ([]syscall.NetlinkMessage, error) {
	s.sequence++
	le := binary.NativeEndian
	m := make([]byte, headLen, headLen+len(body))
	le.PutUint32(m[0:], uint32(headLen+len(body)))
	le.PutUint16(m[4:], kind)
	le.PutUint16(m[6:], flags|syscall.NLM_F_REQUEST|syscall.NLM_F_ACK)
	le.PutUint32(m[8:], s.sequence)
	if err := syscall.Sendto(s.fd, append(m, body...), 0, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK}); err != nil {
		return nil, err
	}
	return s.answer()
}

func (s *socket) answer() (list []syscall.NetlinkMessage, err error) {
	for {
		buffer := make([]byte, receiveBuffer)
		n, _, err := syscall.Recvfrom(s.fd, buffer, 0)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return nil, err
		}
		messages, err := syscall.ParseNetlinkMessage(buffer[:n])
		if err != nil {
			return nil, err
		}
		for _, m := range messages {
			switch {
			case m.Header.Seq != s.sequence:
			case m.Header.Type == syscall.NLMSG_DONE:
				return list, nil
			case m.Header.Type != syscall.NLMSG_ERROR:
				list = append(list, m)
			case len(m.Data) < 4:
				return nil, syscall.EBADMSG
			default:
				if e := -int32(binary.NativeEndian.Uint32(m.Data)); e != 0 {
					return nil, syscall.Errno(e)
				}
				return list, nil
			}
		}
	}
}

// attribute is one in the form the kernel reads: length, type, value, padding.
func attribute(kind uint16, value []byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(value)))
	b = append(binary.NativeEndian.AppendUint16(b, kind), value...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

func text(s string) []byte { return append([]byte(s), 0) }

func number(n uint32) []byte { return binary.NativeEndian.AppendUint32(nil, n) }

// linkHead is struct ifinfomsg.
func linkHead(index int, flags, change uint32) []byte {
	b := make([]byte, ifInfoLen)
	binary.NativeEndian.PutUint32(b[4:], uint32(index))
	binary.NativeEndian.PutUint32(b[8:], flags)
	binary.NativeEndian.PutUint32(b[12:], change)
	return b
}

// link looks a device up by its name.
func (s *socket) link(name string) (link, error) {
	all, err := s.links()
	if err != nil {
		return link{}, err
	}
	for _, l := range all {
		if l.name == name {
			return l, nil
		}
	}
	return link{}, ErrMissing
}

func (s *socket) links() (list []link, err error) {
	messages, err := s.ask(syscall.RTM_GETLINK, syscall.NLM_F_DUMP, linkHead(0, 0, 0))
	if err != nil {
		return nil, fmt.Errorf("cannot list network devices: %w", err)
	}
	for _, m := range messages {
		if m.Header.Type != syscall.RTM_NEWLINK || len(m.Data) < ifInfoLen {
			continue
		}
		l := link{index: int(binary.NativeEndian.Uint32(m.Data[4:])), flags: binary.NativeEndian.Uint32(m.Data[8:])}
		attributes, err := syscall.ParseNetlinkRouteAttr(&m)
		if err != nil {
			return nil, err
		}
		for _, a := range attributes {
			switch a.Attr.Type {
			case syscall.IFLA_IFNAME:
				l.name = cut(a.Value)
			case syscall.IFLA_ADDRESS:
				l.address = a.Value
			}
		}
		list = append(list, l)
	}
	return list, nil
}

func cut(b []byte) string {
	if n := len(b); n > 0 && b[n-1] == 0 {
		b = b[:n-1]
	}
	return string(b)
}

// send moves a device, which the kernel sets down, and names it.
func (s *socket) send(index, namespace int, name string) error {
	body := append(linkHead(index, 0, 0), attribute(iflaNetNSFD, number(uint32(namespace)))...)
	_, err := s.ask(syscall.RTM_NEWLINK, 0, append(body, attribute(syscall.IFLA_IFNAME, text(name))...))
	return err
}

func (s *socket) setUp(index int) error {
	_, err := s.ask(syscall.RTM_NEWLINK, 0, linkHead(index, syscall.IFF_UP, syscall.IFF_UP))
	return err
}

// addresses are a device's permanent ones: what a lease or a router gave is not the device's own.
func (s *socket) addresses(l link) (list []address, err error) {
	messages, err := s.ask(syscall.RTM_GETADDR, syscall.NLM_F_DUMP, make([]byte, ifAddrLen))
	if err != nil {
		return nil, err
	}
	for _, m := range messages {
		if m.Header.Type != syscall.RTM_NEWADDR || len(m.Data) < ifAddrLen || int(binary.NativeEndian.Uint32(m.Data[4:])) != l.index {
			continue
		}
		a := address{family: m.Data[0], prefix: m.Data[1], flags: m.Data[2], scope: m.Data[3]}
		if a.flags&ifaPermanent == 0 {
			continue
		}
		if a.attributes, err = syscall.ParseNetlinkRouteAttr(&m); err != nil {
			return nil, err
		}
		list = append(list, a)
	}
	return list, nil
}

// addAddress gives a device an address it had under another name. One that the kernel has made meanwhile is left.
func (s *socket) addAddress(l link, former string, a address) error {
	const passing = ifaPermanent | ifaTentative | ifaDadFailed
	body := []byte{a.family, a.prefix, a.flags &^ passing, a.scope, 0, 0, 0, 0}
	binary.NativeEndian.PutUint32(body[4:], uint32(l.index))
	for _, attr := range a.attributes {
		value := attr.Value
		switch attr.Attr.Type {
		case syscall.IFA_CACHEINFO:
			continue
		case syscall.IFA_LABEL:
			value = text(label(cut(value), former, l.name))
		case ifaFlags:
			if len(value) == 4 {
				value = number(binary.NativeEndian.Uint32(value) &^ passing)
			}
		}
		body = append(body, attribute(attr.Attr.Type, value)...)
	}
	_, err := s.ask(syscall.RTM_NEWADDR, syscall.NLM_F_CREATE|syscall.NLM_F_EXCL, body)
	if err == syscall.EEXIST {
		return nil
	}
	return err
}

// label is an IPv4 address's label, which begins with the device's name, after a rename.
func label(was, former, name string) string {
	const longest = syscall.IFNAMSIZ - 1
	if len(was) < len(former) || was[:len(former)] != former {
		return was
	}
	if now := name + was[len(former):]; len(now) <= longest {
		return now
	}
	return name
}
