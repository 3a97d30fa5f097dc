package conformance

import (
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-oci/berth/conformance/probe"
)

const netDevices = "configLinuxNetworkDevices"

// config-linux.md: network devices. The runtime is started in a network
// namespace of its own that holds a virtual device, so the host's are safe.
var netDeviceChecks = []Check{
	{Name: "net-devices/moved", Since: "1.3.0", Feature: "linux.netDevices", Run: netMoved, Clause: must("config-linux.md", netDevices, "netDevices (object, OPTIONAL) - A set of network devices that MUST be made available in the container")},
	{Name: "net-devices/renamed", Since: "1.3.0", Feature: "linux.netDevices", Run: netRenamed, Clause: must("config-linux.md", netDevices, "name (string, OPTIONAL) - the name of the network device inside the container namespace")},
	{Name: "net-devices/up", Since: "1.3.0", Feature: "linux.netDevices", Run: netUp, Clause: must("config-linux.md", netDevices, "The runtime MUST set the network device state to \"up\" after moving it to the network namespace")},
	{Name: "net-devices/addresses-kept", Since: "1.3.0", Feature: "linux.netDevices", Run: netAddress, Clause: must("config-linux.md", netDevices, "The runtime MUST preserve existing network interface attributes, including all permanent IP addresses")},
	{Name: "net-devices/name-taken", Since: "1.3.0", Feature: "linux.netDevices", Run: netTaken, Clause: must("config-linux.md", netDevices, "If a network device with the specified name already exists in the container namespace, the runtime MUST generate an error")},
	{Name: "net-devices/template", Since: "1.3.0", Feature: "linux.netDevices", Run: netTemplate, Clause: must("config-linux.md", netDevices, "In that case, the runtime MUST allow the move, and the kernel will generate a unique name for the interface within the container's network namespace")},
	{Name: "net-devices/missing", Since: "1.3.0", Feature: "linux.netDevices", Run: netMissing, Clause: must("config-linux.md", netDevices, "The runtime MUST check if moving the network interface to the container namespace is possible")},
}

// withNetDevice makes a container with a network device named probe0 on the
// runtime's side; name is what it is to be called inside, "" to keep it.
func (t *T) withNetDevice(device, name string) *Container {
	holder := t.Hold("network")
	for _, result := range holder.Within([]string{"network"}, probe.Op{Do: "veth", Args: []string{"probe0", "probe1"}, Data: "10.98.76.5/24"}) {
		if !result.OK() {
			t.Skipf("no virtual network device can be made here: %s", result.Outcome())
		}
	}
	config := t.Config(probe.Op{Do: "links"})
	config.Version = "1.3.0"
	config.Linux.NetDevices = map[string]specs.LinuxNetDevice{device: {Name: name}}
	c := t.Container(config)
	c.Enter = []string{holder.Path("network")}
	return c
}

// link returns a network interface of the container, ending the check where it is missing.
func (c *Container) link(match func(probe.Link) bool, what string) probe.Link {
	links := c.t.Find(c.Life(), "links", "").Links
	i := slices.IndexFunc(links, match)
	if i < 0 {
		c.t.Fatalf("the container has no device %s: %+v", what, links)
	}
	return links[i]
}

func named(name string) func(probe.Link) bool {
	return func(link probe.Link) bool { return link.Name == name }
}

func netMoved(t *T) { t.withNetDevice("probe0", "").link(named("probe0"), "probe0") }

func netRenamed(t *T) { t.withNetDevice("probe0", "inner0").link(named("inner0"), "inner0") }

func netUp(t *T) {
	if !t.withNetDevice("probe0", "").link(named("probe0"), "probe0").Up {
		t.Errorf("the device is down in the container")
	}
}

func netAddress(t *T) {
	link := t.withNetDevice("probe0", "inner0").link(named("inner0"), "inner0")
	if !slices.Contains(link.Addrs, "10.98.76.5/24") {
		t.Errorf("the device has the addresses %v, want 10.98.76.5/24", link.Addrs)
	}
}

func netTaken(t *T) {
	if t.withNetDevice("probe0", "lo").Create() == nil {
		t.Errorf("create accepted a name that another device has in the container")
	}
}

func netTemplate(t *T) {
	link := t.withNetDevice("probe0", "inner%d").link(func(link probe.Link) bool { return strings.HasPrefix(link.Name, "inner") }, "inner%d")
	if strings.Contains(link.Name, "%") {
		t.Errorf("the device is named %q, literally", link.Name)
	}
}

func netMissing(t *T) {
	if t.withNetDevice("nosuchdev0", "").Create() == nil {
		t.Errorf("create accepted a network device that does not exist")
	}
}
