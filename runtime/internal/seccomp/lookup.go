package seccomp

//go:generate go run ./gen

// row is one system call: its number on each architecture, or -1, and, for those that 32-bit x86 also reaches through
// socketcall(2) or ipc(2), the value of the first argument there (ipc's 100 higher).
type row struct {
	name    string
	numbers [archs]int32
	mux     uint8
}

// find gives the row of a system call, or -1.
func find(name string) int {
	h := uint32(2166136261) // FNV-1a
	for i := range len(name) {
		h = (h ^ uint32(name[i])) * 16777619
	}
	for h %= uint32(len(slots)); slots[h] != 0; h = (h + 1) % uint32(len(slots)) {
		if i := int(slots[h]) - 1; rows[i].name == name {
			return i
		}
	}
	return -1
}
