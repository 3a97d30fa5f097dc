#include "textflag.h"

// The interpreter. R13 is the base of the data segment, which begins with the registers; R12 is the operation at hand.
// No stack is touched. See the layout of an operation in op.go.
#define BASE 0x601000

TEXT ·interpreter(SB), NOSPLIT|NOFRAME, $0
	MOVQ	$BASE, R13
	LEAQ	512(R13), R12
operation:
	MOVQ	0(R12), AX
	MOVQ	8(R12), DI
	MOVQ	16(R12), SI
	MOVQ	24(R12), DX
	MOVQ	32(R12), R10
	MOVQ	40(R12), R8
	MOVQ	48(R12), R9
	MOVL	56(R12), BX
	TESTL	$1, BX
	JZ	second
	MOVQ	(R13)(DI*8), DI
second:
	TESTL	$2, BX
	JZ	third
	MOVQ	(R13)(SI*8), SI
third:
	TESTL	$4, BX
	JZ	fourth
	MOVQ	(R13)(DX*8), DX
fourth:
	TESTL	$8, BX
	JZ	fifth
	MOVQ	(R13)(R10*8), R10
fifth:
	TESTL	$16, BX
	JZ	ready
	MOVQ	(R13)(R8*8), R8
ready:
	CMPQ	AX, $0x1000
	JCC	pseudo
	SYSCALL
	CMPQ	AX, $-4          // EINTR: again
	JEQ	operation
result:
	CMPQ	AX, $-4095
	JCC	failed
	CMPQ	AX, 80(R12)
	JLT	short
	MOVL	60(R12), BX
	MOVQ	AX, (R13)(BX*8)
	MOVL	88(R12), BX
	JMP	continue
short:
	MOVQ	$-32, AX         // EPIPE stands for a short count
failed:
	NEGQ	AX
	MOVL	92(R12), BX
	CMPL	AX, 64(R12)
	JEQ	continue
	CMPL	AX, 68(R12)
	JEQ	continue
	CMPL	AX, 72(R12)
	JEQ	continue
	CMPL	AX, 76(R12)      // the errno to try again on
	JEQ	operation
	SUBQ	R13, R12
	MOVQ	R12, 496(R13)    // register 62: which operation
	MOVQ	AX, 504(R13)     // register 63: which errno
	MOVQ	480(R13), DI     // register 60: where to report
	MOVQ	$1, AX           // write
	LEAQ	496(R13), SI
	MOVQ	$16, DX
	SYSCALL
	MOVQ	$1, DI
	JMP	leave
continue:
	TESTL	BX, BX
	JZ	next
	LEAQ	(R13)(BX*1), R12
	JMP	operation
next:
	ADDQ	$96, R12
	JMP	operation
pseudo:
	JNE	move
	MOVQ	(DI), AX         // test: (*a0 & a1) == a2, or errno a3
	ANDQ	SI, AX
	CMPQ	AX, DX
	MOVQ	$0, AX
	JEQ	result
	SUBQ	R10, AX
	JMP	result
move:
	MOVQ	DI, AX
	JMP	result
	BYTE $0x0f; BYTE $0x0b; BYTE $0x0f; BYTE $0x0b // the signal handler begins after these: see handlerMark
	ADDQ	$128, DI
leave:
	MOVQ	$231, AX         // exit_group
	SYSCALL
	INT	$3
	BYTE $0xde; BYTE $0xad; BYTE $0xbe; BYTE $0xef
	RET

TEXT ·interpreterAddress(SB), NOSPLIT, $0-8
	LEAQ	·interpreter(SB), AX
	MOVQ	AX, ret+0(FP)
	RET
