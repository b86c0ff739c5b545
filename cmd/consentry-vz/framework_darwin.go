//go:build cgo

package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"

	fw "github.com/Code-Hex/vz/v3"

	"github.com/consentry/consentry/guestwire"
	"github.com/consentry/consentry/sandbox"
	"github.com/consentry/consentry/vmhost/vz"
)

// framework is Apple's.
type framework struct{}

// Start configures a machine and starts it.
func (framework) Start(m vz.Machine, control, frames *os.File) (vz.Running, error) {
	r := &running{files: []*os.File{control, frames}}
	if err := r.start(m, control, frames); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

// running is a machine. The framework uses files by their descriptors, so they
// stay open as long as it.
type running struct {
	machine *fw.VirtualMachine
	files   []*os.File
	console *lastWords

	closing sync.Once
}

func (r *running) start(m vz.Machine, control, frames *os.File) error {
	console, err := r.openConsole()
	if err != nil {
		return fmt.Errorf("console: %w", err)
	}
	config, err := configure(m, control, frames, console)
	if err != nil {
		return err
	}
	if ok, err := config.Validate(); err != nil || !ok {
		return fmt.Errorf("macOS refuses the machine: %w", err)
	}
	if r.machine, err = fw.NewVirtualMachine(config); err != nil {
		return err
	}
	return r.machine.Start()
}

// openConsole keeps the last words of the guest. It is read from only.
func (r *running) openConsole() (theirs *os.File, err error) {
	ours, theirs, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	r.files = append(r.files, ours, theirs)
	r.console = &lastWords{}
	go r.console.keep(ours)
	return theirs, nil
}

// configure is the machine: a kernel, a folder, two ports, a card, random
// numbers, a balloon.
func configure(m vz.Machine, control, frames, console *os.File) (*fw.VirtualMachineConfiguration, error) {
	loader, err := fw.NewLinuxBootLoader(m.Kernel, fw.WithCommandLine(m.Line), fw.WithInitrd(m.Initramfs))
	if err != nil {
		return nil, err
	}
	cpus := min(max(m.CPUs, fw.VirtualMachineConfigurationMinimumAllowedCPUCount()), fw.VirtualMachineConfigurationMaximumAllowedCPUCount())
	memory := min(max(m.Memory, fw.VirtualMachineConfigurationMinimumAllowedMemorySize()), fw.VirtualMachineConfigurationMaximumAllowedMemorySize())
	config, err := fw.NewVirtualMachineConfiguration(loader, cpus, memory)
	if err != nil {
		return nil, err
	}
	for _, add := range []func(*fw.VirtualMachineConfiguration) error{
		func(c *fw.VirtualMachineConfiguration) error { return addPorts(c, control, console) },
		func(c *fw.VirtualMachineConfiguration) error { return addCard(c, frames) },
		func(c *fw.VirtualMachineConfiguration) error { return addFolder(c, m.Files) },
		addEntropyAndBalloon,
	} {
		if err := add(config); err != nil {
			return nil, err
		}
	}
	return config, nil
}

// addPorts gives the guest its console and the port that guestinit looks for by
// its name.
func addPorts(config *fw.VirtualMachineConfiguration, control, console *os.File) error {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	out, err := fw.NewFileHandleSerialPortAttachment(null, console)
	if err != nil {
		return err
	}
	both, err := fw.NewFileHandleSerialPortAttachment(control, control)
	if err != nil {
		return err
	}
	first, err := fw.NewVirtioConsolePortConfiguration(fw.WithVirtioConsolePortConfigurationIsConsole(true), fw.WithVirtioConsolePortConfigurationAttachment(out))
	if err != nil {
		return err
	}
	second, err := fw.NewVirtioConsolePortConfiguration(fw.WithVirtioConsolePortConfigurationName(guestwire.ControlPort), fw.WithVirtioConsolePortConfigurationAttachment(both))
	if err != nil {
		return err
	}
	device, err := fw.NewVirtioConsoleDeviceConfiguration()
	if err != nil {
		return err
	}
	device.SetVirtioConsolePortConfiguration(0, first)
	device.SetVirtioConsolePortConfiguration(1, second)
	config.SetConsoleDevicesVirtualMachineConfiguration([]fw.ConsoleDeviceConfiguration{device})
	return nil
}

func addCard(config *fw.VirtualMachineConfiguration, frames *os.File) error {
	attachment, err := fw.NewFileHandleNetworkDeviceAttachment(frames)
	if err != nil {
		return fmt.Errorf("network card: %w", err)
	}
	card, err := fw.NewVirtioNetworkDeviceConfiguration(attachment)
	if err != nil {
		return err
	}
	hardware, err := net.ParseMAC(sandbox.AppMAC)
	if err != nil {
		return err
	}
	address, err := fw.NewMACAddress(hardware)
	if err != nil {
		return err
	}
	card.SetMACAddress(address)
	config.SetNetworkDevicesVirtualMachineConfiguration([]*fw.VirtioNetworkDeviceConfiguration{card})
	return nil
}

func addFolder(config *fw.VirtualMachineConfiguration, path string) error {
	folder, err := fw.NewSharedDirectory(path, true)
	if err != nil {
		return fmt.Errorf("files: %w", err)
	}
	share, err := fw.NewSingleDirectoryShare(folder)
	if err != nil {
		return err
	}
	device, err := fw.NewVirtioFileSystemDeviceConfiguration(guestwire.FilesTag)
	if err != nil {
		return err
	}
	device.SetDirectoryShare(share)
	config.SetDirectorySharingDevicesVirtualMachineConfiguration([]fw.DirectorySharingDeviceConfiguration{device})
	return nil
}

func addEntropyAndBalloon(config *fw.VirtualMachineConfiguration) error {
	entropy, err := fw.NewVirtioEntropyDeviceConfiguration()
	if err != nil {
		return err
	}
	balloon, err := fw.NewVirtioTraditionalMemoryBalloonDeviceConfiguration()
	if err != nil {
		return err
	}
	config.SetEntropyDevicesVirtualMachineConfiguration([]*fw.VirtioEntropyDeviceConfiguration{entropy})
	config.SetMemoryBalloonDevicesVirtualMachineConfiguration([]fw.MemoryBalloonDeviceConfiguration{balloon})
	return nil
}

// Wait returns when the machine has stopped.
func (r *running) Wait() error {
	for state := range r.machine.StateChangedNotify() {
		switch state {
		case fw.VirtualMachineStateStopped:
			r.close()
			return nil
		case fw.VirtualMachineStateError:
			r.close()
			return errors.New("the machine has failed: " + r.console.text())
		}
	}
	return errors.New("macOS tells no more of the machine")
}

var states = map[fw.VirtualMachineState]string{
	fw.VirtualMachineStateStopped: "stopped", fw.VirtualMachineStateRunning: "running", fw.VirtualMachineStatePaused: "paused",
	fw.VirtualMachineStateError: "failed", fw.VirtualMachineStateStarting: "starting", fw.VirtualMachineStatePausing: "pausing",
	fw.VirtualMachineStateResuming: "resuming", fw.VirtualMachineStateStopping: "stopping",
	fw.VirtualMachineStateSaving: "saving", fw.VirtualMachineStateRestoring: "restoring",
}

func (r *running) State() string { return states[r.machine.State()] }

// Stop pulls the plug.
func (r *running) Stop() error {
	if !r.machine.CanStop() {
		return nil
	}
	return r.machine.Stop()
}

func (r *running) close() {
	r.closing.Do(func() {
		for _, f := range r.files {
			f.Close()
		}
	})
}

// lastWords keeps the end of a console, for an error.
type lastWords struct {
	mu  sync.Mutex
	end []byte
}

func (l *lastWords) keep(from *os.File) {
	const most = 2048
	buf := make([]byte, most)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		l.mu.Lock()
		l.end = append(l.end, buf[:n]...)
		l.end = bytes.Clone(l.end[max(0, len(l.end)-most):])
		l.mu.Unlock()
	}
}

func (l *lastWords) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.ToValidUTF8(string(l.end), "?")
}
