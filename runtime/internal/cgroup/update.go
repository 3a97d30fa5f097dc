package cgroup

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"syscall"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Update applies resources to the running group. Fields that are not given stay. It is all or nothing: after a failure the
// former values are back, and the error says which field failed (and what could not be put back, if that failed too).
func (g *Group) Update(r *specs.LinuxResources, h Host) ([]string, error) {
	r = g.complete(r)
	ops, warnings, err := settings(r, g.dirs, h, update)
	if err != nil {
		return nil, err
	}
	var t transaction
	defer t.close()
	err = t.run(ops)
	if err == nil && g.state.Unit != "" {
		err = g.tellSystemd(r)
	}
	if err == nil {
		err = t.finish()
	}
	if err == nil {
		return warnings, nil
	}
	if undo := t.restore(); undo != nil {
		return nil, fmt.Errorf("%w; and %w", err, undo)
	}
	return nil, err
}

// tellSystemd gives systemd the limits that were just written, so that it does not put its former ones back.
func (g *Group) tellSystemd(r *specs.LinuxResources) error {
	props, err := limitProperties(r, g.state.Mode)
	if err != nil {
		return err
	}
	if r != nil && r.Devices != nil && !g.state.User {
		rules, err := parseRules(r.Devices)
		if err != nil {
			return err
		}
		props = append(props, deviceProperties(append(rules, defaultRules...))...)
	}
	if len(props) == 0 {
		return nil
	}
	return setProperties(g.state.Unit, g.state.User, props)
}

// transaction remembers what was there before each write, and before a change of device rules.
type transaction struct {
	former  []Op            // in the order of the writes
	devices []*deviceSwap   // v2: begun, and neither finished nor undone
	lists   []formerDevices // v1
}

// formerDevices is the v1 device list that a directory had.
type formerDevices struct {
	dir  string
	list deviceList
}

// run executes the operations. Values of one group bound each other (a memory limit may not pass memory+swap, a quota is
// measured in its period, a burst may not pass its quota), so the right order depends on the values before. An operation
// that the kernel calls invalid waits until the others are done and is tried again, for as long as any of them succeeds.
func (t *transaction) run(ops []Op) error {
	for len(ops) > 0 {
		var waiting []Op
		var first error
		for _, op := range ops {
			err := t.do(op)
			if errors.Is(err, syscall.EINVAL) {
				waiting = append(waiting, op)
				if first == nil {
					first = &Error{op, err}
				}
			} else if err != nil {
				return &Error{op, err}
			}
		}
		if len(waiting) == len(ops) {
			return first
		}
		ops = waiting
	}
	return nil
}

func (t *transaction) do(op Op) error {
	switch op.Kind {
	case Check:
		return check(op)
	case Devices: // these two come last, and after a failure of their own nothing is changed
		swap, err := beginSwap(op.Path, op.Rules)
		if err == nil {
			t.devices = append(t.devices, swap)
		}
		return err
	case Relist:
		former, err := relist(op)
		if err == nil {
			t.lists = append(t.lists, formerDevices{op.Path, former})
		}
		return err
	}
	return t.write(op)
}

// finish takes the former device rules away, once nothing else can fail.
func (t *transaction) finish() error {
	for _, d := range t.devices {
		if err := d.finish(); err != nil {
			return err
		}
	}
	return nil
}

func (t *transaction) close() {
	for _, d := range t.devices {
		d.close()
	}
}

// write reads the former value, writes, and remembers how to go back. Of several files with the same effect it takes the
// first that exists.
func (t *transaction) write(op Op) error {
	one := op
	for i := -1; ; i++ {
		if i >= 0 {
			one.Path, one.Value = op.Or[i].Path, op.Or[i].Value
		}
		back, err := formerValue(one)
		if errors.Is(err, syscall.ENOENT) && i+1 < len(op.Or) {
			continue
		}
		one.Or = nil
		if err != nil && !errors.Is(err, syscall.ENOENT) {
			return err
		}
		if werr := writeOp(one); werr != nil || err != nil {
			return werr
		}
		t.former = append(t.former, back)
		return nil
	}
}

// restore brings the former device rules back, then writes the former values, in the reverse order, with the same patience
// as run.
func (t *transaction) restore() error {
	var failed []error
	for _, d := range t.devices {
		failed = append(failed, d.undo())
	}
	for _, l := range t.lists {
		failed = append(failed, restoreList(l.dir, l.list))
	}
	return errors.Join(append(failed, t.restoreFiles())...)
}

func (t *transaction) restoreFiles() error {
	var back []Op
	for i := len(t.former) - 1; i >= 0; i-- {
		back = append(back, t.former[i])
	}
	var again transaction
	return again.runPlain(back)
}

func (t *transaction) runPlain(ops []Op) error {
	for len(ops) > 0 {
		var waiting []Op
		var first error
		for _, op := range ops {
			if err := writeOp(op); err != nil {
				waiting = append(waiting, op)
				first = firstError(first, err)
			}
		}
		if len(waiting) == len(ops) {
			return fmt.Errorf("cannot restore the former value: %w", first)
		}
		ops = waiting
	}
	return nil
}

// formerValue reads what a later write has to put back. Most files read as they are written. Files with a line for each
// device or interface are keyed by their first word; a key that is not there had the default.
func formerValue(op Op) (Op, error) {
	text, err := readFile(op.Path)
	if err != nil {
		return op, err
	}
	back := op
	back.Value = text
	file := path.Base(op.Path)
	switch {
	case file == "memory.oom_control":
		back.Value = "0"
		if strings.Contains(text, "oom_kill_disable 1") {
			back.Value = "1"
		}
	case text == "" && strings.HasPrefix(file, "cpuset."):
		back.Value = "\n" // an empty write is none; a newline empties the set
	case isKeyed(file, op.Value):
		back.Value = formerKeyed(file, op.Value, text)
	case file == "io.weight" || file == "io.bfq.weight" || file == "blkio.bfq.weight":
		back.Value = defaultLine(text)
	}
	return back, nil
}

// isKeyed says that the value is "KEY rest" with one line for each key in the file.
func isKeyed(file, value string) bool {
	key, _, ok := strings.Cut(value, " ")
	switch {
	case !ok:
		return false
	case file == "rdma.max" || file == "net_prio.ifpriomap":
		return true
	}
	return strings.Contains(key, ":") && (strings.HasPrefix(file, "io.") || strings.HasPrefix(file, "blkio."))
}

func formerKeyed(file, value, text string) string {
	key, rest, _ := strings.Cut(value, " ")
	for line := range strings.SplitSeq(text, "\n") {
		if strings.HasPrefix(line, key+" ") {
			return line
		}
	}
	switch {
	case file == "io.max" || file == "rdma.max":
		for name := range strings.SplitSeq(rest, " ") {
			name, _, _ = strings.Cut(name, "=")
			key += " " + name + "=max"
		}
		return key
	case strings.HasSuffix(file, "weight"):
		return key + " default"
	}
	return key + " 0" // v1: no limit, no weight of its own
}

// defaultLine picks the group's own weight from "default 100" and the devices' lines, or a lone number.
func defaultLine(text string) string {
	for line := range strings.SplitSeq(text, "\n") {
		if rest, ok := strings.CutPrefix(line, "default "); ok {
			return rest
		}
	}
	return text
}
