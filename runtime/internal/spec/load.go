package spec

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-oci/berth/runtime/internal/host"
)

// Load reads BUNDLE/config.json (bundle.md). The error names the file and the JSON path inside it. What the values mean is
// not looked at: that is Validate's part.
func Load(bundle string) (*specs.Spec, error) {
	s, _, err := load(bundle)
	return s, err
}

// load is Load that gives the text too.
func load(bundle string) (*specs.Spec, string, error) {
	file := filepath.Join(bundle, "config.json")
	text, err := readBounded(file)
	if err != nil {
		return nil, "", fmt.Errorf("cannot read %s: %w", file, err)
	}
	s, _, err := Parse(text)
	if err != nil {
		return nil, "", fmt.Errorf("cannot use %s: %w", file, err)
	}
	return s, text, nil
}

// Parse reads the text of a config.json. unknown are the JSON paths of the first sixteen members that are none of
// runtime-spec's for Linux; they are ignored, as config.md "Extensibility" demands, and may be worth a warning.
func Parse(text string) (s *specs.Spec, unknown []string, err error) {
	s = new(specs.Spec)
	unknown, err = parse(text, s, readSpec)
	return s, unknown, err
}

// ParseProcess reads the JSON of a process object alone, as exec --process takes it.
func ParseProcess(text string) (*specs.Process, error) {
	p := new(specs.Process)
	_, err := parse(text, p, readProcess)
	return p, err
}

// ParseResources reads the JSON of a linux.resources object alone, as update --resources takes it.
func ParseResources(text string) (*specs.LinuxResources, error) {
	v := new(specs.LinuxResources)
	_, err := parse(text, v, readResources)
	return v, err
}

// ParseMounts reads the JSON of mounts alone, as the verb mounts takes it: an array, or an object that has it as its member "mounts".
func ParseMounts(text string) ([]specs.Mount, error) {
	if strings.HasPrefix(strings.TrimLeft(text, " \t\r\n"), "[") {
		text = `{"mounts":` + text + "}"
	}
	s := new(specs.Spec)
	_, err := parse(text, s, func(r *reader, v *specs.Spec) {
		r.object(func(key string) {
			if key == "mounts" {
				objects(r, &v.Mounts, readMount)
				return
			}
			r.other()
		}, "mounts")
	})
	return s.Mounts, err
}

// OpenMounts validates and resolves mounts that are added to a container. They are held to the same rules as those of its
// config, raw, whose own the Spec does not have.
func OpenMounts(raw *specs.Spec, bundle string, mounts []specs.Mount, h host.Host) (Spec, []Finding, error) {
	part := &specs.Spec{Version: raw.Version, Root: raw.Root, Linux: raw.Linux, Mounts: mounts}
	found := Validate(part, h)
	if err := Refusal(found); err != nil {
		return Spec{}, found, err
	}
	s, err := Resolve(part, bundle)
	return s, found, err
}

func parse[T any](text string, v *T, read func(*reader, *T)) ([]string, error) {
	if len(text) > MaxConfig {
		return nil, tooLong(len(text))
	}
	r := &reader{s: strings.TrimPrefix(text, "\ufeff")}
	if r.peek() != '{' {
		r.mismatch("an object")
	}
	read(r, v)
	if r.err == nil && r.peek() != 0 || r.err == nil && r.pos < len(r.s) {
		r.syntax("found %s after the end", r.kind())
	}
	return r.unknown, r.err
}

// readBounded reads a regular file of at most MaxConfig bytes. A FIFO or a device in its place is refused without waiting.
// The file is read by system calls, not by package os, which would start the network poller for it.
func readBounded(file string) (string, error) {
	fd, err := syscall.Open(file, syscall.O_RDONLY|syscall.O_CLOEXEC|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return "", err
	}
	defer syscall.Close(fd)
	var st syscall.Stat_t
	switch err := syscall.Fstat(fd, &st); {
	case err != nil:
		return "", err
	case st.Mode&syscall.S_IFMT != syscall.S_IFREG:
		return "", errors.New("not a regular file")
	case st.Size > MaxConfig:
		return "", tooLong(int(st.Size))
	}
	return readAll(fd, int(st.Size))
}

// readAll reads to the end of the file, which may have grown since it was measured; Parse checks the bound again.
func readAll(fd, size int) (string, error) {
	b := make([]byte, 0, size+512)
	for len(b) <= MaxConfig {
		n, err := syscall.Read(fd, b[len(b):cap(b)])
		switch {
		case err == syscall.EINTR:
			continue
		case err != nil:
			return "", err
		case n == 0:
			return string(b), nil
		}
		b = b[:len(b)+n]
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
	}
	return "", tooLong(len(b))
}

func tooLong(n int) error {
	return fmt.Errorf("%d bytes are more than the %d that are accepted", n, MaxConfig)
}
