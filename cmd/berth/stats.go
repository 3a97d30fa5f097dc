package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/berth-oci/berth/runtime/container"
)

func statsVerb() *verb {
	interval, once, format := time.Second, false, ""
	return &verb{
		args: "[ID...]", min: 0, max: -1, anyOrder: true, ids: true,
		summary: "show what containers use, live",
		about: `Without an ID it shows all containers that run. On a terminal it is a table that is drawn again with every sample;
elsewhere each container's sample is one line of JSON. CPU is in percent of one CPU since the sample before; pressure is
the share of the last ten seconds in which some process waited for CPU, memory or the disk.`,
		examples: []example{
			{"berth stats", "all containers, each second, until Ctrl-C"},
			{"berth stats --once --format json mybox", "one sample for a program"},
		},
		flags: []flag{
			{long: "interval", value: "TIME", help: "the time between samples, as 500ms or 1m; default is 1s", set: func(v string) error {
				d, err := time.ParseDuration(v)
				if err != nil || d <= 0 {
					return errors.New("no time: write a number and a unit, as 500ms, 5s or 1m")
				}
				interval = d
				return nil
			}},
			toggle(&once, "once", 0, "print one sample and exit"),
			choice(&format, "format", 'f', "how to print; default is table on a terminal, else json", "table", "json"),
		},
		run: func(c *command, args []string) (int, error) {
			rt, err := c.runtime()
			if err != nil {
				return exitError, err
			}
			live := container.IsTerminal(1) && !once
			if format == "" {
				format = map[bool]string{true: "table", false: "json"}[container.IsTerminal(1)]
			}
			m := meter{rt: rt, ids: args, last: map[string]usage{}}
			return exitOK, m.show(os.Stdout, interval, once, format, live)
		},
	}
}

// meter takes samples and compares each with the one before.
type meter struct {
	rt   *container.Runtime
	ids  []string // empty: all that run
	last map[string]usage
}

// usage is one sample of one container, as JSON for programs.
type usage struct {
	Type       string          `json:"type"` // "stats", as events has it
	ID         string          `json:"id"`
	Time       time.Time       `json:"time"`
	CPUPercent float64         `json:"cpuPercent"`
	QoS        string          `json:"qos"`
	Data       container.Stats `json:"data"`
}

// show prints samples until there is nothing left to show. The first sample has nothing to be compared with, so a short
// second one follows it.
func (m *meter) show(w io.Writer, interval time.Duration, once bool, format string, live bool) error {
	if _, err := m.sample(); err != nil {
		return err
	}
	for pause := min(interval, 200*time.Millisecond); ; pause = interval {
		time.Sleep(pause)
		samples, err := m.sample()
		if err != nil {
			return err
		}
		if err := print(w, samples, format, live); err != nil {
			return err
		}
		if once || len(samples) == 0 && len(m.ids) > 0 {
			return nil
		}
	}
}

// sample reads all containers. One that has ended is left out; one that was named and never ran is an error.
func (m *meter) sample() ([]usage, error) {
	ids := m.ids
	if len(ids) == 0 {
		states, err := m.rt.List()
		if err != nil {
			return nil, err
		}
		for _, s := range states {
			if s.Status != "stopped" && s.Status != "creating" {
				ids = append(ids, s.ID)
			}
		}
	}
	var all []usage
	for _, id := range ids {
		u, err := m.one(id)
		_, known := m.last[id]
		gone := errors.Is(err, container.ErrNotRunning) || errors.Is(err, container.ErrNotExist)
		switch {
		case gone && (known || len(m.ids) == 0):
			continue
		case err != nil:
			return nil, err
		}
		all = append(all, u)
	}
	return all, nil
}

func (m *meter) one(id string) (usage, error) {
	u := usage{Type: "stats", ID: id, Time: time.Now()}
	var err error
	if u.Data, err = m.rt.Stats(id); err != nil {
		return u, err
	}
	if u.QoS, err = m.rt.QoS(id); err != nil {
		return u, err
	}
	if before, ok := m.last[id]; ok {
		used := float64(u.Data.CPU.Usage.Total) - float64(before.Data.CPU.Usage.Total)
		u.CPUPercent = 100 * max(used, 0) / float64(u.Time.Sub(before.Time))
	}
	m.last[id] = u
	return u, nil
}

// print writes one round of samples: lines of JSON, or a table, which on a terminal takes the place of the one before.
func print(w io.Writer, samples []usage, format string, live bool) error {
	if format == "json" {
		out := json.NewEncoder(w)
		for _, u := range samples {
			if err := out.Encode(u); err != nil {
				return err
			}
		}
		return nil
	}
	if live {
		if _, err := io.WriteString(w, "\x1b[H\x1b[J"); err != nil { // to the corner, and clear from there
			return err
		}
	}
	rows := [][]string{{"ID", "CPU %", "MEMORY", "LIMIT", "PIDS", "READ", "WRITTEN", "PRESSURE", "QOS"}}
	for _, u := range samples {
		rows = append(rows, u.cells())
	}
	return writeTable(w, rows)
}

func (u usage) cells() []string {
	limit := "-"
	if l := u.Data.Memory.Usage.Limit; l != container.Unlimited && l != 0 {
		limit = size(l)
	}
	pids := strconv.FormatUint(u.Data.Pids.Current, 10)
	if l := u.Data.Pids.Limit; l > 0 {
		pids += "/" + strconv.FormatUint(l, 10)
	}
	read, written := uint64(0), uint64(0)
	for _, e := range u.Data.BlockIO.Bytes {
		switch e.Op {
		case "Read":
			read += e.Value
		case "Write":
			written += e.Value
		}
	}
	return []string{u.ID, fmt.Sprintf("%.1f", u.CPUPercent), size(u.Data.Memory.WorkingSet()), limit, pids, size(read), size(written), u.pressure(), u.QoS}
}

// pressure is CPU, memory and disk in percent; "-" where the kernel does not tell.
func (u usage) pressure() string {
	if u.Data.CPU.PSI == nil || u.Data.Memory.PSI == nil || u.Data.BlockIO.PSI == nil {
		return "-"
	}
	return fmt.Sprintf("%.0f/%.0f/%.0f", u.Data.CPU.PSI.Some.Avg10, u.Data.Memory.PSI.Some.Avg10, u.Data.BlockIO.PSI.Some.Avg10)
}

// size is a number of bytes for people: 12.3M.
func size(n uint64) string {
	if n < 1024 {
		return strconv.FormatUint(n, 10) + "B"
	}
	x, unit := float64(n)/1024, 0
	for x >= 1024 && unit < 4 {
		x, unit = x/1024, unit+1
	}
	return fmt.Sprintf("%.1f%c", x, "KMGTP"[unit])
}
