package vm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// uncompress lays the ELF kernel beside a kernel for x86 that carries it compressed. qemu enters that by the PVH note
// of Xen's, and the guest is spared a fifth of its boot: unpacking itself under emulation. Kernels that hold something
// else are left as they are.
func uncompress(dir string) error {
	path, err := imageIn(dir)
	if err != nil {
		return err
	}
	image, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	elf, err := payload(image)
	if errors.Is(err, errNoPayload) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot uncompress kernel %s: %w", path, err)
	}
	return os.WriteFile(plainImage(path), elf, 0o644)
}

// plainImage is where the ELF kernel of a compressed one lies.
func plainImage(path string) string {
	return filepath.Join(filepath.Dir(path), strings.Replace(filepath.Base(path), "vmlinuz", "vmlinux", 1))
}

var errNoPayload = errors.New("no zstd payload")

// payload returns what a bzImage unpacks, by the header of the kernel's Documentation/arch/x86/boot.rst (protocol 2.08).
func payload(image []byte) ([]byte, error) {
	if len(image) < 0x250 || string(image[0x202:0x206]) != "HdrS" {
		return nil, errNoPayload
	}
	sectors := int(image[0x1f1])
	if sectors == 0 {
		sectors = 4
	}
	start := (sectors+1)*512 + int(binary.LittleEndian.Uint32(image[0x248:]))
	end := start + int(binary.LittleEndian.Uint32(image[0x24c:])) - 4 // the last four bytes are the size it unpacks to
	if start < 0 || end > len(image) || end < start+4 || !bytes.Equal(image[start:start+4], []byte{0x28, 0xb5, 0x2f, 0xfd}) {
		return nil, errNoPayload
	}
	r, err := zstd.NewReader(nil)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	elf, err := r.DecodeAll(image[start:end], nil)
	if err == nil && !bytes.HasPrefix(elf, []byte("\x7fELF")) {
		return nil, errNoPayload
	}
	return elf, err
}
