package main

import (
	"fmt"
	"os"

	"github.com/berth-oci/berth/runtime/container"
)

func gcVerb() *verb {
	var dryRun bool
	return &verb{
		summary: "remove what a reboot or a crash has left",
		about: `Gone are afterwards the containers whose process has ended, those whose creation was interrupted, those of before the last
reboot, and what interrupted deletes left: their state, cgroups, and what else was made for them. A container that is
created, running or paused stays, as does one that another command is working on.

It prints one line for each thing it removes. An engine removes its stopped containers itself; this is for those that nobody
comes back for.`,
		examples: []example{
			{"berth gc -n", "only say what would be removed"},
			{"berth gc", "remove it"},
		},
		flags: []flag{toggle(&dryRun, "dry-run", 'n', "change nothing; print the same lines")},
		run: func(c *command, _ []string) (int, error) {
			rt, err := c.runtime()
			if err != nil {
				return exitError, err
			}
			return exitOK, rt.GC(dryRun, func(g container.Garbage) { fmt.Fprintln(os.Stdout, printable(g.String())) })
		},
	}
}
