package cgroup

import (
	"fmt"
	"strconv"
	"strings"
)

// relist turns the v1 device list of a running group into the one the rules ask for, and returns the former one. Where both
// deny by default only the differences are written, so that no device that is allowed before and after fails in between;
// additions come first. After a failure the list is as before.
func relist(op Op) (former deviceList, err error) {
	want, err := listOf(op.Rules)
	if err != nil {
		return former, err
	}
	if former, err = currentList(op.Path); err != nil {
		return former, err
	}
	if err := change(op.Path, former, want); err != nil {
		if undo := restoreList(op.Path, former); undo != nil {
			return former, fmt.Errorf("%w; and %w", err, undo)
		}
		return former, err
	}
	return former, nil
}

func currentList(dir string) (deviceList, error) {
	text, err := readFile(dir + "/devices.list")
	if err != nil {
		return deviceList{}, err
	}
	return readList(text)
}

// restoreList brings a former list back. One that allowed everything may have had exceptions, which the kernel does not
// show: to write it back could allow what was denied, so it is left as it is and reported.
func restoreList(dir string, former deviceList) error {
	if former.allow {
		return fmt.Errorf("cannot restore the device rules of %s: all but some devices were allowed, and the kernel does not tell which", dir)
	}
	now, err := currentList(dir)
	if err == nil {
		err = change(dir, now, former)
	}
	if err != nil {
		return fmt.Errorf("cannot restore the device rules of %s: %w", dir, err)
	}
	return nil
}

func change(dir string, have, want deviceList) error {
	if have.allow || want.allow {
		return rewriteList(dir, want)
	}
	for _, r := range want.without(have) {
		if err := writeFile(dir+"/devices.allow", r.String()); err != nil {
			return err
		}
	}
	for _, r := range have.without(want) {
		if err := writeFile(dir+"/devices.deny", r.String()); err != nil {
			return err
		}
	}
	return nil
}

// rewriteList writes everything, then the exceptions.
func rewriteList(dir string, l deviceList) error {
	base, except := dir+"/devices.deny", dir+"/devices.allow"
	if l.allow {
		base, except = except, base
	}
	if err := writeFile(base, "a"); err != nil {
		return err
	}
	for _, r := range l.sorted() {
		if err := writeFile(except, r.String()); err != nil {
			return err
		}
	}
	return nil
}

// without are the exceptions of l, sorted, less those of o.
func (l deviceList) without(o deviceList) []Rule {
	var out []Rule
	for _, r := range l.sorted() {
		r.Access &^= o.exceptions[deviceKey{r.Type, r.Major, r.Minor}]
		if r.Access != 0 {
			out = append(out, r)
		}
	}
	return out
}

// readList reads devices.list: "a *:* rwm" where everything is allowed (the kernel does not show the exceptions then), else
// one line for each exception.
func readList(text string) (deviceList, error) {
	l := deviceList{exceptions: map[deviceKey]Access{}}
	for line := range strings.SplitSeq(text, "\n") {
		if line == "" {
			continue
		}
		f := strings.FieldsFunc(line, func(c rune) bool { return c == ' ' || c == ':' })
		if len(f) != 4 || len(f[0]) != 1 {
			return l, fmt.Errorf("cannot read %q as a device rule", line)
		}
		if f[0] == "a" {
			l.allow = true
			continue
		}
		access, err := parseAccess(f[3])
		major, err1 := readNumber(f[1])
		minor, err2 := readNumber(f[2])
		if err != nil || err1 != nil || err2 != nil {
			return l, fmt.Errorf("cannot read %q as a device rule", line)
		}
		l.exceptions[deviceKey{f[0][0], major, minor}] = access
	}
	return l, nil
}

func readNumber(s string) (int64, error) {
	if s == "*" {
		return anyNumber, nil
	}
	return strconv.ParseInt(s, 10, 64)
}
