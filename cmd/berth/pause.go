package main

func pauseVerb() *verb {
	return &verb{
		args: "ID", min: 1, max: 1, anyOrder: true, ids: true,
		summary: "stop all processes of a container where they are",
		about:   `They keep their memory and their place and do nothing until "berth resume".`,
		run: func(c *command, args []string) (int, error) {
			rt, err := c.runtime()
			if err != nil {
				return exitError, err
			}
			return exitOK, rt.Pause(args[0])
		},
	}
}
