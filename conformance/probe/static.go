package probe

import (
	"debug/elf"
	"fmt"
)

// Static tells whether the executable at path needs no dynamic loader (it has
// no PT_INTERP segment, elf(5)), so that it runs in a root filesystem that
// holds nothing else.
func Static(path string) (bool, error) {
	file, err := elf.Open(path)
	if err != nil {
		return false, fmt.Errorf("cannot read executable %s: %w", path, err)
	}
	defer file.Close()
	for _, segment := range file.Progs {
		if segment.Type == elf.PT_INTERP {
			return false, nil
		}
	}
	return true, nil
}
