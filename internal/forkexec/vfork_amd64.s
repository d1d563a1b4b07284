#include "textflag.h"

// func vfork(flags, pidfd uintptr) int64
TEXT ·vfork(SB),NOSPLIT|NOFRAME,$0-24
	MOVQ flags+0(FP), DI
	XORQ SI, SI
	MOVQ pidfd+8(FP), DX
	XORQ R10, R10
	XORQ R8, R8
	MOVQ $56, AX
	// The child returns first, and what it calls overwrites the return address
	// on the stack. So each keeps it in a register.
	POPQ R12
	SYSCALL
	PUSHQ R12
	MOVQ AX, ret+16(FP)
	RET
