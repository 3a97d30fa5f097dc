package release

import (
	"context"
	"fmt"
	"io"
	"runtime"

	"github.com/berth-oci/berth/conformance"
	"github.com/berth-oci/berth/conformance/vm"
)

// tryInMachine boots the architecture's own kernel and tries the binary there, as root.
func (r *work) tryInMachine(ctx context.Context, judge string, bin Binary) (conformance.Report, error) {
	if r.NoMachines {
		return conformance.Report{}, &notHere{"virtual machines were not wanted"}
	}
	const judgeAt, reportAt = "/usr/bin/conform", "/" + reportName
	runtimeAt := "/usr/bin/" + bin.Command
	said := &tailWriter{each: func(line string) { r.tell.relabel("certify", bin.Arch+"  "+line) }}
	result, err := vm.Machine{Arch: bin.Arch}.Run(ctx, vm.Job{
		Files:   map[string]vm.File{judgeAt: {Host: judge}, runtimeAt: {Host: bin.Path}},
		Command: append([]string{judgeAt}, append(judgeArgs(runtimeAt, reportAt), "--timeout", "3m")...),
		Stderr:  said, Stdout: io.Discard,
		Fetch: []string{reportAt},
	})
	if vm.IsUnavailable(err) {
		return conformance.Report{}, &notHere{fmt.Sprintf("this machine is %s and has no virtual one: %s", runtime.GOARCH, firstLine(err.Error()))}
	}
	if err != nil {
		return conformance.Report{}, err
	}
	text, ok := result.Files[reportAt]
	if !ok {
		return conformance.Report{}, fmt.Errorf("the conformance suite gave no report in the virtual machine: exit status %d\n%s", result.ExitCode, said)
	}
	return readReport(text)
}
