#include "textflag.h"

TEXT discard<>(SB),NOSPLIT|NOFRAME,$0-0
	RET

DATA one<>+0(SB)/8, $1
GLOBL one<>(SB), RODATA|NOPTR, $8

// write(countFD, &one, 8); sigreturn restores all registers.
TEXT count<>(SB),NOSPLIT|NOFRAME,$0-0
	MOVD ·countFD(SB), R0
	MOVD $one<>(SB), R1
	MOVD $8, R2
	MOVD $64, R8
	SVC
	RET

TEXT restorer<>(SB),NOSPLIT|NOFRAME,$0-0
	MOVD $139, R8
	SVC
	BRK

// func discardPC() uintptr
TEXT ·discardPC(SB),NOSPLIT,$0-8
	MOVD $discard<>(SB), R0
	MOVD R0, ret+0(FP)
	RET

// func countPC() uintptr
TEXT ·countPC(SB),NOSPLIT,$0-8
	MOVD $count<>(SB), R0
	MOVD R0, ret+0(FP)
	RET

// func restorerPC() uintptr
TEXT ·restorerPC(SB),NOSPLIT,$0-8
	MOVD $restorer<>(SB), R0
	MOVD R0, ret+0(FP)
	RET
