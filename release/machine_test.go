package release

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/berth-oci/berth/conformance/vm"
)

// frail is a guest whose kernel panics as often as the counter says.
type frail struct{ panics, boots, closed *int }

func (f frail) Run(_ context.Context, job vm.Job) (vm.Result, error) {
	if *f.panics > 0 {
		*f.panics--
		return vm.Result{}, errors.New("the machine ended: Kernel panic - not syncing: of its own")
	}
	_, err := io.WriteString(job.Stdout, "heard")
	return vm.Result{}, err
}

func (f frail) Close() error { *f.closed++; return nil }

func TestTrialBeginsAgainWhereTheMachineBreaksDown(t *testing.T) {
	for panics, heard := range []bool{true, true, true, false} {
		var boots, closed int
		left := panics
		f := frail{&left, &boots, &closed}
		c := &machineCourt{boot: func(context.Context) (guest, error) { boots++; return f, nil }, guest: f, follow: func(string) {}}
		text, err := c.hear(t.Context(), "run")
		if got := err == nil && string(text) == "heard"; got != heard {
			t.Errorf("after %d panics it heard %q, %v", panics, text, err)
		}
		if want := min(panics, attempts-1); boots != want || closed != want {
			t.Errorf("after %d panics it booted %d and closed %d machines, want %d", panics, boots, closed, want)
		}
	}
}
