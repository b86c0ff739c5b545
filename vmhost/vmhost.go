package vmhost

import (
	"context"
	"io"
	"os"

	"github.com/consentry/consentry/sandbox"
)

// Driver boots machines on one kind of system.
type Driver interface {
	Name() string // "qemu"
	// Check names every missing part and its remedy.
	Check(context.Context) error
	// Boot starts a machine and returns once it runs; the guest may be far from
	// its hello. It fails when ctx ends, which does not count afterwards.
	Boot(context.Context, Config) (Machine, error)
}

// Config is what a machine is made of.
type Config struct {
	Arch              string // processor of the guest, as Go names it
	Kernel, Initramfs string // files of this system
	Memory            int64  // bytes
	CPUs              int
	// Spec is the app that will run; its mounts are volumes. The machine is shown its files, with the
	// ids of Spec.Image.IDBase, and no others, on a virtio-fs device: see the
	// functions Layer, Writable and Given for where. On systems that cannot hold
	// Linux files a layer is an ext4 image, which a driver brings into the guest
	// as it can.
	Spec sandbox.Spec
}

// Machine is one that was booted.
type Machine interface {
	// Control is the connection that guestinit speaks guestwire on. Closing it
	// makes the guest power off.
	Control() io.ReadWriteCloser
	// Card is a socket that carries the frames of the network card: a stream as
	// QEMU's -netdev stream has it, or a frame in each datagram. It is handed
	// over once. A machine without one has a guest that sends its frames over the
	// control connection (guestwire.Hello.Frames).
	Card() *os.File
	// Wait returns when nothing of the machine is left; the error says why it
	// ended, where that was not a power off.
	Wait(context.Context) error
	// Kill ends it at once.
	Kill() error
}

// SystemKernel is a Driver whose guests may run on a kernel that is the
// system's, not ours: what it cannot do, the user may do without.
type SystemKernel interface {
	SystemKernel() bool
}

// Keeper is a Driver that keeps something with the system, of which Remove leaves
// nothing. No machine may run.
type Keeper interface {
	Remove(context.Context) error
}

// Emulator is a Driver that has machines of other processors than this system's.
type Emulator interface {
	// CheckEmulated names what is missing for a processor, as Go names it.
	CheckEmulated(ctx context.Context, arch string) error
}

// FolderChecker is a Driver whose machines' apps may be given folders.
type FolderChecker interface {
	// CheckFolder says why a folder of this system is given to no app.
	CheckFolder(path string) error
}

// Walled is a Machine that can say how it is confined itself.
type Walled interface {
	Walls(context.Context) ([]sandbox.Wall, error)
}
