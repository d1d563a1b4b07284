#include "textflag.h"

TEXT handler<>(SB),NOSPLIT|NOFRAME,$0-0
	RET

TEXT restorer<>(SB),NOSPLIT|NOFRAME,$0-0
	MOVQ $15, AX
	SYSCALL
	INT $3

// func handlerPC() uintptr
TEXT ·handlerPC(SB),NOSPLIT,$0-8
	LEAQ handler<>(SB), AX
	MOVQ AX, ret+0(FP)
	RET

// func restorerPC() uintptr
TEXT ·restorerPC(SB),NOSPLIT,$0-8
	LEAQ restorer<>(SB), AX
	MOVQ AX, ret+0(FP)
	RET
