package cgroup

import (
	"fmt"
	"sort"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Rule allows or denies access to device nodes. Rules apply in order: for each kind of access the last one that matches
// counts, and what no rule matches is denied.
type Rule struct {
	Allow  bool   `json:"allow"`
	Type   byte   `json:"type"`   // 'a' both, 'b' block, 'c' character
	Major  int64  `json:"major"`  // anyNumber: all
	Minor  int64  `json:"minor"`  // anyNumber: all
	Access Access `json:"access"` // never empty
	Field  string `json:"field,omitempty"`
}

// Access is a set of rights to a device node, with the kernel's numbers (BPF_DEVCG_ACC_…).
type Access uint8

// The rights.
const (
	Mknod Access = 1 << iota
	Read
	WriteTo
	allAccess = Mknod | Read | WriteTo
)

const anyNumber = -1

func (a Access) String() string {
	s := ""
	for i, c := range "mrw" {
		if a&(1<<i) != 0 {
			s += string(c)
		}
	}
	return s
}

// String is the rule as devices.allow takes it: "c 1:3 rw".
func (r Rule) String() string {
	return fmt.Sprintf("%c %s:%s %s", r.Type, number(r.Major), number(r.Minor), r.Access)
}

func number(n int64) string {
	if n == anyNumber {
		return "*"
	}
	return strconv.FormatInt(n, 10)
}

func rulesString(rules []Rule) string {
	var s []string
	for _, r := range rules {
		s = append(s, map[bool]string{true: "allow ", false: "deny "}[r.Allow]+r.String())
	}
	return strings.Join(s, ", ")
}

// defaultRules are what every container may do, after the config's own rules as in runc: make any node (without being able
// to open it), and use the devices that config-linux.md "Default Devices" promises, and terminals.
var defaultRules = []Rule{
	{Allow: true, Type: 'c', Major: anyNumber, Minor: anyNumber, Access: Mknod},
	{Allow: true, Type: 'b', Major: anyNumber, Minor: anyNumber, Access: Mknod},
	{Allow: true, Type: 'c', Major: 1, Minor: 3, Access: allAccess},           // null
	{Allow: true, Type: 'c', Major: 1, Minor: 5, Access: allAccess},           // zero
	{Allow: true, Type: 'c', Major: 1, Minor: 7, Access: allAccess},           // full
	{Allow: true, Type: 'c', Major: 1, Minor: 8, Access: allAccess},           // random
	{Allow: true, Type: 'c', Major: 1, Minor: 9, Access: allAccess},           // urandom
	{Allow: true, Type: 'c', Major: 5, Minor: 0, Access: allAccess},           // tty
	{Allow: true, Type: 'c', Major: 5, Minor: 1, Access: allAccess},           // console
	{Allow: true, Type: 'c', Major: 5, Minor: 2, Access: allAccess},           // ptmx
	{Allow: true, Type: 'c', Major: 136, Minor: anyNumber, Access: allAccess}, // pts/*
}

// devices lowers linux.resources.devices. A new container without rules is denied all but the defaults; an update without
// rules changes none.
func (lo *lowering) devices(list []specs.LinuxDeviceCgroup) {
	if lo.when == update && list == nil {
		return
	}
	rules, err := parseRules(list)
	if err != nil {
		lo.err = firstError(lo.err, err)
		return
	}
	rules = append(rules, defaultRules...)
	if d, ok := dirOf(lo.dirs, "devices"); ok {
		lo.devicesV1(d, rules)
		return
	}
	if d, ok := dirOf(lo.dirs, ""); ok {
		lo.ops = append(lo.ops, Op{Kind: Devices, Path: d.Path, Field: resourcesPath + "devices", Rules: rules,
			Optional: lo.rootless})
		return
	}
	if len(list) > 0 && !allowsAll(rules) {
		lo.fail("devices", "no mounted cgroup hierarchy has the controller devices")
	}
}

func firstError(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// parseRules checks the config's list and splits what the kernel has no word for: a rule on both types that is not about
// everything becomes one for each type (v1's kernel would read it as everything).
func parseRules(list []specs.LinuxDeviceCgroup) ([]Rule, error) {
	var rules []Rule
	for i, d := range list {
		r, err := parseRule(d)
		if err != nil {
			return nil, fmt.Errorf("cannot apply linux.resources.devices[%d]%w", i, err)
		}
		r.Field = fmt.Sprintf("linux.resources.devices[%d]", i)
		if r.Type != 'a' || r.everything() {
			rules = append(rules, r)
			continue
		}
		c, b := r, r
		c.Type, b.Type = 'c', 'b'
		rules = append(rules, c, b)
	}
	return rules, nil
}

func (r Rule) everything() bool {
	return r.Type == 'a' && r.Major == anyNumber && r.Minor == anyNumber && r.Access == allAccess
}

func parseRule(d specs.LinuxDeviceCgroup) (Rule, error) {
	r := Rule{Allow: d.Allow, Type: 'a', Major: anyNumber, Minor: anyNumber}
	switch d.Type {
	case "", "a":
	case "b", "c":
		r.Type = d.Type[0]
	default:
		return r, fmt.Errorf(".type: %q is none of a, b, c", d.Type)
	}
	for _, n := range []struct {
		name string
		from *int64
		to   *int64
	}{{"major", d.Major, &r.Major}, {"minor", d.Minor, &r.Minor}} {
		if n.from == nil || *n.from == anyNumber {
			continue
		}
		if *n.from < 0 || *n.from > 1<<32-1 {
			return r, fmt.Errorf(".%s: %d is no device number", n.name, *n.from)
		}
		*n.to = *n.from
	}
	access, err := parseAccess(d.Access)
	r.Access = access
	return r, err
}

func parseAccess(s string) (Access, error) {
	var a Access
	for _, c := range s {
		i := strings.IndexRune("mrw", c)
		if i < 0 {
			return 0, fmt.Errorf(".access: %q has %q, which is none of r, w, m", s, c)
		}
		a |= 1 << i
	}
	if a == 0 {
		return 0, fmt.Errorf(".access: it is empty; give some of r, w, m")
	}
	return a, nil
}

// allowsAll says that the rules forbid nothing.
func allowsAll(rules []Rule) bool {
	all := false
	for _, r := range rules {
		if r.everything() {
			all = r.Allow
		} else if !r.Allow {
			all = false
		}
	}
	return all
}

// deviceList is v1's model (security/device_cgroup.c): everything is allowed or denied, with exceptions.
type deviceList struct {
	allow      bool
	exceptions map[deviceKey]Access
}

type deviceKey struct {
	kind         byte
	major, minor int64
}

// listOf plays the rules through v1's model. What the model cannot express, a rule that takes away a part of a wildcard
// exception, is an error: the kernel would take it and not do it.
func listOf(rules []Rule) (deviceList, error) {
	l := deviceList{exceptions: map[deviceKey]Access{}}
	for _, r := range rules {
		if r.everything() {
			l = deviceList{allow: r.Allow, exceptions: map[deviceKey]Access{}}
			continue
		}
		if err := l.add(r); err != nil {
			return l, err
		}
	}
	l.complete()
	return l, nil
}

// complete gives an allowed device the reading and writing rights that wider exceptions allow: the kernel wants one
// exception to have all that an open asks for (O_RDWR), and does not add them up. Making a node is never asked for together.
func (l deviceList) complete() {
	if l.allow {
		return
	}
	for k := range l.exceptions {
		for other, access := range l.exceptions {
			if other.covers(k) {
				l.exceptions[k] |= access &^ Mknod
			}
		}
	}
}

func (l deviceList) add(r Rule) error {
	key := deviceKey{r.Type, r.Major, r.Minor}
	if r.Allow != l.allow {
		l.exceptions[key] |= r.Access
		return nil
	}
	for other, access := range l.exceptions {
		switch {
		case other == key || key.covers(other):
			l.exceptions[other] = access &^ r.Access
			if l.exceptions[other] == 0 {
				delete(l.exceptions, other)
			}
		case other.overlaps(key) && access&r.Access != 0:
			return fmt.Errorf("cannot apply %s: cgroup v1 cannot except %q from the wider rule on \"%c %s:%s %s\"",
				r.Field, r, other.kind, number(other.major), number(other.minor), access)
		}
	}
	return nil
}

// covers says that k matches every device that o matches.
func (k deviceKey) covers(o deviceKey) bool {
	return k.kind == o.kind && (k.major == anyNumber || k.major == o.major) && (k.minor == anyNumber || k.minor == o.minor)
}

// overlaps says that some device matches both.
func (k deviceKey) overlaps(o deviceKey) bool {
	return k.kind == o.kind && (k.major == anyNumber || o.major == anyNumber || k.major == o.major) &&
		(k.minor == anyNumber || o.minor == anyNumber || k.minor == o.minor)
}

func (l deviceList) sorted() []Rule {
	var out []Rule
	for k, a := range l.exceptions {
		out = append(out, Rule{Allow: !l.allow, Type: k.kind, Major: k.major, Minor: k.minor, Access: a})
	}
	sort.Slice(out, func(i, j int) bool {
		a, b := out[i], out[j]
		if a.Type != b.Type {
			return a.Type < b.Type
		}
		if a.Major != b.Major {
			return a.Major < b.Major
		}
		return a.Minor < b.Minor
	})
	return out
}

// devicesV1 writes the list: everything first, which also forgets what a new group inherited, then the exceptions.
func (lo *lowering) devicesV1(d Dir, rules []Rule) {
	l, err := listOf(rules)
	if err != nil {
		lo.err = firstError(lo.err, err)
		return
	}
	if lo.when == update {
		lo.ops = append(lo.ops, Op{Kind: Relist, Path: d.Path, Field: resourcesPath + "devices", Rules: rules})
		return
	}
	base, except := "devices.deny", "devices.allow"
	if l.allow {
		base, except = except, base
	}
	lo.put("devices", d.Path+"/"+base, "a", nil)
	for _, r := range l.sorted() {
		lo.put("devices", d.Path+"/"+except, r.String(), nil)
	}
}
