// Package guestjob is what a vmtest tells the init of its guest.
package guestjob

// Path is where init finds the job in the initramfs, as JSON.
const Path = "/job.json"

// Binary is where the program lies in the guest.
const Binary = "/job"

// Modules is the directory of kernel modules, named in the order of loading.
const Modules = "/modules"

// Job is what runs in the guest.
type Job struct {
	Args []string `json:"args"`
	Env  []string `json:"env"`            // complete, "K=V"
	Disk string   `json:"disk,omitempty"` // block device with ext4, mounted on /tmp
}

// The serial ports of the guest, in QEMU's order.
const (
	Output = "/dev/ttyS1"
	Status = "/dev/ttyS2"
)

// ExitLine is the format of the one line written to Status.
const ExitLine = "exit %d\n"
