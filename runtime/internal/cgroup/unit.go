package cgroup

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/berth-oci/berth/runtime/internal/cgroup/dbus"
)

// systemd's objects and the errors that a caller branches on.
var systemdManager = dbus.Target{
	Service: "org.freedesktop.systemd1", Path: "/org/freedesktop/systemd1", Interface: "org.freedesktop.systemd1.Manager",
}

const (
	errUnitExists = "org.freedesktop.systemd1.UnitExists"
	errNoSuchUnit = "org.freedesktop.systemd1.NoSuchUnit"
)

// connect reaches the manager: root directly by systemd's own socket, which works without a message bus and before one runs,
// others, or where that fails, by the bus.
func connect(user bool) (*dbus.Conn, error) {
	var failures []string
	for _, a := range managerAddresses(user, os.Getenv) {
		c, err := dbus.Dial(a.path, a.bus)
		if err == nil {
			return c, nil
		}
		failures = append(failures, err.Error())
	}
	if len(failures) == 0 {
		failures = []string{"neither XDG_RUNTIME_DIR nor DBUS_SESSION_BUS_ADDRESS is set"}
	}
	return nil, fmt.Errorf("cannot reach systemd: %s", strings.Join(failures, "; "))
}

type busAddress struct {
	path string
	bus  bool
}

func managerAddresses(user bool, getenv func(string) string) []busAddress {
	var out []busAddress
	add := func(path string, bus bool) {
		if path != "" {
			out = append(out, busAddress{path, bus})
		}
	}
	if user {
		if dir := getenv("XDG_RUNTIME_DIR"); dir != "" {
			add(dir+"/systemd/private", false)
			add(dir+"/bus", true)
		}
		add(unixPath(getenv("DBUS_SESSION_BUS_ADDRESS")), true)
		return out
	}
	add("/run/systemd/private", false)
	if path := unixPath(getenv("DBUS_SYSTEM_BUS_ADDRESS")); path != "" {
		add(path, true)
	} else {
		add("/run/dbus/system_bus_socket", true)
	}
	return out
}

// unixPath picks the socket out of a bus address: "unix:path=/run/x,guid=1".
func unixPath(address string) string {
	for one := range strings.SplitSeq(address, ";") {
		rest, ok := strings.CutPrefix(one, "unix:")
		if !ok {
			continue
		}
		for pair := range strings.SplitSeq(rest, ",") {
			key, value, _ := strings.Cut(pair, "=")
			switch key {
			case "path":
				return value
			case "abstract":
				return "@" + value
			}
		}
	}
	return ""
}

// startUnit asks systemd for the unit and waits until it is there, held by a process of ours.
func (l *Layout) startUnit() error {
	c, err := connect(l.Unit.User)
	if err != nil {
		return err
	}
	defer c.Close()
	if l.Unit.User && outsideManager(l.Dirs) {
		if err := moveBelowManager(c, l.Owner); err != nil {
			return err
		}
	}
	props := l.Unit.Properties
	if !l.Unit.isSlice() {
		if l.holder, err = hold(); err != nil {
			return err
		}
		props = append(props[:len(props):len(props)], dbus.Property{Name: "PIDs", Value: []uint32{uint32(l.holder.pid)}})
	}
	if err = startTransient(c, l.Unit.Name, props); err == nil {
		err = l.placed(c)
	}
	if err != nil {
		l.Release()
	}
	return err
}

// Approach makes it possible that a process is born in the group: see moveBelowManager. Without the user's systemd it does
// nothing.
func (g *Group) Approach() error {
	if !g.state.User || !outsideManager(g.dirs) {
		return nil
	}
	c, err := connect(true)
	if err != nil {
		return err
	}
	defer c.Close()
	return moveBelowManager(c, g.state.Owner)
}

// moveBelowManager moves this process into a scope of its own below the user's manager. Without root a process can be born
// only in a group whose common ancestor with the parent's own may be written to, and the user's manager is the highest group
// that the user may write to. podman does the same.
func moveBelowManager(c *dbus.Conn, owner string) error {
	pid := os.Getpid()
	return startTransient(c, "berth-"+strconv.Itoa(pid)+".scope", []dbus.Property{
		{Name: "Description", Value: "berth " + owner}, {Name: "PIDs", Value: []uint32{uint32(pid)}},
		{Name: "CollectMode", Value: "inactive-or-failed"},
	})
}

// outsideManager says that this process is not below the user's manager that has the directories, as in a session of ssh.
func outsideManager(dirs []Dir) bool {
	d, ok := dirOf(dirs, "")
	if !ok {
		return false
	}
	manager, _, ok := strings.Cut(strings.TrimPrefix(d.Path, d.Mountpoint), ".service/")
	b, err := os.ReadFile("/proc/self/cgroup")
	return ok && err == nil && !strings.HasPrefix(ownGroups(b)["cgroup2"], manager+".service/")
}

