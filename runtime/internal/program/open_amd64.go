package program

// Flags of open(2) that differ between architectures.
const (
	oDIRECTORY = 0x10000
	oNOFOLLOW  = 0x20000
)
