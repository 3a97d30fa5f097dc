// Package probe is the witness that conformance checks place inside a container.
//
// Three parties meet here. The check (outside) writes a list of operations
// into process.args or into a hook's args. The runtime under test, which
// nobody trusts, starts a program with that list. The program is this package
// again: any executable that imports it turns into the probe when its first
// argument's base name is [Name], performs the operations in order and prints
// one JSON [Result] for each. The check believes what the kernel told the
// probe, never what the runtime claims.
//
// The carrier must be a static executable: the root filesystem of a container
// under test holds no dynamic loader.
package probe

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// Name is the base name of argv[0] that turns an executable into the probe.
const Name = "conformance-probe"

// Path is where the suite places the probe in a root filesystem.
const Path = "/" + Name

// Op is one operation for the probe. Do selects the operation, the other
// fields are its operands; see verbs in ops.go for what each one uses.
type Op struct {
	Do   string   `json:"do"`
	Path string   `json:"path,omitempty"`
	Data string   `json:"data,omitempty"`
	Args []string `json:"args,omitempty"`
	Nums []uint64 `json:"nums,omitempty"`
}

// Result is what one operation yielded. Errno is the symbolic name of the
// error ("EROFS"), empty where the operation succeeded.
type Result struct {
	Do     string   `json:"do"`
	Path   string   `json:"path,omitempty"`
	Errno  string   `json:"errno,omitempty"`
	Text   string   `json:"text,omitempty"`
	Num    uint64   `json:"num,omitempty"`
	Stat   *Stat    `json:"stat,omitempty"`
	Facts  *Facts   `json:"facts,omitempty"`
	Stdin  string   `json:"stdin,omitempty"`
	Names  []string `json:"names,omitempty"`
	Links  []Link   `json:"links,omitempty"`
	Label  string   `json:"label,omitempty"`
	Failed string   `json:"failed,omitempty"` // why an operation could not be tried at all
}

// OK tells whether the operation succeeded.
func (r Result) OK() bool { return r.Errno == "" && r.Failed == "" }

// Outcome is "ok" or the error, for messages.
func (r Result) Outcome() string {
	switch {
	case r.Failed != "":
		return r.Failed
	case r.Errno != "":
		return r.Errno
	}
	return "ok"
}

// Args returns the argument vector that makes an executable perform ops.
func Args(ops ...Op) []string {
	text, err := json.Marshal(ops)
	if err != nil {
		panic(err) // an Op holds strings and numbers only
	}
	return []string{Path, string(text)}
}

func init() {
	if len(os.Args) > 0 && filepath.Base(os.Args[0]) == Name {
		os.Exit(Main(os.Args[1:]))
	}
}

// Main performs the operations in args[0], a JSON array, and prints one
// result per line on standard output. It returns the exit code: 0, or 2 where
// the list cannot be read; the operation "exit" ends it with a code of its own.
func Main(args []string) int {
	if len(args) == 0 {
		fmt.Fprintf(os.Stderr, "%s: error: no operations given\n", Name)
		return 2
	}
	var ops []Op
	if err := json.Unmarshal([]byte(args[0]), &ops); err != nil {
		fmt.Fprintf(os.Stderr, "%s: error: cannot read operations: %v\n", Name, err)
		return 2
	}
	out := io.Writer(os.Stdout)
	for _, op := range ops {
		if op.Do == "log" { // results go to a file from here on; hooks have no useful stdout
			file, err := os.OpenFile(op.Path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o666)
			if err != nil {
				fmt.Fprintf(os.Stderr, "%s: error: %v\n", Name, err)
				return 2
			}
			out = file
			continue
		}
		if err := writeLine(out, perform(op)); err != nil {
			fmt.Fprintf(os.Stderr, "%s: error: cannot report: %v\n", Name, err)
			return 2
		}
	}
	return 0
}

// writeLine writes a result in a single write, so that lines of several
// probes appending to one log do not mix.
func writeLine(out io.Writer, result Result) error {
	line, err := json.Marshal(result)
	if err != nil {
		return err
	}
	_, err = out.Write(append(line, '\n'))
	return err
}

func perform(op Op) Result {
	result := Result{Do: op.Do, Path: op.Path}
	verb, known := verbs[op.Do]
	if !known {
		result.Failed = "unknown operation"
		return result
	}
	if err := verb(op, &result); err != nil {
		result.Errno = errnoName(err)
		if result.Errno == "" {
			result.Failed = err.Error()
		}
	}
	return result
}

// errnoName returns the symbolic name of the error number in err, or "".
func errnoName(err error) string {
	var number syscall.Errno
	if !errors.As(err, &number) {
		return ""
	}
	return nameOf(number)
}

// Parse reads the lines a probe printed. Lines that are no result (a
// runtime's own output on the same stream) are left out.
func Parse(output []byte) []Result {
	var results []Result
	for line := range bytes.Lines(output) {
		var result Result
		if json.Unmarshal(line, &result) == nil && result.Do != "" {
			results = append(results, result)
		}
	}
	return results
}
