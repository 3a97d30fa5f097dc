package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
)

func psVerb() *verb {
	format := "table"
	return &verb{
		args: "ID [PS-OPTION...]", min: 1, max: -1, ids: true,
		summary: "list the processes of a container",
		about: `The numbers are those outside the container. The table is that of the machine's own ps program, which gets the
PS-OPTIONs, or -ef without any; it must have a column PID. Where there is no ps, berth prints a table itself.`,
		examples: []example{
			{"berth ps mybox", "a table"},
			{"berth ps mybox -o pid,rss,args", "the columns you choose"},
			{"berth ps --format json mybox", "for programs: an array of numbers"},
		},
		flags: []flag{choice(&format, "format", 'f', "how to print; default is table", "table", "json")},
		run: func(c *command, args []string) (int, error) {
			rt, err := c.runtime()
			if err != nil {
				return exitError, err
			}
			pids, err := rt.Processes(args[0])
			if err != nil {
				return exitError, err
			}
			if format == "json" {
				return exitOK, json.NewEncoder(os.Stdout).Encode(append([]int{}, pids...))
			}
			return exitOK, printProcesses(os.Stdout, pids, args[1:])
		},
	}
}

// printProcesses prints the lines of ps that belong to the pids.
func printProcesses(w io.Writer, pids []int, options []string) error {
	ps := findProgram("ps", searchPath())
	switch {
	case ps == "" && len(options) > 0:
		return errors.New("cannot pass options to ps: there is no ps in $PATH")
	case ps == "":
		return writeTable(w, processTable(pids))
	case len(options) == 0:
		options = []string{"-ef"}
	}
	table, err := output(ps, options)
	if err != nil {
		return err
	}
	return filterTable(w, table, pids)
}

// output runs a program and returns what it prints.
func output(program string, args []string) ([]byte, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	process, err := os.StartProcess(program, append([]string{program}, args...), &os.ProcAttr{Files: []*os.File{nil, w, os.Stderr}})
	w.Close()
	if err != nil {
		return nil, fmt.Errorf("cannot run %s: %w", program, err)
	}
	data, readErr := io.ReadAll(r)
	state, err := process.Wait()
	if err == nil && !state.Success() {
		err = errors.New(state.String())
	}
	if err = errors.Join(err, readErr); err != nil {
		return nil, fmt.Errorf("cannot run %s: %w", program, err)
	}
	return data, nil
}

// filterTable copies the heading and the lines whose PID is one of pids. A command's name may hold anything, so lines are made
// printable.
func filterTable(w io.Writer, table []byte, pids []int) error {
	heading, lines, _ := bytes.Cut(table, []byte("\n"))
	column := slices.Index(strings.Fields(string(heading)), "PID")
	if column < 0 {
		return errors.New("cannot pick the container's processes: the output of ps has no column PID")
	}
	wanted := make(map[int]bool, len(pids)) // there may be as many of them as lines
	for _, pid := range pids {
		wanted[pid] = true
	}
	var b strings.Builder
	b.WriteString(printable(string(heading)) + "\n")
	for line := range bytes.Lines(lines) {
		fields := bytes.Fields(line)
		if len(fields) <= column {
			continue
		}
		pid, err := strconv.Atoi(string(fields[column]))
		if err == nil && wanted[pid] {
			b.WriteString(printable(strings.TrimSuffix(string(line), "\n")) + "\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// processTable is a small table of our own. A process that ends meanwhile is left out.
func processTable(pids []int) [][]string {
	rows := [][]string{{"PID", "PPID", "UID", "STATE", "COMMAND"}}
	for _, pid := range pids {
		dir := "/proc/" + strconv.Itoa(pid)
		status, err := os.ReadFile(dir + "/status")
		if err != nil {
			continue
		}
		field := statusFields(string(status))
		rows = append(rows, []string{strconv.Itoa(pid), field("PPid"), field("Uid"), field("State"), commandLine(dir, field("Name"))})
	}
	return rows
}

// statusFields returns a look-up of the first word behind a field's name (proc_pid_status(5)).
func statusFields(status string) func(name string) string {
	return func(name string) string {
		for line := range strings.Lines(status) {
			if rest, ok := strings.CutPrefix(line, name+":"); ok {
				word, _, _ := strings.Cut(strings.TrimSpace(rest), "\t")
				word, _, _ = strings.Cut(word, " ")
				return word
			}
		}
		return "?"
	}
}

// mostOfCommand is how many bytes of a command line are shown. Its length is the process's own choice (prctl(2), PR_SET_MM_ARG_END).
const mostOfCommand = 4096

// commandLine is the command with its arguments, or its name in brackets where it shows none.
func commandLine(dir, name string) string {
	var data []byte
	if f, err := os.Open(dir + "/cmdline"); err == nil {
		data, _ = io.ReadAll(io.LimitReader(f, mostOfCommand))
		f.Close()
	}
	if len(data) == 0 {
		return "[" + name + "]"
	}
	return strings.ReplaceAll(strings.TrimRight(string(data), "\x00"), "\x00", " ")
}
