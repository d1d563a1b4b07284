#include "textflag.h"

TEXT discard<>(SB),NOSPLIT|NOFRAME,$0-0
	RET

DATA one<>+0(SB)/8, $1
GLOBL one<>(SB), RODATA|NOPTR, $8

// write(countFD, &one, 8); sigreturn restores all registers.
TEXT count<>(SB),NOSPLIT|NOFRAME,$0-0
	MOVQ $1, AX
	MOVQ ·countFD(SB), DI
	LEAQ one<>(SB), SI
	MOVQ $8, DX
	SYSCALL
	RET

TEXT restorer<>(SB),NOSPLIT|NOFRAME,$0-0
	MOVQ $15, AX
	SYSCALL
	INT $3

// func discardPC() uintptr
TEXT ·discardPC(SB),NOSPLIT,$0-8
	LEAQ discard<>(SB), AX
	MOVQ AX, ret+0(FP)
	RET

// func countPC() uintptr
TEXT ·countPC(SB),NOSPLIT,$0-8
	LEAQ count<>(SB), AX
	MOVQ AX, ret+0(FP)
	RET

// func restorerPC() uintptr
TEXT ·restorerPC(SB),NOSPLIT,$0-8
	LEAQ restorer<>(SB), AX
	MOVQ AX, ret+0(FP)
	RET
