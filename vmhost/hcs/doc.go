// Package hcs boots microVMs on Windows with Hyper-V, by the Host Compute
// Service: a machine for each app, with our kernel.
//
//	agent ── computecore.dll ──> machine: kernel, guestinit ── linuxhost ──> the app
//	(Driver)  document             │
//	  └──────── hvsock ────────────┘  guestwire, and in it the frames of the card
//
// Layers are ext4 images in VHD files, disks of the machine; it has no other file
// of Windows, no network adapter, no screen. The socket for its connection is
// made for this machine and this user, and taken once.
//
// The document, and what errors mean, are pure and tested everywhere; the calls
// of the library are tested under Wine against a pretend one. Nothing of it has
// seen a real Hyper-V.
package hcs
