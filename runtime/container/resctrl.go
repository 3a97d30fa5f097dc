package container

import (
	"github.com/berth-oci/berth/runtime/internal/resctrl"
	"github.com/berth-oci/berth/runtime/internal/store"
)

// makeResctrl makes the container's class of service and monitoring group, recorded before. A class that the config names stays after delete; so
// does one that was there (config-linux.md "IntelRdt").
func (c *creation) makeResctrl() error {
	if !c.spec.Linux.HasIntelRdt {
		return nil
	}
	g := resctrl.Of(c.host.Resctrl, c.id, c.spec.Linux.IntelRdt)
	c.state.IntelRdt = g.Place()
	var undos []store.Undo
	if g.Own && !g.Exists() {
		undos = append(undos, store.Undo{Kind: store.UndoResctrl, Path: g.Class})
	}
	if g.Monitor != "" && !g.Monitored() { // else it is another's, and Make says so
		undos = append(undos, store.Undo{Kind: store.UndoResctrl, Path: g.Monitor})
	}
	if err := c.entry.Record(undos...); err != nil {
		return err
	}
	return g.Make()
}

// joinResctrl moves a process of the container, which still waits, into its class.
func joinResctrl(s store.State, pid int) error {
	if s.IntelRdt == "" {
		return nil
	}
	return resctrl.Join(s.IntelRdt, pid)
}
