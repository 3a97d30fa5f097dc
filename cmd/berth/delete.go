package main

func deleteVerb() *verb {
	var force, regex bool
	return &verb{
		args: "ID...", min: 1, max: -1, anyOrder: true, ids: true,
		summary: "remove what is left of a stopped container",
		about: `Its cgroup, its state and what else it left on the machine go away, and the name is free again. The bundle stays as it is. A container
that is not stopped is refused unless --force is given.`,
		examples: []example{
			{"berth delete mybox", "after its program has ended"},
			{"berth delete --force mybox", "kill it first; no error where there is no such container"},
		},
		flags: []flag{
			toggle(&force, "force", 'f', "kill the container first where it still runs; an unknown ID is no error"),
			toggle(&regex, "regex", 'r', "each ID is a regular expression; all containers whose name it matches are removed"),
		},
		run: func(c *command, args []string) (int, error) {
			rt, err := c.runtime()
			if err != nil {
				return exitError, err
			}
			return exitOK, c.each(args, regex, func(id string) error { return rt.Delete(id, force) })
		},
	}
}
