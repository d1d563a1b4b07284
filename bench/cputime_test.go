package main

import "testing"

func TestMachineIsEverythingButIdle(t *testing.T) {
	got, err := parseMachine([]byte("cpu  1 2 4 1000 1000 8 16 32 999 999\ncpu0 7\n"))
	if want := 63 * tick; err != nil || got != want {
		t.Errorf("busy = %v, %v; want %v", got, err, want)
	}
	for _, text := range []string{"", "cpu 1 2", "intr 1 2 3 4 5 6 7 8 9", "cpu 1 2 x 4 5 6 7 8"} {
		if _, err := parseMachine([]byte(text)); err == nil {
			t.Errorf("%q was read", text)
		}
	}
	if got, err := machineCPU(); err != nil || got <= 0 {
		t.Errorf("machineCPU = %v, %v", got, err)
	}
}
