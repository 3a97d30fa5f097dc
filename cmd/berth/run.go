package main

import "github.com/berth-oci/berth/runtime/container"

func runVerb() *verb {
	var o container.RunOptions
	flags := append(createFlags(&o.CreateOptions),
		toggle(&o.Detach, "detach", 'd', "return as soon as the program runs; the container stays until it is deleted"),
		toggle(&o.Keep, "keep", 0, "do not delete the container after its program ends"))
	return &verb{
		args: "ID", min: 1, max: 1, anyOrder: true,
		summary: "make a container from a bundle, run its program and wait for it",
		about: `It exits with the program's own status, or 128 and the number of the signal that ended it, and removes the container.
With --detach it leaves both running.

` + aboutBundle,
		examples: []example{
			{"berth run mybox", "run the bundle in the working directory"},
			{"berth run -d -b /srv/box --pid-file /run/box.pid mybox", "leave it running in the background"},
		},
		flags: flags,
		run: func(c *command, args []string) (int, error) {
			rt, err := c.runtime()
			if err != nil {
				return exitError, err
			}
			status, err := rt.Run(args[0], o)
			if err != nil {
				return exitError, err
			}
			return status, nil
		},
	}
}
