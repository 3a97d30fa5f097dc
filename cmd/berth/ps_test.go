package main

import (
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// hostileProcess has a command line that steers terminals, forges lines and is long.
func hostileProcess(t *testing.T) int {
	t.Helper()
	cmd := exec.Command("sleep", "60")
	if cmd.Err != nil {
		t.Skipf("needs the program sleep: %v", cmd.Err)
	}
	cmd.Args = append([]string{"\x1b[2J\x1b]0;x\a\nroot 1 0 0 00:00 ? 00:00:00 init"}, strings.Split(strings.Repeat("60 ", 20_000)+"60", " ")...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return cmd.Process.Pid
}

// Both tables, our own and that of the machine's ps, have one line for the process, and nothing in it steers a terminal.
func TestProcessesNeitherForgeLinesNorSteerTheTerminal(t *testing.T) {
	pid := hostileProcess(t)
	column := strconv.Itoa(pid)
	check := func(what, table string) {
		t.Helper()
		lines := strings.Split(strings.TrimSuffix(table, "\n"), "\n")
		if len(lines) != 2 || !strings.Contains(lines[1], column) || strings.ContainsAny(table, "\x1b\a") {
			t.Errorf("%s: %.500q", what, table)
		}
	}
	var own strings.Builder
	for range 200 { // until its execve is done
		own.Reset()
		if err := writeTable(&own, processTable([]int{pid})); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(own.String(), "init") {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	check("our own table", own.String())
	if len(own.String()) < mostOfCommand || len(own.String()) > 3*mostOfCommand {
		t.Errorf("the table has %d bytes", len(own.String()))
	}
	ps := findProgram("ps", searchPath())
	if ps == "" {
		t.Skip("needs the program ps (procps)")
	}
	var filtered strings.Builder
	table, err := output(ps, []string{"-ef"})
	if err == nil {
		err = filterTable(&filtered, table, []int{pid})
	}
	if err != nil {
		t.Fatal(err)
	}
	check("ps's table", filtered.String())
}
