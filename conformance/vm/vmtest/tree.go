package vmtest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// event is one line of "go doc test2json".
type event struct {
	Action string
	Test   string
	Output string
}

// parse translates the output of a test binary run with -test.v=test2json.
func parse(ctx context.Context, pkg string, raw []byte) ([]event, error) {
	cmd := exec.CommandContext(ctx, "go", "tool", "test2json", "-p", pkg)
	cmd.Stdin = bytes.NewReader(raw)
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("cannot read the tests' output: %w", err)
	}
	var events []event
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return nil, fmt.Errorf("cannot read the tests' output: %w", err)
		}
		events = append(events, e)
	}
	return events, lines.Err()
}

// node is a test of the guest with its subtests in the order in which they began. The root is the package.
type node struct {
	name     string
	action   string // pass, fail or skip; "" when it did not finish
	output   strings.Builder
	children []*node
}

// grow makes the tree of tests from their events.
func grow(events []event) *node {
	root := &node{}
	index := map[string]*node{"": root}
	for _, e := range events {
		n := index[e.Test]
		if n == nil {
			n = plant(index, e.Test)
		}
		switch e.Action {
		case "output":
			if !isFrame(e.Output) {
				n.output.WriteString(e.Output)
			}
		case "pass", "fail", "skip":
			n.action = e.Action
		}
	}
	return root
}

// plant adds a test below the longest prefix of its name that is a test: a subtest's own name may hold slashes.
func plant(index map[string]*node, test string) *node {
	parent, name := "", test
	for i := len(test) - 1; i > 0; i-- {
		if _, ok := index[test[:i]]; ok && test[i] == '/' {
			parent, name = test[:i], test[i+1:]
			break
		}
	}
	n := &node{name: name}
	index[parent].children = append(index[parent].children, n)
	index[test] = n
	return n
}

// isFrame recognises the lines by which package testing frames a test; the replay has its own.
func isFrame(line string) bool {
	line = strings.TrimLeft(line, " ")
	for _, p := range []string{"=== RUN ", "=== PAUSE ", "=== CONT ", "=== NAME ", "--- PASS: ", "--- FAIL: ", "--- SKIP: "} {
		if strings.HasPrefix(line, p) {
			return true
		}
	}
	return line == "PASS\n" || line == "FAIL\n"
}

// replay reports the tests below n as subtests of t.
func (n *node) replay(t *testing.T) {
	t.Helper()
	for _, c := range n.children {
		t.Run(c.name, func(t *testing.T) {
			t.Helper()
			c.replay(t)
			c.conclude(t)
		})
	}
	if n.name == "" && n.output.Len() > 0 {
		t.Logf("in the guest:\n%s", n.output.String())
	}
}

func (n *node) conclude(t *testing.T) {
	t.Helper()
	text := strings.TrimRight(n.output.String(), "\n")
	switch n.action {
	case "skip":
		t.Skip(text)
	case "fail":
		t.Error(text)
	case "pass":
		if text != "" {
			t.Log(text)
		}
	default:
		t.Errorf("did not finish in the guest\n%s", text)
	}
}
