package container

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/berth-oci/berth/runtime/internal/store"
)

// PlanFormat is how Plan prints.
type PlanFormat string

// The formats of Plan.
const (
	PlanText PlanFormat = "text"
	PlanJSON PlanFormat = "json"
)

// Plan writes what Create would do for the bundle, without doing any of it.
func (r *Runtime) Plan(id string, o CreateOptions, format PlanFormat, w io.Writer) error {
	if err := store.CheckID(id); err != nil {
		return err
	}
	o.ownTerminal = o.ConsoleSocket == "" // nobody has to be there for the terminal
	d, err := r.decide(id, o, false)
	if err != nil {
		return err
	}
	if format == PlanJSON {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(struct {
			Cgroup any `json:"cgroup"`
			Plan   any `json:"plan"`
		}{d.layout, d.plan})
	}
	_, err = fmt.Fprintf(w, "%s%s", d.layout, d.plan)
	return err
}
