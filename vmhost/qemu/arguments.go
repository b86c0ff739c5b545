package qemu

import (
	"fmt"
	"strconv"

	"github.com/consentry/consentry/guestwire"
	"github.com/consentry/consentry/sandbox"
)

// plan is a machine, complete: the arguments of QEMU are a function of it.
type plan struct {
	Arch   string `json:"arch"`  // runtime.GOARCH of the guest
	Accel  string `json:"accel"` // "kvm" or "tcg"
	Memory int64  `json:"memory"`
	CPUs   int    `json:"cpus"`
	Name   string `json:"name"` // for lists of processes
}

// Files that QEMU inherits, and what it sees of the host.
const (
	controlFD = 3
	framesFD  = 4
	filesFD   = 5

	kernelPath    = "/boot/kernel"
	initramfsPath = "/boot/initramfs"
)

const mebibyte = 1 << 20

// machines are what a guest of an architecture is put into. HVF and Hyper-V
// guests are other drivers' business.
var machines = map[string]struct{ program, pack, machine, console, tcg string }{
	// Without cx16: in QEMU 7.2 an interrupt right after cmpxchg16b finds garbage
	// in the flags, and one boot in ten dies in the allocator.
	"amd64": {"qemu-system-x86_64", "qemu-system-x86", "q35,memory-backend=memory,sata=off,smbus=off,vmport=off", "ttyS0", "max,-cx16"},
	"arm64": {"qemu-system-aarch64", "qemu-system-arm", "virt,gic-version=3,memory-backend=memory", "ttyAMA0", "cortex-a72"},
}

// kernelLine has the lsm list of kernels that were built without bpf in theirs.
const kernelLine = "console=%s quiet panic=-1 lsm=landlock,yama,bpf"

func (p plan) arguments() []string {
	m := machines[p.Arch]
	cpu := m.tcg
	if p.Accel == "kvm" {
		cpu = "host"
	}
	return []string{
		"-name", p.Name, "-M", m.machine, "-accel", p.Accel, "-cpu", cpu, "-smp", strconv.Itoa(p.CPUs),
		"-m", fmt.Sprintf("%dM", p.Memory/mebibyte),
		"-object", fmt.Sprintf("memory-backend-memfd,id=memory,size=%dM,share=on", p.Memory/mebibyte), // virtiofsd maps it
		"-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-monitor", "none", "-parallel", "none",
		"-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
		"-kernel", kernelPath, "-initrd", initramfsPath, "-append", fmt.Sprintf(kernelLine, m.console),
		"-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console",
		"-device", "virtio-serial-pci,max_ports=2",
		"-chardev", fmt.Sprintf("socket,id=control,fd=%d", controlFD),
		"-device", "virtserialport,chardev=control,name=" + guestwire.ControlPort,
		"-chardev", fmt.Sprintf("socket,id=files,fd=%d", filesFD),
		"-device", "vhost-user-fs-pci,chardev=files,tag=" + guestwire.FilesTag,
		"-netdev", fmt.Sprintf("stream,id=net,addr.type=fd,addr.str=%d", framesFD),
		"-device", "virtio-net-pci,netdev=net,romfile=,mac=" + sandbox.AppMAC,
		"-object", "rng-random,id=random,filename=/dev/urandom", "-device", "virtio-rng-pci,rng=random",
		"-device", "virtio-balloon-pci,free-page-reporting=on",
	}
}
