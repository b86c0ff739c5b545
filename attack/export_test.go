package attack

import "testing"

// Parse reads what the probe program wrote.
func Parse(t *testing.T, output []byte) []Attempt {
	t.Helper()
	attempts, err := parse(output)
	if err != nil {
		t.Fatal(err)
	}
	return attempts
}
