#include "textflag.h"

// func getrlimit(resource, limit uintptr) int64
TEXT ·getrlimit(SB),NOSPLIT,$0-24
	MOVQ resource+0(FP), DI
	MOVQ limit+8(FP), SI
	MOVQ $97, AX
	SYSCALL
	MOVQ AX, ret+16(FP)
	RET
