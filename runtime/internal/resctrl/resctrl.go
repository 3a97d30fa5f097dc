// Package resctrl puts a container into a class of service of the kernel's resctrl filesystem: shares of caches and of memory bandwidth
// (Intel RDT, AMD QoS, Arm MPAM; config-linux.md "IntelRdt", the kernel's filesystems/resctrl.rst).
//
//	ROOT/                            the default class
//	  CLASS/schemata                 the shares, a line for each resource
//	  CLASS/tasks                    its threads; writing a pid moves one in
//	  CLASS/mon_groups/ID/tasks      those of them that are counted by themselves
//
// Making and removing directories makes and removes classes and groups, whatever files the kernel shows in them.
package resctrl

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/berth-oci/berth/runtime/internal/spec"
)

// Group is a container's place.
type Group struct {
	Class   string // directory of the class
	Monitor string // directory of the monitoring group, empty: none
	Own     bool   // the class is the container's, so delete removes it

	wanted spec.IntelRdt
}

// Of names the place of the container id below the filesystem's mount point.
func Of(root, id string, wanted spec.IntelRdt) Group {
	g := Group{Own: wanted.ClosID == "", wanted: wanted}
	switch wanted.ClosID {
	case "":
		g.Class = filepath.Join(root, id)
	case "/":
		g.Class = filepath.Clean(root)
	default:
		g.Class = filepath.Join(root, wanted.ClosID)
	}
	if wanted.EnableMonitoring {
		g.Monitor = filepath.Join(g.Class, monGroups, id)
	}
	return g
}

const monGroups = "mon_groups"

// Exists says whether the class is there already.
func (g Group) Exists() bool { return exists(g.Class) }

// Monitored says whether a monitoring group of that name is there already.
func (g Group) Monitored() bool { return g.Monitor != "" && exists(g.Monitor) }

func exists(dir string) bool {
	_, err := os.Lstat(dir)
	return err == nil
}

// Make makes the class, unless it is there, with its schemata, and the monitoring group. A class that is there must have the wanted shares of
// L3 cache and memory bandwidth. The caller has recorded what is to be undone.
func (g Group) Make() error {
	if g.wanted.ClosID != "" && len(g.wanted.Schemata) == 0 && !g.Exists() {
		return fmt.Errorf("linux.intelRdt.closID: there is no class %q; make it, or say in linux.intelRdt.schemata what it is", g.wanted.ClosID)
	}
	err := os.Mkdir(g.Class, 0o755)
	made := err == nil
	if errors.Is(err, fs.ErrExist) {
		err = g.compare()
	}
	if err == nil && len(g.wanted.Schemata) > 0 {
		err = write(g.root(), g.Class, g.wanted.Schemata)
	}
	if err != nil {
		if made {
			Remove(g.Class)
		}
		return fmt.Errorf("linux.intelRdt: cannot set up class %q: %w", g.Class, err)
	}
	if g.Monitor == "" {
		return nil
	}
	err = os.MkdirAll(filepath.Dir(g.Monitor), 0o755) // the kernel has made it already
	if err == nil {
		err = os.Mkdir(g.Monitor, 0o755)
	}
	if err != nil {
		return fmt.Errorf("linux.intelRdt.enableMonitoring: cannot make a monitoring group: %w", err)
	}
	return nil
}

// compare wants an existing class to have the shares already.
func (g Group) compare() error {
	fixed := g.wanted.Schemata[:g.wanted.Fixed]
	if len(fixed) == 0 {
		return nil
	}
	text, err := os.ReadFile(filepath.Join(g.Class, "schemata"))
	if err != nil {
		return err
	}
	has := map[string]map[string]uint64{}
	for line := range strings.Lines(string(text)) {
		if name, shares, err := parse(line); err == nil {
			has[name] = shares
		}
	}
	for _, line := range fixed {
		name, shares, err := parse(line)
		if err != nil {
			return err
		}
		for domain, share := range shares {
			if now, ok := has[name][domain]; !ok || now != share {
				return fmt.Errorf("it exists and its schemata differ from %q", line)
			}
		}
	}
	return nil
}

// parse reads a line such as "L3:0=7f0;1=1f" or "MB:0=20". Bit masks are hexadecimal, bandwidths are not.
func parse(line string) (name string, shares map[string]uint64, err error) {
	name, rest, ok := strings.Cut(strings.TrimSpace(line), ":")
	if !ok {
		return "", nil, fmt.Errorf("%q is no line of schemata", line)
	}
	base := 16
	if name == "MB" {
		base = 10
	}
	shares = map[string]uint64{}
	for part := range strings.SplitSeq(rest, ";") {
		domain, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		n, err := strconv.ParseUint(strings.TrimPrefix(strings.TrimSpace(value), "0x"), base, 64)
		if err != nil {
			return "", nil, fmt.Errorf("%q is no line of schemata such as %q", line, "L3:0=7f0;1=1f")
		}
		shares[strings.TrimSpace(domain)] = n
	}
	return name, shares, nil
}

// root is the filesystem's mount point.
func (g Group) root() string {
	if g.wanted.ClosID == "/" {
		return g.Class
	}
	return filepath.Dir(g.Class)
}

// write gives a class its shares. Why it does not like something, the kernel says elsewhere.
func write(root, class string, schemata []string) error {
	err := os.WriteFile(filepath.Join(class, "schemata"), []byte(strings.Join(schemata, "\n")+"\n"), 0o644)
	if err == nil {
		return nil
	}
	if why, _ := os.ReadFile(filepath.Join(root, "info/last_cmd_status")); len(why) > 0 {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(why)))
	}
	return err
}

// Place is the directory that a further process of the container joins.
func (g Group) Place() string {
	if g.Monitor != "" {
		return g.Monitor
	}
	return g.Class
}

// classOf is the class that a place is in.
func classOf(place string) string {
	if groups := filepath.Dir(place); filepath.Base(groups) == monGroups {
		return filepath.Dir(groups)
	}
	return place
}

// Check refuses what is no line of schemata.
func Check(schemata []string) error {
	for _, line := range schemata {
		if strings.ContainsAny(line, "\n\x00") {
			return fmt.Errorf("%q is more than one line of schemata", line)
		}
		if _, _, err := parse(line); err != nil {
			return err
		}
	}
	return nil
}

// Share gives the class of a place other shares: lines of schemata that [Check] accepts; resources that they do not name keep theirs. Whatever
// else is in the class has them too. root is the filesystem's mount point, empty where there is none.
func Share(root, place string, schemata []string) error {
	class := classOf(place)
	if root == "" {
		return fmt.Errorf("cannot change the shares of class %q: no resctrl filesystem is mounted", class)
	}
	if err := write(root, class, schemata); err != nil {
		return fmt.Errorf("cannot change the shares of class %q: %w", class, err)
	}
	return nil
}

// Join moves a process of one thread into a place: into the class before the monitoring group, which takes none of another class.
func Join(place string, pid int) error {
	order := []string{classOf(place)}
	if order[0] != place {
		order = append(order, place)
	}
	for _, dir := range order {
		if err := os.WriteFile(filepath.Join(dir, "tasks"), []byte(strconv.Itoa(pid)), 0o644); err != nil {
			return fmt.Errorf("linux.intelRdt: cannot put the process into %q: %w", dir, err)
		}
	}
	return nil
}

// Remove removes a class or a monitoring group; one that is gone is no error. The kernel takes a group's files away with it, and
// os.RemoveAll tries the directory itself first.
func Remove(dir string) error { return os.RemoveAll(dir) }
