package container

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/berth-oci/berth/runtime/internal/cgroup"
	"github.com/berth-oci/berth/runtime/internal/store"
)

// Detail says how much a [Sample] has. The less, the faster: a machine has hundreds of containers, a full sample of one
// reads some forty files, and the kernel takes microseconds to open each.
type Detail = cgroup.Detail

// The details, each with all of the one before.
const (
	Times = cgroup.Times // processor time: what the next sample is compared with
	Brief = cgroup.Brief // what a table shows: memory with its limit, pids, bytes read and written, pressures
	Full  = cgroup.Full  // everything that [Stats] has
)

// Sample is what one container used at one moment.
type Sample struct {
	ID         string
	Time       time.Time
	CPUPercent float64 // of one CPU since the sample before; 0 in the first
	QoS        string  // Guaranteed, Burstable or BestEffort after Kubernetes' rules, from the limits in force; not in Times
	Stats      Stats
}

// Meter reads the counters of many containers again and again. Where a container's cgroup is, and whose, is found out once,
// for as long as its process lives.
type Meter struct {
	runtime *Runtime
	ids     []string // empty: all that run
	known   map[string]*metered
}

// metered is a container as the sample before found it.
type metered struct {
	init   store.Process
	group  *cgroup.Group
	time   time.Time // of the last sample
	used   uint64    // processor time at that moment, in nanoseconds
	failed bool      // and was warned of
}

// Meter is a meter for the containers, or without any for all that run at the time of each sample.
func (r *Runtime) Meter(ids ...string) *Meter {
	return &Meter{runtime: r, ids: ids, known: map[string]*metered{}}
}

// Named says whether the meter is for certain containers, and not for all.
func (m *Meter) Named() bool { return len(m.ids) > 0 }

// Sample reads all containers, those of different ones side by side, and returns them in the order of their ids. One that
// has ended is left out. One that was asked for by its name and never ran is an error ([ErrNotRunning], [ErrNotExist]);
// among all that run, one that cannot be read is reported through Warn, once.
func (m *Meter) Sample(detail Detail) ([]Sample, error) {
	st, err := store.Open(m.runtime.Root)
	if err != nil {
		return nil, err
	}
	defer st.Close()
	ids := m.ids
	if len(ids) == 0 {
		if ids, err = st.List(); err != nil {
			return nil, err
		}
	}
	found, samples, errs := make([]*metered, len(ids)), make([]Sample, len(ids)), make([]error, len(ids))
	for i, id := range ids {
		if found[i] = m.known[id]; found[i] == nil {
			found[i] = &metered{}
		}
	}
	sideBySide(len(ids), func(i int) { samples[i], errs[i] = found[i].sample(st, ids[i], detail) })
	return m.judge(ids, found, samples, errs)
}

// judge keeps the samples that were read, and remembers their containers for the next time.
func (m *Meter) judge(ids []string, found []*metered, samples []Sample, errs []error) ([]Sample, error) {
	known, kept := make(map[string]*metered, len(ids)), samples[:0]
	for i, id := range ids {
		err := errs[i]
		ended := errors.Is(err, ErrNotRunning) || errors.Is(err, ErrNotExist) || errors.Is(err, store.ErrIncomplete)
		switch {
		case err == nil:
			kept = append(kept, samples[i])
		case ended && !m.Named():
			continue
		case ended && m.known[id] != nil: // it ran before, and may again
		case m.Named():
			return nil, err
		case !found[i].failed:
			m.runtime.warn(fmt.Sprintf("cannot read container %q: %v", id, err))
		}
		found[i].failed = err != nil
		known[id] = found[i]
	}
	m.known = known
	return kept, nil
}

// sample reads one container, which may have been met before.
func (c *metered) sample(st *store.Store, id string, detail Detail) (Sample, error) {
	if c.group == nil || alive(c.init, readStatistics) != nil {
		if err := c.find(st, id); err != nil {
			return Sample{}, err
		}
	}
	s := Sample{ID: id, Time: time.Now()}
	var err error
	if s.Stats, err = c.group.Sample(detail); err != nil {
		return s, err
	}
	if detail > Times {
		s.QoS = string(c.group.QoSWith(s.Stats.Memory.Usage.Limit))
	}
	used := s.Stats.CPU.Usage.Total
	if !c.time.IsZero() && used > c.used {
		s.CPUPercent = 100 * float64(used-c.used) / float64(s.Time.Sub(c.time))
	}
	c.time, c.used = s.Time, used
	return s, nil
}

// find looks a container up that must run.
func (c *metered) find(st *store.Store, id string) error {
	e, err := st.Lookup(id)
	if err != nil {
		return err
	}
	defer e.Close()
	s, err := e.Load()
	if err != nil {
		return err
	}
	if err := alive(s.Init, readStatistics); err != nil {
		return err
	}
	*c = metered{init: s.Init, failed: c.failed}
	c.group, err = cgroup.Open(s.Cgroup)
	return err
}

// sideBySide calls do for 0 to n-1, as many at a time as there are processors.
func sideBySide(n int, do func(i int)) {
	var next atomic.Int64
	var all sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	all.Wait()
}
