#include "textflag.h"

TEXT handler<>(SB),NOSPLIT|NOFRAME,$0-0
	RET

TEXT restorer<>(SB),NOSPLIT|NOFRAME,$0-0
	MOVD $139, R8
	SVC
	BRK

// func handlerPC() uintptr
TEXT ·handlerPC(SB),NOSPLIT,$0-8
	MOVD $handler<>(SB), R0
	MOVD R0, ret+0(FP)
	RET

// func restorerPC() uintptr
TEXT ·restorerPC(SB),NOSPLIT,$0-8
	MOVD $restorer<>(SB), R0
	MOVD R0, ret+0(FP)
	RET
