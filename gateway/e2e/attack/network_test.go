//go:build e2e

package attack

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// Everything happens in a network of its own, where addresses that anybody on
// the internet could have are ours: the program fetches documents from no
// others, and is what people run, not a build that fetches from anywhere.
const (
	honestAddr = "11.0.0.1"
	rogueAddr  = "11.0.0.66"
)

// insideAddrs are what a cloud, an office and a machine have inside. Loopback is
// there anyway.
var insideAddrs = []string{"10.1.2.3", "100.100.100.200", "169.254.169.254", "172.16.0.1", "192.168.1.1", "fd00::1"}

// within says that this process is in that network.
const within = "ATTACK_WITHIN"

// enter runs this very program there and returns how it ended.
func enter() (int, error) {
	// In there the compiler has no way to a module proxy.
	fetch := exec.Command("go", "list", "-deps", ".")
	fetch.Dir = root
	if out, err := fetch.CombinedOutput(); err != nil {
		return 1, fmt.Errorf("fetch what the program is built of: %w\n%s", err, out)
	}
	runtime.LockOSThread() // the child lives as long as this thread
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), within+"=yes")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() != 0 { // who is not root is in there
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	err := cmd.Run()
	if cmd.ProcessState == nil {
		return 1, fmt.Errorf("begin a network of our own: %w", err)
	}
	return cmd.ProcessState.ExitCode(), nil
}

// settle gives the network its addresses.
func settle() error {
	commands := [][]string{{"link", "set", "lo", "up"}}
	for _, addr := range append([]string{honestAddr, rogueAddr}, insideAddrs...) {
		commands = append(commands, []string{"addr", "add", addr, "dev", "lo"})
	}
	for _, args := range commands {
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %v: %w\n%s", args, err, out)
		}
	}
	return nil
}
