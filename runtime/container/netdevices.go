package container

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/berth-oci/berth/runtime/internal/kernel"
	"github.com/berth-oci/berth/runtime/internal/netdev"
	"github.com/berth-oci/berth/runtime/internal/spec"
	"github.com/berth-oci/berth/runtime/internal/store"
)

// moveNetDevices moves the host's devices into the container's network namespace (config-linux.md "Network Devices"). The
// kernel destroys virtual devices together with their namespace, so it is pinned in the container's folder: delete gives the
// devices back even where the last process is long gone.
func (c *creation) moveNetDevices() error {
	path, err := c.networkNamespace()
	if err != nil {
		return fmt.Errorf("linux.netDevices: cannot keep the network namespace: %w", err)
	}
	namespace, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("linux.netDevices: cannot open the network namespace: %w", err)
	}
	defer syscall.Close(namespace)
	for _, d := range c.spec.Linux.NetDevices {
		if err := c.moveNetDevice(d, path, namespace); err != nil {
			return fmt.Errorf("linux.netDevices[%q]: cannot move the device into the container as %q: %w", d.HostName, d.Name, err)
		}
	}
	return nil
}

// networkNamespace is a path of the container's network namespace that outlives the container.
func (c *creation) networkNamespace() (string, error) {
	if p := c.spec.Linux.Namespaces[spec.NetworkNS].Path; p != "" {
		return p, nil
	}
	pin := filepath.Join(c.entry.Dir(), "netns")
	if err := c.entry.Record(store.Undo{Kind: store.UndoFile, Path: pin}, store.Undo{Kind: store.UndoMount, Path: pin}); err != nil {
		return "", err
	}
	if err := os.WriteFile(pin, nil, 0600); err != nil {
		return "", err
	}
	return pin, kernel.BindFile("/proc/"+strconv.Itoa(c.process.Pid)+"/ns/net", pin)
}

// moveNetDevice records the move before, when only name and hardware address tell which device it will be, and after, when
// its index does.
func (c *creation) moveNetDevice(d spec.NetDevice, path string, namespace int) error {
	mark, err := netdev.Look(d.HostName)
	if err != nil {
		return err
	}
	if err := c.recordNetDevice(d, path, mark); err != nil {
		return err
	}
	moved, err := netdev.Move(d.HostName, namespace, d.Name)
	if moved.Index != 0 {
		if rerr := c.recordNetDevice(d, path, moved); err == nil {
			err = rerr
		}
	}
	return err
}

func (c *creation) recordNetDevice(d spec.NetDevice, path string, mark netdev.Mark) error {
	extra, err := json.Marshal(mark)
	if err != nil {
		return err
	}
	return c.entry.Record(store.Undo{Kind: store.UndoNetworkDevice, Name: d.Name, Former: d.HostName, Namespace: path, Extra: extra})
}

// undoNetDevice takes a device back. Where the namespace is gone, the kernel has taken back or destroyed it already.
func undoNetDevice(u store.Undo) error {
	var mark netdev.Mark
	if err := json.Unmarshal(u.Extra, &mark); err != nil {
		return fmt.Errorf("cannot read the journal: %w", err)
	}
	namespace, err := syscall.Open(u.Namespace, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return ignore(err, syscall.ENOENT)
	}
	defer syscall.Close(namespace)
	if kind, err := kernel.NamespaceType(namespace); err != nil || kind != spec.NetworkNS.CloneFlag() {
		return nil // the pin is a plain file: nothing was moved
	}
	if err := netdev.Return(namespace, u.Name, u.Former, mark); err != nil {
		return fmt.Errorf("cannot take back network device %q: %w", u.Former, err)
	}
	return nil
}
