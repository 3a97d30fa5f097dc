package stub

// Layout of the data segment, in bytes from its base: the registers, then the operations, then the program's data.
const (
	Registers  = 64 // each eight bytes
	opsOffset  = Registers * 8
	OpSize     = 96
	codeBase   = 0x400000
	dataBase   = 0x601000 // also written in the assembly
	fileData   = 0x1000   // where the data segment begins in the file: congruent to dataBase modulo 64 KiB
	codeOffset = 0x200    // where the interpreter begins in the file
)

// Registers with a meaning of their own.
const (
	RegReport = 60 // the descriptor that a failure is written to
	regOp     = 62 // which operation failed: its offset from the base
	regErrno  = 63 // with which errno
	RegVoid   = 61 // results nobody reads
)

// Pseudo calls, beside the kernel's system-call numbers.
const (
	Test = 0x1000 // result 0 if *(uint64*)a0 & a1 == a2, else errno a3
	Move = 0x1001 // result a0; a small negative number is a failure with that errno
)

// Op is one operation: a system call with its arguments, the errnos it tolerates and where to go on. The interpreter reads
// it as it lies in memory, in twelve words:
//
//	 0  number        8…48  six arguments    56  which arguments are registers    60  register for the result
//	64  three errnos 76     errno to retry   80  least result   88  next after success   92  next after a tolerated errno
type Op struct {
	Number  uint64
	Args    [6]uint64 // values, or with the bit in Use set a register's number
	Use     uint32    // bit N: Args[N] names a register (N < 5)
	Save    uint32    // register that takes the result
	Errnos  [3]uint32 // tolerated; 0: none
	Retry   uint32    // errno that means: try again, as EINTR always does
	Least   int64     // a smaller result is a failure with EPIPE: a peer that went away, a short write
	Next    uint32    // offset from the base; 0: the following operation
	NextTol uint32    // the same after a tolerated errno
}

// OpOffset is where operation i lies, in bytes from the base.
func OpOffset(i int) uint32 { return uint32(opsOffset + i*OpSize) }

// OpIndex is the operation at an offset that a failure report names, or -1.
func OpIndex(offset uint64) int {
	if offset < opsOffset || (offset-opsOffset)%OpSize != 0 {
		return -1
	}
	return int((offset - opsOffset) / OpSize)
}

// Address is the address of a byte in the data segment.
func Address(offset uint32) uint64 { return dataBase + uint64(offset) }

// RegisterAddress is the address of a register, for a system call that fills or reads it and for Test.
func RegisterAddress(r int) uint64 { return dataBase + uint64(r)*8 }
