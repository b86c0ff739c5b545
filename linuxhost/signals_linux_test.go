package linuxhost

import "testing"

func TestDefaultSignals(t *testing.T) {
	const sig = 40 // a real-time signal that nothing here uses
	var before, after kernelAction
	for _, err := range []error{signalAction(sig, nil, &before), signalAction(sig, &kernelAction{handler: ignoreSignal}, nil), defaultSignals(), signalAction(sig, nil, &after)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if after.handler != 0 {
		t.Errorf("signal %d has handler %#x", sig, after.handler)
	}
	if err := signalAction(sig, &before, nil); err != nil {
		t.Fatal(err)
	}
}
