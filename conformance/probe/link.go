package probe

import (
	"encoding/binary"
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// Link is a network interface as the program sees it.
type Link struct {
	Name  string   `json:"name"`
	Up    bool     `json:"up"`
	MTU   int      `json:"mtu"`
	Addrs []string `json:"addrs"`
}

func interfaces() []Link {
	var found []Link
	list, _ := net.Interfaces()
	for _, each := range list {
		link := Link{Name: each.Name, Up: each.Flags&net.FlagUp != 0, MTU: each.MTU}
		addrs, _ := each.Addrs()
		for _, addr := range addrs {
			link.Addrs = append(link.Addrs, addr.String())
		}
		found = append(found, link)
	}
	return found
}

// makeVeth creates a pair of virtual Ethernet devices with the names in Args
// (rtnetlink(7)), and gives the first the IPv4 address Data, "10.1.2.3/24".
func makeVeth(op Op, _ *Result) error {
	if err := netlink(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL, vethRequest(op.arg(0), op.arg(1))); err != nil {
		return err
	}
	if op.Data == "" {
		return nil
	}
	address, network, err := net.ParseCIDR(op.Data)
	if err != nil {
		return err
	}
	link, err := net.InterfaceByName(op.arg(0))
	if err != nil {
		return err
	}
	ones, _ := network.Mask.Size()
	request := []byte{unix.AF_INET, byte(ones), unix.IFA_F_PERMANENT, unix.RT_SCOPE_UNIVERSE}
	request = binary.NativeEndian.AppendUint32(request, uint32(link.Index))
	request = append(request, attribute(unix.IFA_LOCAL, address.To4())...)
	request = append(request, attribute(unix.IFA_ADDRESS, address.To4())...)
	return netlink(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL, request)
}

const (
	vethInfoPeer = 1 // VETH_INFO_PEER
	nested       = unix.NLA_F_NESTED
)

func vethRequest(name, peer string) []byte {
	header := make([]byte, unix.SizeofIfInfomsg)
	far := attribute(vethInfoPeer|nested, append(make([]byte, unix.SizeofIfInfomsg), attribute(unix.IFLA_IFNAME, terminated(peer))...))
	kind := append(attribute(unix.IFLA_INFO_KIND, terminated("veth")), attribute(unix.IFLA_INFO_DATA|nested, far)...)
	request := append(header, attribute(unix.IFLA_IFNAME, terminated(name))...)
	return append(request, attribute(unix.IFLA_LINKINFO|nested, kind)...)
}

func terminated(text string) []byte { return append([]byte(text), 0) }

// attribute encodes a netlink attribute, padded to four bytes.
func attribute(kind int, payload []byte) []byte {
	encoded := binary.NativeEndian.AppendUint16(nil, uint16(4+len(payload)))
	encoded = binary.NativeEndian.AppendUint16(encoded, uint16(kind))
	encoded = append(encoded, payload...)
	for len(encoded)%4 != 0 {
		encoded = append(encoded, 0)
	}
	return encoded
}

// netlink sends one request and waits for its acknowledgement.
func netlink(kind uint16, flags int, body []byte) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	message := binary.NativeEndian.AppendUint32(nil, uint32(unix.NLMSG_HDRLEN+len(body)))
	message = binary.NativeEndian.AppendUint16(message, kind)
	message = binary.NativeEndian.AppendUint16(message, uint16(flags|unix.NLM_F_REQUEST|unix.NLM_F_ACK))
	message = append(message, make([]byte, 8)...) // sequence and port: the kernel's choice
	if err := unix.Sendto(fd, append(message, body...), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	answer := make([]byte, 4096)
	n, _, err := unix.Recvfrom(fd, answer, 0)
	if err != nil {
		return err
	}
	if n < unix.NLMSG_HDRLEN+4 {
		return fmt.Errorf("netlink answered with %d bytes", n)
	}
	if code := int32(binary.NativeEndian.Uint32(answer[unix.NLMSG_HDRLEN:])); code != 0 {
		return unix.Errno(-code)
	}
	return nil
}
