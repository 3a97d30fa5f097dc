package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

func updateVerb() *verb {
	r := resources{}
	var file string
	var shares schemata
	return &verb{
		args: "ID", min: 1, max: 1, anyOrder: true, ids: true,
		summary: "change the limits of a container",
		about: `What is not named stays as it is. Sizes are in bytes, or have a unit: 512M is 512 times 2 to the 20th.

With --resources all limits come from a JSON file in the form of config.json's linux.resources, and the other options
are not looked at.`,
		examples: []example{
			{"berth update --memory 512M --pids-limit 100 mybox", "half a gibibyte, a hundred processes"},
			{"echo '{\"cpu\":{\"shares\":512}}' | berth update --resources - mybox", "from standard input"},
		},
		flags: append(append(r.flags(), shares.flags()...), path(&file, "resources", 'r', "FILE", "file", "take the limits from a JSON file, or from standard input where FILE is -")),
		run: func(c *command, args []string) (int, error) {
			if file != "" {
				shares = nil
			}
			data, err := r.read(file, len(shares) > 0)
			if err != nil {
				return exitError, err
			}
			rt, err := c.runtime()
			if err != nil {
				return exitError, err
			}
			return exitOK, rt.Update(args[0], data, shares...)
		},
	}
}

// resources collects the fields of linux.resources: group, then field, then value.
type resources map[string]map[string]any

// schemata are lines for the container's class of service.
type schemata []string

func (s *schemata) flags() []flag {
	line := func(long, begins, help string) flag {
		return flag{long: long, value: "SCHEMA", help: help, set: func(v string) error {
			if !strings.HasPrefix(v, begins) {
				return fmt.Errorf("no line that begins with %s", begins)
			}
			*s = append(*s, v)
			return nil
		}}
	}
	return []flag{
		line("l3-cache-schema", "L3", "its share of the L3 cache, as L3:0=7f0;1=1f, where the config gives it a class of service"),
		line("mem-bw-schema", "MB:", "its share of memory bandwidth, as MB:0=20;1=70, where the config gives it a class of service"),
	}
}

// read is the JSON of the limits: that of the file where there is one. With something else to change there need be none.
func (r resources) read(file string, more bool) ([]byte, error) {
	if file != "" {
		return readInput(file, maxProcess)
	}
	if len(r) == 0 && !more {
		return nil, withHelp(errors.New("update needs a limit to change"), "berth update --help")
	}
	return json.Marshal(r)
}

func (r resources) put(group, field string, value any) {
	if r[group] == nil {
		r[group] = map[string]any{}
	}
	r[group][field] = value
}

func (r resources) flags() []flag {
	const positive, any = 0, math.MinInt64
	return []flag{
		r.size("memory", "memory", "limit", "the most memory"),
		r.size("memory-reservation", "memory", "reservation", "the memory it keeps when memory is short"),
		r.size("memory-swap", "memory", "swap", "the most memory and swap together; -1 is no limit"),
		r.number("pids-limit", "pids", "limit", any, math.MaxInt64, "the most processes; -1 is no limit"),
		r.number("cpu-share", "cpu", "shares", positive, math.MaxInt64, "weight against other containers; 1024 is usual"),
		r.number("cpu-quota", "cpu", "quota", any, math.MaxInt64, "the most processor time in each period, in microseconds; -1 is no limit"),
		r.number("cpu-period", "cpu", "period", positive, math.MaxInt64, "the length of a period, in microseconds"),
		r.number("cpu-burst", "cpu", "burst", positive, math.MaxInt64, "unused quota that may be saved up, in microseconds"),
		r.number("cpu-rt-runtime", "cpu", "realtimeRuntime", any, math.MaxInt64, "realtime scheduling: the most time in each period, in microseconds"),
		r.number("cpu-rt-period", "cpu", "realtimePeriod", positive, math.MaxInt64, "realtime scheduling: the length of a period, in microseconds"),
		r.number("cpu-idle", "cpu", "idle", 0, 1, "1 runs it only where nothing else wants the processor, 0 ends that"),
		r.set("cpuset-cpus", "cpu", "cpus", "processors it may use, as 0-3,6"),
		r.set("cpuset-mems", "cpu", "mems", "memory nodes it may use, as 0-1"),
		r.number("blkio-weight", "blockIO", "weight", 0, 1000, "weight of its input and output, from 10 to 1000; 0 is the default"),
		ignored("kernel-memory", "SIZE"), // without effect in runc too: the kernel dropped these limits in 5.4 and 6.1
		ignored("kernel-memory-tcp", "SIZE"),
	}
}

func (r resources) number(long, group, field string, least, most int64, help string) flag {
	return flag{long: long, value: "N", help: help, set: func(v string) error {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			return errors.New("no number")
		}
		if n < least || n > most {
			return fmt.Errorf("not between %d and %d", least, most)
		}
		r.put(group, field, n)
		return nil
	}}
}

func (r resources) size(long, group, field, help string) flag {
	return flag{long: long, value: "SIZE", help: help, set: func(v string) error {
		n, err := parseSize(v)
		if err != nil {
			return err
		}
		r.put(group, field, n)
		return nil
	}}
}

func (r resources) set(long, group, field, help string) flag {
	return flag{long: long, value: "LIST", help: help, set: func(v string) error { r.put(group, field, v); return nil }}
}

// parseSize reads bytes: a number, then K, M, G, T or P for powers of 1024, with or without iB or B; -1 is no limit.
func parseSize(s string) (int64, error) {
	if s == "-1" {
		return -1, nil
	}
	wrong := errors.New("no size: write a number of bytes, or one with a unit, as 512M")
	digits := strings.TrimRight(s, "bBiIkKmMgGtTpP")
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 {
		return 0, wrong
	}
	unit := strings.ToLower(s[len(digits):])
	if unit == "" || unit == "b" {
		return n, nil
	}
	power := strings.IndexByte("kmgtp", unit[0]) + 1
	if rest := unit[1:]; power == 0 || rest != "" && rest != "b" && rest != "ib" {
		return 0, wrong
	}
	if n > math.MaxInt64>>(10*power) {
		return 0, errors.New("larger than any memory")
	}
	return n << (10 * power), nil
}
