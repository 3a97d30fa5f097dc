package main

import (
	"encoding/json"
	"os"
	"strconv"
	"time"

	"github.com/berth-oci/berth/runtime/container"
)

func listVerb() *verb {
	format, quiet := "table", false
	return &verb{
		summary: "list the containers",
		about:   `All containers under --root are listed, whoever made them.`,
		examples: []example{
			{"berth list", "a table"},
			{"berth list --format json", "for programs: an array, one object for each"},
			{"berth list -q", "only the names"},
		},
		anyOrder: true,
		flags: []flag{
			choice(&format, "format", 'f', "how to print; default is table", "table", "json"),
			toggle(&quiet, "quiet", 'q', "print only the names"),
		},
		run: func(c *command, _ []string) (int, error) {
			rt, err := c.runtime()
			if err != nil {
				return exitError, err
			}
			states, err := rt.List()
			if err != nil {
				return exitError, err
			}
			return exitOK, printList(states, format, quiet)
		},
	}
}

func printList(states []container.State, format string, quiet bool) error {
	if quiet {
		return writeTable(os.Stdout, columnOf(states, func(s container.State) []string { return []string{s.ID} }))
	}
	if format == "json" {
		if states == nil {
			states = []container.State{} // an empty array, not null
		}
		return json.NewEncoder(os.Stdout).Encode(states)
	}
	rows := [][]string{{"ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"}}
	return writeTable(os.Stdout, append(rows, columnOf(states, func(s container.State) []string {
		return []string{s.ID, strconv.Itoa(s.Pid), s.Status, s.Bundle, s.Created.Format(time.RFC3339Nano), s.Owner}
	})...))
}

func columnOf(states []container.State, cells func(container.State) []string) [][]string {
	rows := make([][]string, 0, len(states))
	for _, s := range states {
		rows = append(rows, cells(s))
	}
	return rows
}
