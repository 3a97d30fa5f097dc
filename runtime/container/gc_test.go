package container

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-oci/berth/runtime/internal/store"
)

// collected runs gc and returns what it reported, without the ids' common prefix.
func collected(t *testing.T, r *Runtime, dryRun bool) []string {
	t.Helper()
	var lines []string
	if err := r.GC(dryRun, func(g Garbage) { lines = append(lines, filepath.Base(g.Path)+": "+g.Why) }); err != nil {
		t.Fatalf("gc: %v", err)
	}
	return lines
}

// sleeper is a bundle whose program sleeps, in a cgroup named after the container.
func sleeper(t *testing.T) string { return bundle(t, nil, "sleep") }

// kept is a runtime whose warnings are kept.
func kept(t *testing.T) (*Runtime, *[]string) {
	r := runtimeFor(t)
	var warnings []string
	r.Warn = func(m string) { warnings = append(warnings, m) }
	return r, &warnings
}

func TestGCTakesTheDeadAndLeavesTheLiving(t *testing.T) {
	asRoot(t)
	r, warnings := kept(t)
	ids := []string{}
	for _, name := range []string{"created", "running", "paused", "dead"} {
		id := name + "-" + unique(t)
		ids = append(ids, id)
		if err := r.Create(id, CreateOptions{Bundle: sleeper(t)}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Delete(id, true) })
		if name == "created" {
			continue
		}
		if err := r.Start(id); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Pause(ids[2]); err != nil {
		t.Fatal(err)
	}
	dead := ids[3]
	kill9(t, r, dead)
	before := statuses(t, r, ids)
	want := []string{dead + ": its process has ended"}
	if got := collected(t, r, true); !slices.Equal(got, want) {
		t.Errorf("a dry run reports %q, want %q", got, want)
	}
	if got := statuses(t, r, ids); !slices.Equal(got, before) {
		t.Errorf("a dry run changed %q to %q", before, got)
	}
	if got := collected(t, r, false); !slices.Equal(got, want) {
		t.Errorf("gc reports %q, want %q", got, want)
	}
	before[3] = "gone"
	if got := statuses(t, r, ids); !slices.Equal(got, before) {
		t.Errorf("after gc: %q, want %q", got, before)
	}
	if got := collected(t, r, false); got != nil || len(*warnings) > 0 {
		t.Errorf("a second gc reports %q and warns of %q", got, *warnings)
	}
	for _, id := range ids[:3] {
		if err := r.Delete(id, true); err != nil {
			t.Error(err)
		}
	}
}

// kill9 ends a container's process and waits until it has ended.
func kill9(t *testing.T, r *Runtime, id string) {
	t.Helper()
	_, s, done, err := r.load(id)
	if err != nil {
		t.Fatal(err)
	}
	done()
	if err := end(s.Init); err != nil {
		t.Fatal(err)
	}
	reap()
}

func statuses(t *testing.T, r *Runtime, ids []string) []string {
	t.Helper()
	var all []string
	for _, id := range ids {
		s, err := r.State(id)
		switch {
		case err == nil:
			all = append(all, s.Status)
		case strings.Contains(err.Error(), ErrNotExist.Error()):
			all = append(all, "gone")
		default:
			t.Fatal(err)
		}
	}
	return all
}

// half is an entry as a create leaves it that was killed: journal and cgroup, no state.
func half(t *testing.T, r *Runtime, id string) (entry *store.Entry, dir string) {
	t.Helper()
	c := &creation{Runtime: r, id: id, options: CreateOptions{Bundle: sleeper(t)}, listener: -1, group: -1}
	var err error
	if c.decision, err = r.decide(id, c.options, false); err != nil {
		t.Fatal(err)
	}
	if err := c.claim(); err != nil {
		t.Fatal(err)
	}
	undos, err := c.undos()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.entry.Record(undos...); err != nil {
		t.Fatal(err)
	}
	if err := c.layout.Make(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.entry.Close()
		c.store.Close()
		for _, d := range c.layout.Dirs {
			syscall.Rmdir(d.Path)
		}
	})
	return c.entry, c.layout.Dirs[0].Path
}

