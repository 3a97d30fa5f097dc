// Command standin stands in for the runtime where only its packaging is tested. It links one module, whose licence the
// package must name.
package main

import (
	"fmt"
	"os"

	"github.com/opencontainers/runtime-spec/specs-go"
)

func main() {
	if len(os.Args) == 3 && os.Args[1] == "completion" {
		fmt.Printf("# %s completion for berth\n", os.Args[2])
		return
	}
	fmt.Println("standin", specs.Version)
}
