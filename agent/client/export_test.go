package client

// Explain is explain, for the tests.
var Explain = explain
