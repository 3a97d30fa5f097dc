package container

import (
	"encoding/json"
	"os"

	"github.com/berth-oci/berth/runtime/internal/spec"
)

// SpecVersion is the newest version of the runtime specification that containers may ask for.
const SpecVersion = spec.VersionMax

// Example is the text of a config.json to start from: a shell on a terminal in namespaces of its own. The rootless one maps
// the caller to root in a user namespace and asks for nothing that needs more rights.
func Example(rootless bool) ([]byte, error) {
	config := spec.Example(rootless, uint32(os.Geteuid()), uint32(os.Getegid()))
	data, err := json.MarshalIndent(config, "", "\t")
	return append(data, '\n'), err
}
