// Command witness is the probe and nothing else: a small static carrier for
// callers whose own executable is dynamically linked. Build it with CGO_ENABLED=0.
package main

import (
	"fmt"
	"os"

	"github.com/berth-oci/berth/conformance/probe"
)

func main() {
	fmt.Fprintf(os.Stderr, "witness: error: start this program under the name %s\n", probe.Name)
	os.Exit(2)
}
