package main

import (
	"encoding/json"
	"os"
)

func stateVerb() *verb {
	return &verb{
		args: "ID", min: 1, max: 1, anyOrder: true, ids: true,
		summary: "print the state of a container as JSON",
		about: `The fields are those of the OCI runtime specification: ociVersion, id, status (creating, created, running, paused or
stopped), pid, bundle, annotations; and rootfs, created and owner as runc has them.`,
		examples: []example{{"berth state mybox", "is it running, and as which process?"}},
		run: func(c *command, args []string) (int, error) {
			rt, err := c.runtime()
			if err != nil {
				return exitError, err
			}
			state, err := rt.State(args[0])
			if err != nil {
				return exitError, err
			}
			return exitOK, printJSON(state)
		},
	}
}

// printJSON writes a value for people and programs: set in by two spaces, as runc does.
func printJSON(value any) error {
	data, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(append(data, '\n'))
	return err
}
