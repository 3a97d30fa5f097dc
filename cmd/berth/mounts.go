package main

import (
	"fmt"

	"github.com/berth-oci/berth/runtime/container"
)

// mountsWords are the first argument of the verb mounts.
var mountsWords = []string{"add", "remove"}

func mountsVerb() *verb {
	return &verb{
		args: "add|remove ID FILE", min: 3, max: 3, anyOrder: true,
		summary: "mount something more in a container that runs, or take it away",
		about: `FILE is JSON in the form of config.json's mounts, an array of objects; where it is - they come from standard input. What
would be refused in a config.json is refused here. Either all of them are mounted or none.

To take mounts away only the destination of each counts, and the last comes first. Masked and read-only paths stay.`,
		examples: []example{
			{`echo '[{"destination":"/data","source":"/srv/data","options":["bind","ro"]}]' > data.json`, "a folder of the host's"},
			{"berth mounts add mybox data.json", "show it at /data"},
			{"berth mounts remove mybox data.json", "and no more"},
		},
		run: func(c *command, args []string) (int, error) {
			rt, err := c.runtime()
			if err != nil {
				return exitError, err
			}
			change, ok := map[string]func(*container.Runtime, string, []byte) error{
				"add": (*container.Runtime).AddMounts, "remove": (*container.Runtime).RemoveMounts,
			}[args[0]]
			if !ok {
				return exitError, withHelp(fmt.Errorf("cannot %q mounts: add or remove them", args[0]), "berth mounts --help")
			}
			data, err := readInput(args[2], maxProcess)
			if err != nil {
				return exitError, err
			}
			return exitOK, change(rt, args[1], data)
		},
	}
}
