package cgroup

import (
	"strings"
)

// unified lowers linux.resources.unified (config-linux.md "Unified"): the key is a file of the v2 group, the value is
// written as it is, one write for each line since io.max and its like take one line at a time.
func (lo *lowering) unified(files map[string]string) {
	for _, key := range sortedKeys(files) {
		shown := "unified." + key
		d, ok := dirOf(lo.dirs, "")
		switch {
		case !ok:
			lo.fail(shown, "it is for cgroup v2, and no v2 hierarchy is mounted")
		case !validKey(key):
			lo.fail(shown, "a key is the name of a control file such as memory.high")
		default:
			for line := range strings.SplitSeq(strings.TrimSuffix(files[key], "\n"), "\n") {
				lo.put(shown, d.Path+"/"+key, line, nil)
			}
		}
	}
}

// validKey keeps keys inside the group's directory, and away from the files that steer membership.
func validKey(key string) bool {
	controller, rest, ok := strings.Cut(key, ".")
	return ok && controller != "" && rest != "" && !strings.ContainsAny(key, "/\x00\n") && key != "cgroup.procs" &&
		key != "cgroup.threads" && key != "cgroup.kill" && key != "cgroup.subtree_control" && key != "cgroup.freeze"
}
