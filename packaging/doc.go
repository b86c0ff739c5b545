// Package packaging holds what packages of each system are made of;
// scripts/package.sh makes them.
package packaging

//go:generate go run ../tools/trayicons -program icons
