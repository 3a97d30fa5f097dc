package main

import "errors"

func killVerb() *verb {
	var all, regex bool
	return &verb{
		args: "ID [SIGNAL]", min: 1, max: 2, anyOrder: true, ids: true,
		summary: "send a signal to a container",
		about: `The signal goes to the container's first process and is TERM where none is named. It is written as a name, with or
without SIG, or as a number.`,
		examples: []example{
			{"berth kill mybox", "ask it to end"},
			{"berth kill mybox KILL", "end it"},
			{"berth kill --regex '^web-[0-9]+$' HUP", "tell several to read their configuration again"},
		},
		flags: []flag{
			toggle(&all, "all", 'a', "send it to every process in the container"),
			toggle(&regex, "regex", 'r', "ID is a regular expression; all containers whose name it matches get the signal"),
		},
		run: func(c *command, args []string) (int, error) {
			signal := 15
			if len(args) == 2 {
				var err error
				if signal, err = parseSignal(args[1]); err != nil {
					return exitError, err
				}
			}
			return exitOK, c.each(args[:1], regex, func(id string) error {
				rt, err := c.runtime()
				if err != nil {
					return err
				}
				return rt.Kill(id, signal, all)
			})
		},
	}
}

// each does something with every container that the arguments name, and does not stop at the first that fails.
func (c *command) each(args []string, regex bool, do func(id string) error) error {
	ids := args
	if regex {
		var err error
		if ids, err = c.matching(args); err != nil {
			return err
		}
	}
	var failed error
	for _, id := range ids {
		failed = errors.Join(failed, do(id))
	}
	return failed
}

// matching lists the containers whose name one of the regular expressions matches.
func (c *command) matching(patterns []string) ([]string, error) {
	rt, err := c.runtime()
	if err != nil {
		return nil, err
	}
	states, err := rt.List()
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, pattern := range patterns {
		p, err := compilePattern(pattern)
		if err != nil {
			return nil, err
		}
		for _, s := range states {
			if p.Match(s.ID) {
				ids = append(ids, s.ID)
			}
		}
	}
	return ids, nil
}