func TestGCFinishesInterruptedCreatesAndDeletes(t *testing.T) {
	asRoot(t)
	r, _ := kept(t)
	id := unique(t)
	entry, dir := half(t, r, id)
	if got := collected(t, r, false); got != nil {
		t.Errorf("gc reports %q while the create goes on", got)
	}
	entry.Unlock() // as the end of its process does
	leftover := filepath.Join(r.Root, "~1")
	if err := os.MkdirAll(filepath.Join(leftover, "deep"), 0o700); err != nil {
		t.Fatal(err)
	}
	want := []string{id + ": its create was interrupted", "~1: its delete was interrupted"}
	for _, dryRun := range []bool{true, false} {
		if got := collected(t, r, dryRun); !slices.Equal(got, want) {
			t.Errorf("gc (dry run %v) reports %q, want %q", dryRun, got, want)
		}
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the cgroup %s is left: %v", dir, err)
	}
	if left, err := os.ReadDir(r.Root); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// TestForcedDeleteFinishesAnEarlierOne: one that was killed when the id was free already had folders left to remove.
func TestForcedDeleteFinishesAnEarlierOne(t *testing.T) {
	r := runtimeFor(t)
	if err := os.MkdirAll(filepath.Join(r.Root, "~1", "deep"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := r.Delete(unique(t), true); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(r.Root); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// TestGCLeavesWhatARebootGaveToOthers makes a cgroup of the name that an earlier boot's container had: it is somebody else's.
func TestGCLeavesWhatARebootGaveToOthers(t *testing.T) {
	asRoot(t)
	r, _ := kept(t)
	id := unique(t)
	entry, dir := half(t, r, id)
	if err := entry.Save(store.State{Init: store.Process{Pid: 1, Start: 1, Boot: "earlier"}}); err != nil {
		t.Fatal(err)
	}
	earlier(t, entry)
	for _, name := range []string{"trusted.berth", "user.berth"} {
		syscall.Removexattr(dir, name)
	}
	entry.Unlock()
	if got, want := collected(t, r, false), []string{id + ": it is of an earlier boot"}; !slices.Equal(got, want) {
		t.Errorf("gc reports %q, want %q", got, want)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Errorf("somebody's cgroup is gone: %v", err)
	}
}

// earlier makes the journal one of an earlier boot.
func earlier(t *testing.T, entry *store.Entry) {
	t.Helper()
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(entry.Dir(), "journal")
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.ReplaceAll(string(text), strings.TrimSpace(string(boot)), "earlier")
	if changed == string(text) {
		t.Fatal("the journal does not say which boot it is of")
	}
	if err := os.WriteFile(name, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestGCWarnsOfWhatItCannotJudge(t *testing.T) {
	asRoot(t)
	r, warnings := kept(t)
	broken, orphaned := "broken-"+unique(t), "orphaned-"+unique(t)
	entry, _ := half(t, r, broken)
	if err := os.WriteFile(filepath.Join(entry.Dir(), "state"), []byte("no state"), 0o600); err != nil {
		t.Fatal(err)
	}
	entry.Unlock()
	// A container without a PID namespace, whose first process has ended before another.
	dir := bundle(t, func(c *specs.Spec) {
		c.Linux.Namespaces = slices.DeleteFunc(c.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == specs.PIDNamespace })
	}, "sleep")
	if err := r.Create(orphaned, CreateOptions{Bundle: dir}); err != nil {
		t.Fatal(err)
	}
	if err := r.Start(orphaned); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Exec(orphaned, ExecOptions{Args: []string{"/probe", "sleep"}, Detach: true}); err != nil {
		t.Fatal(err)
	}
	kill9(t, r, orphaned)
	if got := collected(t, r, false); got != nil {
		t.Errorf("gc reports %q", got)
	}
	if len(*warnings) != 2 || !strings.Contains((*warnings)[0], broken) || !strings.Contains((*warnings)[1], "1 more run") {
		t.Errorf("gc warns of %q", *warnings)
	}
	for _, id := range []string{broken, orphaned} {
		if err := r.Delete(id, true); err != nil {
			t.Error(err)
		}
	}
	reap()
}

// TestDeleteLeavesAnotherBootsCgroup is the same for delete: an empty group without a mark would pass for the container's.
func TestDeleteLeavesAnotherBootsCgroup(t *testing.T) {
	asRoot(t)
	r := runtimeFor(t)
	entry, dir := half(t, r, unique(t))
	earlier(t, entry)
	entry.Unlock()
	if err := r.Delete(entry.ID(), true); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Errorf("somebody's cgroup is gone: %v", err)
	}
}

// TestCreateClaimsAgainWhatWasTakenForGarbage lets a gc go on while containers are made: neither may hurt the other.
func TestCreateClaimsAgainWhatWasTakenForGarbage(t *testing.T) {
	asRoot(t)
	r := runtimeFor(t)
	dir := sleeper(t)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				if err := r.GC(false, func(Garbage) {}); err != nil {
					t.Errorf("gc: %v", err)
				}
			}
		}
	}()
	for range 20 {
		id := unique(t)
		if err := r.Create(id, CreateOptions{Bundle: dir}); err != nil {
			t.Errorf("create: %v", err)
			continue
		}
		if s, err := r.State(id); err != nil || s.Status != Created {
			t.Errorf("state: %v, %v", s.Status, err)
		}
		if err := r.Delete(id, true); err != nil {
			t.Errorf("delete: %v", err)
		}
		reap()
	}
	close(stop)
	<-stopped
}
