package cgroup

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/berth-oci/berth/runtime/internal/cgroup/dbus"
	"github.com/berth-oci/berth/runtime/internal/host"
)

// Unit is the transient unit that systemd is asked for: a scope around the container's processes, or a slice.
type Unit struct {
	Name       string          `json:"name"`
	User       bool            `json:"user"` // of the user's manager
	Properties []dbus.Property `json:"properties"`
}

func (u Unit) isSlice() bool { return strings.HasSuffix(u.Name, ".slice") }

// String is the unit with its properties.
func (u Unit) String() string {
	s := u.Name
	for _, p := range u.Properties {
		s += fmt.Sprintf(" %s=%v", p.Name, p.Value)
	}
	return s
}

// decideSystemd makes the layout for the systemd driver. systemd makes the directory and owns it; in v1 it does so only in
// the hierarchies it uses itself, so the others are made beside it at the same path, as by runc.
func decideSystemd(l Layout, r Request) (Layout, error) {
	p, err := parseUnitPath(r.CgroupsPath, r.ID, r.Host.Rootless)
	if err != nil {
		return Layout{}, err
	}
	slice, err := expandSlice(p.slice)
	if err != nil {
		return Layout{}, fmt.Errorf("cannot use linux.cgroupsPath %q: %w", r.CgroupsPath, err)
	}
	l.Unit = &Unit{Name: p.unit(), User: r.Host.Rootless}
	l.Making = append(l.Making, Op{Kind: Start, Path: l.Unit.Name, Why: "systemd"})
	for _, h := range r.Host.Hierarchies {
		d := Dir{Version: h.Version, Controllers: h.Controllers, Mountpoint: h.Mountpoint}
		d.Path = path.Join(h.Mountpoint, r.Host.managerGroup(h), slice, l.Unit.Name)
		l.Dirs = append(l.Dirs, d)
		l.Making = append(l.Making, beside(l.Mode, d)...)
	}
	l.noFork = noFork(r.Resources)
	l.Making = append(l.Making, delegation(l, r)...)
	if l.Settings, l.Warnings, err = settings(r.Resources, l.Dirs, r.Host, fresh); err != nil {
		return l, err
	}
	l.Unit.Properties, err = unitProperties(l, p, r)
	l.Making[0].Value = l.Unit.String()
	return l, err
}

// beside are the operations for a directory next to systemd's own.
func beside(mode host.CgroupMode, d Dir) []Op {
	own := Op{Kind: Mkdir, Path: d.Path, Root: d.Mountpoint, Shared: true, Why: "beside systemd's"}
	switch {
	case mode == host.CgroupV2:
		own.Why = "made by systemd"
		return []Op{own, {Kind: Enable, Path: d.Path, Root: path.Dir(d.Path), Value: join(d.Controllers), Why: "left out by systemd"}}
	case contains(d.Controllers, "cpuset"):
		return []Op{own, {Kind: Inherit, Path: d.Path, Root: d.Mountpoint, Why: "a v1 cpuset cannot be joined before it has cpus and mems"}}
	}
	return []Op{own}
}

// managerGroup is the group below which the manager makes its units: the root, or that of the user's manager.
func (h Host) managerGroup(x Hierarchy) string {
	if !h.Rootless {
		return "/"
	}
	if h.UserManager != "" {
		return h.UserManager
	}
	// /user.slice/user-1000.slice/session-2.scope → /user.slice/user-1000.slice/user@1000.service
	for part := range strings.SplitSeq(x.Own, "/") {
		uid, ok := strings.CutPrefix(part, "user-")
		if uid, slice := strings.CutSuffix(uid, ".slice"); ok && slice {
			return "/user.slice/user-" + uid + ".slice/user@" + uid + ".service"
		}
	}
	return "/"
}

// unitPath is a cgroupsPath of the form slice:prefix:name.
type unitPath struct{ slice, prefix, name string }

func (p unitPath) unit() string {
	switch {
	case strings.HasSuffix(p.name, ".slice"):
		return p.name
	case p.prefix == "":
		return p.name + ".scope"
	}
	return p.prefix + "-" + p.name + ".scope"
}

// parseUnitPath reads linux.cgroupsPath for the systemd driver. An empty one, and an empty slice, take the defaults of
// runc: system.slice, or user.slice without root.
func parseUnitPath(s, id string, rootless bool) (unitPath, error) {
	p := unitPath{prefix: "berth", name: id}
	if s != "" {
		parts := strings.Split(s, ":")
		if len(parts) != 3 {
			return p, fmt.Errorf("cannot use linux.cgroupsPath %q: with the systemd driver it has the form slice:prefix:name", s)
		}
		p = unitPath{parts[0], parts[1], parts[2]}
	}
	if p.slice == "" {
		p.slice = map[bool]string{true: "user.slice", false: "system.slice"}[rootless]
	}
	if p.name == "" {
		return p, fmt.Errorf("cannot use linux.cgroupsPath %q: the name is empty", s)
	}
	if err := validUnit(p.unit()); err != nil {
		return p, fmt.Errorf("cannot use linux.cgroupsPath %q: %w", s, err)
	}
	return p, nil
}

// validUnit keeps to the characters of systemd.unit(5), so that no name can be a path or a specifier.
func validUnit(name string) error {
	if len(name) > 255 {
		return errors.New("the unit's name is longer than 255 characters")
	}
	for _, c := range name {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && !strings.ContainsRune(`:_.\-@`, c) {
			return fmt.Errorf("a unit's name cannot have %q", c)
		}
	}
	return nil
}

// expandSlice is the slice's directory: "a-b.slice" lies in "a.slice" (systemd.slice(5)). "-.slice" is the root.
func expandSlice(slice string) (string, error) {
	if slice == "-.slice" {
		return "/", nil
	}
	name, ok := strings.CutSuffix(slice, ".slice")
	if !ok || name == "" {
		return "", fmt.Errorf("%q is no slice: it has to end in .slice", slice)
	}
	if err := validUnit(slice); err != nil {
		return "", err
	}
	dir, prefix := "", ""
	for part := range strings.SplitSeq(name, "-") {
		if part == "" {
			return "", fmt.Errorf("%q is no slice: it has an empty part", slice)
		}
		prefix += part
		dir += "/" + prefix + ".slice"
		prefix += "-"
	}
	return dir, nil
}
