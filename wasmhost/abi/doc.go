// Package abi is how host functions meet a wasm guest: error numbers, typed
// access to the guest's memory, and the table that exports functions.
//
// It promises that a pointer or length from the guest never reads or writes
// outside the guest's memory: such a call ends with EFAULT. It promises that a
// call which finds the run stopped does not return to the guest.
package abi
