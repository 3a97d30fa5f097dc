#include "textflag.h"

// The handler of CatchSignals: write(signalPipe, &signal, 1), counted in signalHandlers from before it looks which pipe that is, so that
// the pipe is not closed, and its number another file's, under its hands. The kernel calls it with the signal's number in R0, on the thread's
// signal stack, with R30 leading to its own rt_sigreturn, and puts back every register afterwards. It uses nothing of Go's.
TEXT signalHandler<>(SB), NOSPLIT|NOFRAME|TOPFRAME, $0
	SUB	$16, RSP
	MOVD	R0, (RSP)
	MOVD	RSP, R1
	MOVD	$·signalHandlers(SB), R9
begin:
	LDAXRW	(R9), R10
	ADDW	$1, R10
	STLXRW	R10, (R9), R11
	CBNZW	R11, begin
	DMB	$11     // inner shareable: the pipe is looked at afterwards
	MOVW	·signalPipe(SB), R0
	MOVD	$1, R2
	MOVD	$64, R8 // write
	SVC
end:
	LDAXRW	(R9), R10
	SUBW	$1, R10
	STLXRW	R10, (R9), R11
	CBNZW	R11, end
	ADD	$16, RSP
	RET

TEXT ·signalHandlerAddress(SB), NOSPLIT, $0-8
	MOVD	$signalHandler<>(SB), R0
	MOVD	R0, ret+0(FP)
	RET

// The kernel has a restorer of its own.
TEXT ·signalRestorerAddress(SB), NOSPLIT, $0-8
	MOVD	ZR, ret+0(FP)
	RET
