package container

import (
	"errors"
	"os"
	"slices"
	"testing"
)

func TestMeterFollowsAContainerThroughItsLives(t *testing.T) {
	asRoot(t)
	r, id, dir := runtimeFor(t), unique(t), bundle(t, nil, "sleep")
	live := func() {
		t.Helper()
		if err := r.Create(id, CreateOptions{Bundle: dir}); err != nil {
			t.Fatal(err)
		}
	}
	ids := func(m *Meter, d Detail) (ids []string) {
		t.Helper()
		samples, err := m.Sample(d)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range samples {
			ids = append(ids, s.ID)
			if d > Times && (s.QoS != "BestEffort" || s.Stats.CPU.Usage.Total == 0) {
				t.Errorf("class %q, processor time %d", s.QoS, s.Stats.CPU.Usage.Total)
			}
		}
		return ids
	}
	live()
	named, all := r.Meter(id), r.Meter()
	for _, detail := range []Detail{Times, Brief, Full} {
		for _, m := range []*Meter{named, all} {
			if got := ids(m, detail); !slices.Equal(got, []string{id}) {
				t.Errorf("sampled %v in detail %d", got, detail)
			}
		}
	}
	if err := r.Delete(id, true); err != nil {
		t.Fatal(err)
	}
	if got := append(ids(named, Brief), ids(all, Brief)...); len(got) != 0 {
		t.Errorf("sampled %v, which is deleted", got)
	}
	live()
	if got := append(ids(named, Brief), ids(all, Brief)...); !slices.Equal(got, []string{id, id}) {
		t.Errorf("sampled %v after it was made again", got)
	}
	if err := r.Delete(id, true); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Meter(id).Sample(Brief); !errors.Is(err, ErrNotExist) {
		t.Errorf("a meter for a container that never was: %v", err)
	}
}

func TestMeterOfAllReportsWhatItCannotReadOnce(t *testing.T) {
	asRoot(t)
	r, id := runtimeFor(t), unique(t)
	if err := r.Create(id, CreateOptions{Bundle: bundle(t, nil, "sleep")}); err != nil {
		t.Fatal(err)
	}
	warned := 0
	r.Warn = func(string) { warned++ }
	broken := r.Root + "/broken"
	if err := os.Mkdir(broken, 0o700); err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(broken)
	if err := os.WriteFile(broken+"/state", []byte("no state"), 0o600); err != nil {
		t.Fatal(err)
	}
	m := r.Meter()
	for range 3 {
		if samples, err := m.Sample(Brief); err != nil || len(samples) != 1 {
			t.Errorf("%d samples, %v", len(samples), err)
		}
	}
	if warned != 1 {
		t.Errorf("%d warnings", warned)
	}
	if _, err := r.Meter("broken").Sample(Brief); err == nil {
		t.Error("a broken container that was asked for is no error")
	}
	if err := r.Delete(id, true); err != nil {
		t.Fatal(err)
	}
}
