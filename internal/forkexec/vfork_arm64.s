#include "textflag.h"

// The return address is in a register, which the child does not share.

// func vfork(flags, pidfd uintptr) int64
TEXT ·vfork(SB),NOSPLIT|NOFRAME,$0-24
	MOVD flags+0(FP), R0
	MOVD ZR, R1
	MOVD pidfd+8(FP), R2
	MOVD ZR, R3
	MOVD ZR, R4
	MOVD $220, R8
	SVC
	MOVD R0, ret+16(FP)
	RET
