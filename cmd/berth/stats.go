package main

import (
	"bufio"
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
elsewhere each container's sample is one line of JSON. CPU is in percent of one CPU since the sample before, or, in the
first, over a tenth of a second; pressure is the share of the last ten seconds in which some process waited for CPU,
memory or the disk.`,
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
			terminal := container.IsTerminal(1)
			if format == "" {
				format = map[bool]string{true: "table", false: "json"}[terminal]
			}
			m := rt.Meter(args...)
			return exitOK, show(os.Stdout, m, interval, once, printer(format, terminal && !once))
		},
	}
}

// firstInterval lies between the first sample, which has nothing to be compared with, and the second. It is the kernel's
// default period of processor quotas: over a whole one a throttled container shows what it is allowed.
const firstInterval = 100 * time.Millisecond

// show prints samples until there is nothing left to show.
func show(w io.Writer, m *container.Meter, interval time.Duration, once bool, p samplePrinter) error {
	if _, err := m.Sample(container.Times); err != nil {
		return err
	}
	for pause := min(interval, firstInterval); ; pause = interval {
		time.Sleep(pause)
		samples, err := m.Sample(p.detail)
		if err != nil {
			return err
		}
		if err := p.print(w, samples); err != nil {
			return err
		}
		if once || len(samples) == 0 && m.Named() {
			return nil
		}
	}
}

// samplePrinter is a form of output and what it needs to know.
type samplePrinter struct {
	detail container.Detail
	print  func(w io.Writer, samples []container.Sample) error
}

func printer(format string, live bool) samplePrinter {
	if format == "json" {
		return samplePrinter{container.Full, printLines}
	}
	return samplePrinter{container.Brief, func(w io.Writer, samples []container.Sample) error { return printTable(w, samples, live) }}
}

// usage is one sample of one container, as JSON for programs.
type usage struct {
	Type       string           `json:"type"` // "stats", as events has it
	ID         string           `json:"id"`
	Time       time.Time        `json:"time"`
	CPUPercent float64          `json:"cpuPercent"`
	QoS        string           `json:"qos"`
	Data       *container.Stats `json:"data"`
}

// printLines writes one line of JSON for each container.
func printLines(w io.Writer, samples []container.Sample) error {
	b := bufio.NewWriter(w)
	out := json.NewEncoder(b)
	for i := range samples {
		s := &samples[i]
		if err := out.Encode(usage{"stats", s.ID, s.Time, s.CPUPercent, s.QoS, &s.Stats}); err != nil {
			return err
		}
	}
	return b.Flush()
}

// printTable writes a table, which live on a terminal takes the place of the one before.
func printTable(w io.Writer, samples []container.Sample, live bool) error {
	if live {
		if _, err := io.WriteString(w, "\x1b[H\x1b[J"); err != nil { // to the corner, and clear from there
			return err
		}
	}
	rows := [][]string{{"ID", "CPU %", "MEMORY", "LIMIT", "PIDS", "READ", "WRITTEN", "PRESSURE", "QOS"}}
	for i := range samples {
		rows = append(rows, cells(&samples[i]))
	}
	return writeTable(w, rows)
}

func cells(s *container.Sample) []string {
	limit := "-"
	if l := s.Stats.Memory.Usage.Limit; l != container.Unlimited && l != 0 {
		limit = size(l)
	}
	pids := strconv.FormatUint(s.Stats.Pids.Current, 10)
	if l := s.Stats.Pids.Limit; l > 0 {
		pids += "/" + strconv.FormatUint(l, 10)
	}
	read, written := uint64(0), uint64(0)
	for _, e := range s.Stats.BlockIO.Bytes {
		switch e.Op {
		case "Read":
			read += e.Value
		case "Write":
			written += e.Value
		}
	}
	return []string{s.ID, fmt.Sprintf("%.1f", s.CPUPercent), size(s.Stats.Memory.WorkingSet()), limit, pids, size(read), size(written), pressure(&s.Stats), s.QoS}
}

// pressure is CPU, memory and disk in percent; "-" where the kernel does not tell.
func pressure(s *container.Stats) string {
	if s.CPU.PSI == nil || s.Memory.PSI == nil || s.BlockIO.PSI == nil {
		return "-"
	}
	return fmt.Sprintf("%.0f/%.0f/%.0f", s.CPU.PSI.Some.Avg10, s.Memory.PSI.Some.Avg10, s.BlockIO.PSI.Some.Avg10)
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
