// Package wsl runs apps on Windows in a distro of its own under WSL 2.
//
//	agent ── wsl.exe ──> consentry-guest, in the distro "consentry" ── linuxhost ──> the app
//	(Driver)  stdin, stdout: guestwire      one for each app
//
// The distro is made by us from guestinit and nothing else, with automount and
// interop off. Layers are ext4 images that are copied into it once; what apps
// write, and volumes, stay there. Frames of the app's network card come over the
// connection, and the router on Windows judges them.
//
// What it promises: an app is root over nothing of the distro; a distro from
// which Windows can be reached starts no app (guestinit looks at each start); a
// wall that Microsoft's kernel cannot raise is missing only where the user
// waived it. What it does not: stand between distros. WSL runs them all on one
// kernel in one machine, and posture says so.
//
// Everything here but the look of a window is portable: tests drive it with
// pretend programs, on Linux and under Wine.
package wsl
