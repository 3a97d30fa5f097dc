package container

import (
	"github.com/opencontainers/runtime-spec/specs-go/features"

	"github.com/berth-oci/berth/runtime/internal/host"
	"github.com/berth-oci/berth/runtime/internal/spec"
)

// Features says what this build supports, from the tables that create itself uses (runtime-spec, features.md). The
// annotations, which name the program, are the caller's.
func Features() *features.Features {
	h := host.Probe()
	return spec.Features(spec.Supported, &h)
}
