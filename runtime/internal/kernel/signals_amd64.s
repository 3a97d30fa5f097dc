#include "textflag.h"

// The handler of CatchSignals: write(signalPipe, &signal, 1), counted in signalHandlers from before it looks which pipe that is, so that
// the pipe is not closed, and its number another file's, under its hands. The kernel calls it with the signal's number in DI, on the thread's
// signal stack, and puts back every register afterwards. It uses nothing of Go's.
TEXT signalHandler<>(SB), NOSPLIT|NOFRAME|TOPFRAME, $0
	LOCK
	INCL	·signalHandlers(SB)
	PUSHQ	DI
	MOVL	·signalPipe(SB), DI
	MOVQ	SP, SI
	MOVL	$1, DX
	MOVL	$1, AX  // write
	SYSCALL
	POPQ	DI
	LOCK
	DECL	·signalHandlers(SB)
	RET             // to the restorer, whose address the kernel has put here

TEXT signalRestorer<>(SB), NOSPLIT|NOFRAME|TOPFRAME, $0
	MOVL	$15, AX // rt_sigreturn
	SYSCALL
	INT	$3

TEXT ·signalHandlerAddress(SB), NOSPLIT, $0-8
	LEAQ	signalHandler<>(SB), AX
	MOVQ	AX, ret+0(FP)
	RET

TEXT ·signalRestorerAddress(SB), NOSPLIT, $0-8
	LEAQ	signalRestorer<>(SB), AX
	MOVQ	AX, ret+0(FP)
	RET
