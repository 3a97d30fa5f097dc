#include "textflag.h"

// The interpreter. R19 is the base of the data segment, which begins with the registers; R20 is the operation at hand.
// No stack is touched. See the layout of an operation in op.go.
#define BASE 0x601000

TEXT ·interpreter(SB), NOSPLIT|NOFRAME, $0
	MOVD	$0x600000, R19
	ADD	$0x1000, R19
	ADD	$512, R19, R20
operation:
	MOVD	0(R20), R8
	MOVD	8(R20), R0
	MOVD	16(R20), R1
	MOVD	24(R20), R2
	MOVD	32(R20), R3
	MOVD	40(R20), R4
	MOVD	48(R20), R5
	MOVWU	56(R20), R9
	TBZ	$0, R9, second
	MOVD	(R19)(R0<<3), R0
second:
	TBZ	$1, R9, third
	MOVD	(R19)(R1<<3), R1
third:
	TBZ	$2, R9, fourth
	MOVD	(R19)(R2<<3), R2
fourth:
	TBZ	$3, R9, fifth
	MOVD	(R19)(R3<<3), R3
fifth:
	TBZ	$4, R9, ready
	MOVD	(R19)(R4<<3), R4
ready:
	MOVD	$0x1000, R10
	CMP	R10, R8
	BHS	pseudo
	SVC	$0
	CMN	$4, R0           // EINTR: again
	BEQ	operation
result:
	MOVD	$-4095, R10
	CMP	R10, R0
	BHS	failed
	MOVD	80(R20), R10
	CMP	R10, R0
	BLT	short
	MOVWU	60(R20), R9
	MOVD	R0, (R19)(R9<<3)
	MOVWU	88(R20), R9
	B	continue
short:
	MOVD	$-32, R0         // EPIPE stands for a short count
failed:
	NEG	R0, R0
	MOVWU	92(R20), R9
	MOVWU	64(R20), R10
	CMP	R10, R0
	BEQ	continue
	MOVWU	68(R20), R10
	CMP	R10, R0
	BEQ	continue
	MOVWU	72(R20), R10
	CMP	R10, R0
	BEQ	continue
	MOVWU	76(R20), R10     // the errno to try again on
	CMP	R10, R0
	BEQ	operation
	SUB	R19, R20, R10
	MOVD	R10, 496(R19)    // register 62: which operation
	MOVD	R0, 504(R19)     // register 63: which errno
	MOVD	480(R19), R0     // register 60: where to report
	ADD	$496, R19, R1
	MOVD	$16, R2
	MOVD	$64, R8          // write
	SVC	$0
	MOVD	$1, R0
	B	leave
continue:
	CBZ	R9, next
	ADD	R19, R9, R20
	B	operation
next:
	ADD	$96, R20
	B	operation
pseudo:
	BNE	result           // move: a0 already is the result
	MOVD	(R0), R0         // test: (*a0 & a1) == a2, or errno a3
	AND	R1, R0, R0
	CMP	R2, R0
	MOVD	$0, R0
	BEQ	result
	NEG	R3, R0
	B	result
	WORD	$0x0b0f0b0f      // the signal handler begins after this: see handlerMark
	ADD	$128, R0
leave:
	MOVD	$94, R8          // exit_group
	SVC	$0
	BRK
	WORD	$0xefbeadde
	RET

TEXT ·interpreterAddress(SB), NOSPLIT, $0-8
	MOVD	$·interpreter(SB), R0
	MOVD	R0, ret+0(FP)
	RET
