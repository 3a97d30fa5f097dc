package main

func resumeVerb() *verb {
	return &verb{
		args: "ID", min: 1, max: 1, anyOrder: true, ids: true,
		summary: "let a paused container go on",
		about:   ``,
		run: func(c *command, args []string) (int, error) {
			rt, err := c.runtime()
			if err != nil {
				return exitError, err
			}
			return exitOK, rt.Resume(args[0])
		},
	}
}
