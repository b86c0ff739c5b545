package hcs

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/consentry/consentry/guestwire"
)

// plan is a machine, complete: the document is a function of it.
type plan struct {
	kernel, initramfs string
	memory            int64 // bytes
	cpus              int
	disks             []string // VHD files with layers, lowest first
	user              string   // SID of who may use its socket
}

const (
	mebibyte = 1 << 20
	// memoryStep is what Hyper-V gives memory in, in MiB.
	memoryStep = 2
)

// vsockService is how Windows writes the port of a Linux guest's socket.
const vsockService = "%08x-facb-11e6-bd58-64006a7986d3"

// The parts of the schema that we use, version 2.1 (Microsoft's reference of the
// Host Compute System's JSON schema).
type (
	computeSystem struct {
		Owner                             string
		SchemaVersion                     schemaVersion
		ShouldTerminateOnLastHandleClosed bool
		VirtualMachine                    virtualMachine
	}
	schemaVersion  struct{ Major, Minor int }
	virtualMachine struct {
		StopOnReset     bool
		Chipset         chipset
		ComputeTopology topology
		Devices         devices
	}
	chipset           struct{ LinuxKernelDirect linuxKernelDirect }
	linuxKernelDirect struct{ KernelFilePath, InitRdPath, KernelCmdLine string }
	topology          struct {
		Memory    memory
		Processor processor
	}
	memory struct {
		SizeInMB             int64
		AllowOvercommit      bool
		EnableDeferredCommit bool
		EnableColdHint       bool
	}
	processor struct{ Count int }
	devices   struct {
		Scsi     map[string]controller
		HvSocket hvSocket
	}
	controller struct{ Attachments map[string]attachment }
	attachment struct {
		Type, Path string
		ReadOnly   bool
	}
	hvSocket       struct{ HvSocketConfig hvSocketConfig }
	hvSocketConfig struct {
		DefaultBindSecurityDescriptor    string
		DefaultConnectSecurityDescriptor string
		ServiceTable                     map[string]hvService
	}
	hvService struct {
		BindSecurityDescriptor    string
		ConnectSecurityDescriptor string
	}
)

// nobody is an access list that lets nobody in.
const nobody = "D:P"

// only lets one user in, and nobody else: not even administrators.
func only(user string) string { return fmt.Sprintf("D:P(A;;GA;;;%s)", user) }

// document is the machine as the service wants it. It ends with the last handle
// on it, so with the agent.
func document(p plan) ([]byte, error) {
	disks := map[string]attachment{}
	for n, path := range p.disks {
		disks[strconv.Itoa(n)] = attachment{Type: "VirtualDisk", Path: path, ReadOnly: true}
	}
	boot := guestwire.BootLine{Port: guestwire.ControlVsock, Disks: len(p.disks)}
	line := "quiet panic=-1 lsm=landlock,yama,bpf pci=off " + boot.String()
	access := only(p.user)
	return json.MarshalIndent(computeSystem{
		Owner: "consentry", SchemaVersion: schemaVersion{2, 1}, ShouldTerminateOnLastHandleClosed: true,
		VirtualMachine: virtualMachine{
			StopOnReset: true,
			Chipset:     chipset{linuxKernelDirect{p.kernel, p.initramfs, line}},
			ComputeTopology: topology{
				Memory:    memory{SizeInMB: (p.memory/mebibyte + memoryStep - 1) / memoryStep * memoryStep, AllowOvercommit: true, EnableDeferredCommit: true, EnableColdHint: true},
				Processor: processor{p.cpus},
			},
			Devices: devices{
				Scsi: map[string]controller{"0": {disks}},
				HvSocket: hvSocket{hvSocketConfig{
					DefaultBindSecurityDescriptor: nobody, DefaultConnectSecurityDescriptor: nobody,
					ServiceTable: map[string]hvService{fmt.Sprintf(vsockService, guestwire.ControlVsock): {access, access}},
				}},
			},
		},
	}, "", "  ")
}