// startTransient starts the unit. One of the same name that failed and was kept is cleared away; one that runs is somebody
// else's.
func startTransient(c *dbus.Conn, name string, props []dbus.Property) error {
	if err := watchJobs(c); err != nil {
		return err
	}
	args := []any{name, "replace", props, dbus.Auxiliary{}}
	reply, err := c.Call(systemdManager, "StartTransientUnit", args...)
	if isDBus(err, errUnitExists) {
		_, _ = c.Call(systemdManager, "ResetFailedUnit", name)
		reply, err = c.Call(systemdManager, "StartTransientUnit", args...)
	}
	if isDBus(err, errUnitExists) {
		return fmt.Errorf("%w: systemd has a unit %s already", ErrInUse, name)
	}
	if err != nil {
		return fmt.Errorf("systemd refuses the unit %s: %w", name, err)
	}
	return waitJob(c, reply, "start", name)
}

// watchJobs asks for the signals that tell the end of a job. A bus delivers what a client asked for; systemd's own socket
// needs no asking, and answers the same.
func watchJobs(c *dbus.Conn) error {
	if err := c.Match("type='signal',interface='org.freedesktop.systemd1.Manager',member='JobRemoved'"); err != nil {
		return err
	}
	_, err := c.Call(systemdManager, "Subscribe")
	if isDBus(err, "org.freedesktop.systemd1.AlreadySubscribed") {
		return nil
	}
	return err
}

// waitJob waits for JobRemoved(id, job, unit, result).
func waitJob(c *dbus.Conn, reply dbus.Message, what, unit string) error {
	job, err := reply.Body().Text()
	if err != nil {
		return err
	}
	for {
		m, err := c.Signal("JobRemoved")
		if err != nil {
			return fmt.Errorf("wait for systemd to %s %s: %w", what, unit, err)
		}
		d := m.Body()
		_, err1 := d.Uint32()
		which, err2 := d.Text()
		_, err3 := d.Text()
		result, err4 := d.Text()
		if err := errors.Join(err1, err2, err3, err4); err != nil {
			return err
		}
		if which != job {
			continue
		}
		if result != "done" {
			return fmt.Errorf("systemd did not %s %s: the job ended with %q", what, unit, result)
		}
		return nil
	}
}

// placed checks that systemd put the unit where the layout has it.
func (l *Layout) placed(c *dbus.Conn) error {
	kind := map[bool]string{true: "Slice", false: "Scope"}[l.Unit.isSlice()]
	group, err := controlGroup(c, unitObject(l.Unit.Name), kind)
	if err != nil {
		return fmt.Errorf("ask systemd where %s is: %w", l.Unit.Name, err)
	}
	for _, d := range l.Dirs {
		if want := strings.TrimPrefix(d.Path, strings.TrimSuffix(d.Mountpoint, "/")); want != group {
			return fmt.Errorf("systemd made %s in %s, not in %s", l.Unit.Name, group, want)
		}
	}
	return nil
}

// controlGroup asks for the group of an object of systemd's, which is of the given kind: "Scope", "Manager", …
func controlGroup(c *dbus.Conn, object, kind string) (string, error) {
	t := dbus.Target{Service: systemdManager.Service, Path: object, Interface: "org.freedesktop.DBus.Properties"}
	m, err := c.Call(t, "Get", "org.freedesktop.systemd1."+kind, "ControlGroup")
	if err != nil {
		return "", err
	}
	return m.Body().VariantString()
}

// UserManager asks the caller's own systemd for its group, for [Host.UserManager]: below it are the user's units, wherever the
// caller itself was started (a session, sudo, a service of the machine).
func UserManager() (string, error) {
	c, err := connect(true)
	if err != nil {
		return "", err
	}
	defer c.Close()
	return controlGroup(c, systemdManager.Path, "Manager")
}

// unitObject is the object path of a unit: every byte but letters and digits as _XX.
func unitObject(name string) string {
	var b strings.Builder
	b.WriteString("/org/freedesktop/systemd1/unit/")
	for i := range len(name) {
		c := name[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' && i > 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "_%02x", c)
		}
	}
	return b.String()
}

func isDBus(err error, name string) bool {
	var e *dbus.Error
	return errors.As(err, &e) && e.Name == name
}

// Release ends the process that holds systemd's unit. The caller does so once the container's first process is in the group,
// or has failed; before that systemd would end the unit. Without systemd it does nothing.
func (l *Layout) Release() {
	if l.holder != nil {
		l.holder.release()
	}
}

// stopUnit has systemd end the unit, and forget it if it failed. A unit that is gone is no error.
func stopUnit(name string, user bool) error {
	c, err := connect(user)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := watchJobs(c); err != nil {
		return err
	}
	reply, err := c.Call(systemdManager, "StopUnit", name, "replace")
	if err == nil {
		err = waitJob(c, reply, "stop", name)
	}
	_, _ = c.Call(systemdManager, "ResetFailedUnit", name)
	if isDBus(err, errNoSuchUnit) {
		return nil
	}
	return err
}

// setProperties changes a running unit, until it ends.
func setProperties(name string, user bool, props []dbus.Property) error {
	c, err := connect(user)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Call(systemdManager, "SetUnitProperties", name, true, props); err != nil {
		return fmt.Errorf("systemd refuses the new limits of %s: %w", name, err)
	}
	return nil
}
