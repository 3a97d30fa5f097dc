package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// bundle is the script command "bundle DIR [PATCH...]": it makes a bundle whose root filesystem is busybox and whose config.json
// is what "berth spec" writes, without its terminal, changed by each PATCH file in turn (JSON merge patch, RFC 7396). Its cgroup has a
// name of its own, since scripts run side by side and cgroups belong to the whole machine: a bundle is good for one container at a
// time.
func bundle(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: bundle DIR [PATCH...]")
	}
	dir := ts.MkAbs(args[0])
	ts.Check(makeRootfs(filepath.Join(dir, "rootfs")))
	ts.Check(os.RemoveAll(filepath.Join(dir, "config.json")))
	ts.Check(ts.Exec("berth", "spec", "--bundle", dir))
	var config any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(filepath.Join(args[0], "config.json"))), &config))
	patches := []string{fmt.Sprintf(`{"process":{"terminal":false},"linux":{"cgroupsPath":"/berth-script-%d-%s-%s"}}`,
		os.Getpid(), filepath.Base(ts.Getenv("WORK")), filepath.Base(dir))}
	for _, name := range args[1:] {
		patches = append(patches, ts.ReadFile(name))
	}
	for _, text := range patches {
		var patch any
		ts.Check(json.Unmarshal([]byte(text), &patch))
		config = merge(config, patch)
	}
	data, err := json.MarshalIndent(config, "", "  ")
	ts.Check(err)
	ts.Check(os.WriteFile(filepath.Join(dir, "config.json"), data, 0o600))
}

// merge applies a JSON merge patch.
func merge(target, patch any) any {
	changes, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	result, _ := target.(map[string]any)
	if result == nil {
		result = map[string]any{}
	}
	for key, value := range changes {
		if value == nil {
			delete(result, key)
			continue
		}
		result[key] = merge(result[key], value)
	}
	return result
}

// makeRootfs fills a folder with busybox, under the names that the scripts use, and the usual empty folders.
func makeRootfs(dir string) error {
	path, err := exec.LookPath("busybox")
	if err != nil {
		return err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	for _, name := range []string{"bin", "dev", "etc", "proc", "root", "sys", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "bin", "busybox"), data, 0o755); err != nil {
		return err
	}
	for _, name := range strings.Fields("sh true false cat echo env id kill ls pwd readlink sleep stty tty hostname ps ls") {
		if err := os.Symlink("busybox", filepath.Join(dir, "bin", name)); err != nil && !os.IsExist(err) {
			return err
		}
	}
	return nil
}

// detached is the script command "detached [ARGUMENT...]": it runs berth with its standard streams on files, as an engine does.
// "exec" would wait for the container itself, which inherits what berth has. What the container prints is in the file output.
func detached(ts *testscript.TestScript, neg bool, args []string) {
	out, err := os.Create(ts.MkAbs("output"))
	ts.Check(err)
	defer out.Close()
	cmd := exec.Command("berth", append([]string{"--root", ts.Getenv("ROOT")}, args...)...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = ts.MkAbs("."), out, out
	err = cmd.Run()
	ts.Logf("%s", ts.ReadFile("output"))
	if (err != nil) != neg {
		ts.Fatalf("berth %s: %v", strings.Join(args, " "), err)
	}
}

// waitStatus is the script command "status ID STATUS": it waits until the container has that status.
func waitStatus(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: status ID STATUS")
	}
	for {
		ts.Check(ts.Exec("berth", "--root", ts.Getenv("ROOT"), "state", args[0]))
		var state struct{ Status string }
		ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &state))
		if state.Status == args[1] {
			return
		}
		if state.Status == "stopped" {
			ts.Fatalf("%s is stopped, and will never be %s", args[0], args[1])
		}
		time.Sleep(time.Millisecond)
	}
}

// waitFile is the script command "waitfile FILE": it waits until the file is there.
func waitFile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: waitfile FILE")
	}
	for {
		_, err := os.Lstat(ts.MkAbs(args[0]))
		if err == nil {
			return
		}
		if !os.IsNotExist(err) {
			ts.Fatalf("%v", err)
		}
		time.Sleep(time.Millisecond)
	}
}

// recvtty is a program for the scripts: it waits at a Unix socket for one terminal, as an engine does for --console-socket, and
// copies what appears on it to standard output.
func recvtty() {
	if err := receiveTerminal(os.Args[1], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "recvtty:", err)
		os.Exit(1)
	}
}

func receiveTerminal(path string, out io.Writer) error {
	listener, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err := errors.Join(syscall.Bind(listener, &syscall.SockaddrUnix{Name: path}), syscall.Listen(listener, 1)); err != nil {
		return err
	}
	conn, _, err := syscall.Accept4(listener, syscall.SOCK_CLOEXEC)
	if err != nil {
		return err
	}
	name, control := make([]byte, 4096), make([]byte, syscall.CmsgSpace(4))
	_, n, _, _, err := syscall.Recvmsg(conn, name, control, 0)
	if err != nil {
		return err
	}
	messages, err := syscall.ParseSocketControlMessage(control[:n])
	if err != nil || len(messages) != 1 {
		return fmt.Errorf("%d messages came with it: %w", len(messages), err)
	}
	fds, err := syscall.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return fmt.Errorf("%d descriptors came with it: %w", len(fds), err)
	}
	terminal := os.NewFile(uintptr(fds[0]), "terminal")
	var text bytes.Buffer
	_, err = io.Copy(&text, terminal) // ends with EIO once nobody has the other end open
	if !errors.Is(err, syscall.EIO) {
		return err
	}
	_, err = out.Write(text.Bytes())
	return err
}
