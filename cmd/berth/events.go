package main

import (
	"encoding/json"
	"errors"
	"os"
	"time"

	"github.com/berth-oci/berth/runtime/container"
)

func eventsVerb() *verb {
	interval, once := 5*time.Second, false
	return &verb{
		args: "ID", min: 1, max: 1, anyOrder: true, ids: true,
		summary: "print what a container uses, again and again",
		about: `Each sample is one line of JSON with the fields type, id and data. A line of type "oom" tells that the kernel killed
a process of the container for want of memory. It ends when the container does.`,
		examples: []example{
			{"berth events --stats mybox", "one sample"},
			{"berth events --interval 1s mybox", "one each second"},
		},
		flags: []flag{
			{long: "interval", value: "TIME", help: "the time between samples, as 500ms or 1m; default is 5s", set: func(v string) error {
				d, err := time.ParseDuration(v)
				if err != nil || d <= 0 {
					return errors.New("no time: write a number and a unit, as 500ms, 5s or 1m")
				}
				interval = d
				return nil
			}},
			toggle(&once, "stats", 0, "print one sample and exit"),
		},
		run: func(c *command, args []string) (int, error) {
			rt, err := c.runtime()
			if err != nil {
				return exitError, err
			}
			return exitOK, watch(rt, args[0], interval, once)
		},
	}
}

// event is one line, of runc's shape.
type event struct {
	Type string `json:"type"`
	ID   string `json:"id"`
	Data any    `json:"data,omitempty"`
}

// watch prints samples, and a line of type "oom" whenever the out-of-memory killer was at work, until the container has
// ended, which is no error once there was one.
func watch(rt *container.Runtime, id string, interval time.Duration, once bool) error {
	out := json.NewEncoder(os.Stdout)
	kills := make(chan uint64, 16)
	if !once {
		stop := make(chan struct{})
		defer close(stop)
		go func() { _ = rt.OOM(id, stop, func(n uint64) { kills <- n }) }() // its failure is that of the samples too
	}
	for first := true; ; first = false {
		stats, err := rt.Stats(id)
		ended := errors.Is(err, container.ErrNotRunning) || errors.Is(err, container.ErrNotExist)
		if ended && !first {
			return lastKills(out, id, kills)
		}
		if err != nil {
			return err
		}
		if err := out.Encode(event{"stats", id, stats}); err != nil || once {
			return err
		}
		if err := waitForKills(out, id, kills, interval); err != nil {
			return err
		}
	}
}

// waitForKills prints notices for the given time.
func waitForKills(out *json.Encoder, id string, kills <-chan uint64, interval time.Duration) error {
	next := time.After(interval)
	for {
		select {
		case <-kills:
			if err := out.Encode(event{Type: "oom", ID: id}); err != nil {
				return err
			}
		case <-next:
			return nil
		}
	}
}

// lastKills prints the notice of a kill that ended the container.
func lastKills(out *json.Encoder, id string, kills <-chan uint64) error {
	select {
	case <-kills:
		return out.Encode(event{Type: "oom", ID: id})
	case <-time.After(100 * time.Millisecond):
		return nil
	}
}
