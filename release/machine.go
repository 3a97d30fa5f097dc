package release

import (
	"context"

	"github.com/berth-oci/berth/conformance"
)

// tryInMachine tries a binary of another architecture.
func (r *work) tryInMachine(ctx context.Context, judge string, bin Binary) (conformance.Report, error) {
	return conformance.Report{}, &notHere{"this machine is of another architecture"}
}
