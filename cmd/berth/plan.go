package main

import (
	"os"

	"github.com/berth-oci/berth/runtime/container"
)

func planVerb() *verb {
	var o container.CreateOptions
	format, id := string(container.PlanText), "plan"
	return &verb{
		args: "[BUNDLE]", max: 1, anyOrder: true,
		summary: "print what create would do for a bundle, and do none of it",
		about:   `Each step is one line: the namespaces, mounts, devices, limits and rights in the order they would be made. It needs no root.`,
		examples: []example{
			{"berth plan /srv/box", "read it before you run it"},
			{"berth plan --format json /srv/box", "for programs"},
		},
		flags: append(createFlags(&o),
			choice(&format, "format", 'f', "how to print; default is text", string(container.PlanText), string(container.PlanJSON)),
			text(&id, "id", 0, "ID", "the container's name in the plan; default is plan")),
		run: func(c *command, args []string) (int, error) {
			rt, err := c.runtime()
			if err != nil {
				return exitError, err
			}
			if len(args) == 1 {
				o.Bundle = args[0]
			}
			return exitOK, rt.Plan(id, o, container.PlanFormat(format), os.Stdout)
		},
	}
}
