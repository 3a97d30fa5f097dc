package main

func startVerb() *verb {
	return &verb{
		args: "ID", min: 1, max: 1, anyOrder: true, ids: true,
		summary: "run the program of a container that was created",
		about: `Where a service manager waits at $NOTIFY_SOCKET, it returns once the program has said that it is ready, and has told
the manager so; else as soon as the program runs.`,
		examples: []example{{"berth start mybox", "let the container that \"berth create\" made go on"}},
		run: func(c *command, args []string) (int, error) {
			rt, err := c.runtime()
			if err != nil {
				return exitError, err
			}
			return exitOK, rt.Start(args[0])
		},
	}
}
