// Package netdev moves network devices from one network namespace to another (runtime-spec, config-linux.md "Network
// Devices") by rtnetlink(7).
//
// The parties: the host, whose device it is and whose namespace the caller is in; the container, which may do with the device
// what it likes once it has it, rename it and make others that look like it. So a device is known again by its index, which
// the kernel gives and nobody can change while the device stays in a namespace. Only between the moment before the move
// and the one after is there no index yet; then name and hardware address together stand for it.
package netdev

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/berth-oci/berth/runtime/internal/kernel"
)

// ErrMissing says that a namespace has no such device.
var ErrMissing = errors.New("there is no such device")

// Mark is how a device is known again.
type Mark struct {
	Index   int    `json:"index,omitempty"`   // in the container's namespace, 0: not known
	Address string `json:"address,omitempty"` // hardware address in hexadecimal digits
	Up      bool   `json:"up,omitempty"`      // what it was on the host
}

// Look marks a device of the caller's namespace, before it is moved.
func Look(name string) (Mark, error) {
	s, err := open()
	if err != nil {
		return Mark{}, err
	}
	defer s.close()
	l, err := s.link(name)
	return Mark{Address: hex.EncodeToString(l.address), Up: l.up()}, err
}

// Move gives a device to another namespace under a name there, which may end in %d for the kernel to choose; an existing one
// is an error and leaves the device where it was. Permanent addresses go with it, and it is set up.
func Move(name string, namespace int, inside string) (Mark, error) {
	here, there, err := openBoth(namespace)
	if err != nil {
		return Mark{}, err
	}
	defer here.close()
	defer there.close()
	l, err := here.link(name)
	if err != nil {
		return Mark{}, err
	}
	if !strings.Contains(inside, "%") {
		if _, err := there.link(inside); !errors.Is(err, ErrMissing) {
			return Mark{}, fmt.Errorf("there is a device %q already: %w", inside, cmpErr(err, syscall.EEXIST))
		}
	}
	moved, err := pass(here, there, l, namespace, inside, true)
	return Mark{Index: moved.index, Address: hex.EncodeToString(l.address), Up: l.up()}, err
}

func cmpErr(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

// Return takes a device back into the caller's namespace under its former name. Where that is taken meanwhile it keeps the
// name it has. A device that is gone, or never left, is no error.
func Return(namespace int, inside, former string, m Mark) error {
	here, there, err := openBoth(namespace)
	if err != nil {
		return err
	}
	defer here.close()
	defer there.close()
	if l, err := here.link(former); err == nil && hex.EncodeToString(l.address) == m.Address {
		return nil
	}
	links, err := there.links()
	if err != nil {
		return err
	}
	for _, l := range links {
		if m.is(l, inside, former) {
			return giveBack(there, here, l, former, m.Up)
		}
	}
	return nil
}

// is says whether a link of the container is the marked one.
func (m Mark) is(l link, inside, former string) bool {
	if m.Index != 0 {
		return l.index == m.Index
	}
	prefix, template := strings.CutSuffix(inside, "%d")
	named := l.name == inside || l.name == former || template && strings.HasPrefix(l.name, prefix)
	return named && hex.EncodeToString(l.address) == m.Address
}

func giveBack(there, here *socket, l link, former string, up bool) error {
	namespace, err := syscall.Open("/proc/thread-self/ns/net", syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(namespace)
	if _, err := here.link(former); err == nil { // taken meanwhile
		former = l.name
		if _, err := here.link(former); err == nil {
			former = "dev%d"
		}
	}
	_, err = pass(there, here, l, namespace, former, up)
	return err
}

// pass moves a link, renames it and gives it the addresses it had. Where that fails the link goes back.
func pass(from, to *socket, l link, namespace int, name string, up bool) (link, error) {
	addresses, err := from.addresses(l)
	if err != nil {
		return link{}, fmt.Errorf("cannot read its addresses: %w", err)
	}
	before, err := to.links()
	if err != nil {
		return link{}, err
	}
	if err := from.send(l.index, namespace, name); err != nil {
		return link{}, err
	}
	moved, err := to.arrived(before, l)
	if err != nil {
		return link{}, fmt.Errorf("cannot find it after the move: %w", err)
	}
	for _, a := range addresses {
		if err := to.addAddress(moved, l.name, a); err != nil {
			return moved, fmt.Errorf("cannot give it its address again: %w", err)
		}
	}
	if up {
		if err := to.setUp(moved.index); err != nil {
			return moved, fmt.Errorf("cannot set it up: %w", err)
		}
	}
	return moved, nil
}

// arrived finds the link that was not there before.
func (s *socket) arrived(before []link, l link) (link, error) {
	now, err := s.links()
	if err != nil {
		return link{}, err
	}
	known := map[int]bool{}
	for _, b := range before {
		known[b.index] = true
	}
	for _, n := range now {
		if !known[n.index] && bytes.Equal(n.address, l.address) {
			return n, nil
		}
	}
	return link{}, ErrMissing
}

// openBoth opens a socket in the caller's namespace and one in another.
func openBoth(namespace int) (here, there *socket, err error) {
	if here, err = open(); err != nil {
		return nil, nil, err
	}
	err = kernel.WithinNetwork(namespace, func() (err error) {
		there, err = open()
		return err
	})
	if err != nil {
		here.close()
		return nil, nil, err
	}
	return here, there, nil
}
