package release

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
)

// A .deb is an ar archive (deb(5)): debian-binary, control.tar.gz, data.tar.xz. nfpm counts Installed-Size in a way of its own,
// so the control member is written anew with the right one, and everything else is passed on byte for byte.

const arMagic = "!<arch>\n"

// arMember is a file of an ar archive: a header of 60 bytes, then the data, padded to an even length.
type arMember struct {
	header string
	data   []byte
}

func (m arMember) name() string { return strings.TrimRight(m.header[:16], " /") }

// readAr takes an ar archive apart.
func readAr(archive []byte) ([]arMember, error) {
	rest, ok := bytes.CutPrefix(archive, []byte(arMagic))
	if !ok {
		return nil, errors.New("not an ar archive")
	}
	var all []arMember
	for len(rest) > 0 {
		if len(rest) < 60 {
			return nil, errors.New("the ar archive is cut short")
		}
		header := string(rest[:60])
		size, err := strconv.Atoi(strings.TrimSpace(header[48:58]))
		if err != nil || size < 0 || size > len(rest)-60 {
			return nil, fmt.Errorf("a member of the ar archive has the size %q", header[48:58])
		}
		all = append(all, arMember{header, rest[60 : 60+size]})
		rest = rest[min(60+size+size%2, len(rest)):]
	}
	return all, nil
}

// writeAr puts an ar archive together.
func writeAr(members []arMember) []byte {
	b := bytes.NewBufferString(arMagic)
	for _, m := range members {
		fmt.Fprintf(b, "%s%-10d%s", m.header[:48], len(m.data), m.header[58:])
		b.Write(m.data)
		if len(m.data)%2 == 1 {
			b.WriteByte('\n')
		}
	}
	return b.Bytes()
}

var installedSizeField = regexp.MustCompile(`(?m)^Installed-Size: \d+$`)

// withInstalledSize sets the field Installed-Size of a .deb, in KiB.
func withInstalledSize(archive []byte, size int64) ([]byte, error) {
	members, err := readAr(archive)
	if err != nil {
		return nil, err
	}
	for i, m := range members {
		if m.name() != "control.tar.gz" {
			continue
		}
		members[i].data, err = rewriteControl(m.data, func(control []byte) ([]byte, error) {
			if len(installedSizeField.FindAllIndex(control, -1)) != 1 {
				return nil, errors.New("the control file has no single Installed-Size")
			}
			return installedSizeField.ReplaceAllLiteral(control, fmt.Appendf(nil, "Installed-Size: %d", size)), nil
		})
		return writeAr(members), err
	}
	return nil, errors.New("the package has no control.tar.gz")
}

// rewriteControl copies a control.tar.gz with the file control changed.
func rewriteControl(archive []byte, change func([]byte) ([]byte, error)) ([]byte, error) {
	unzipped, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	zipped, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if err := copyTar(tar.NewReader(unzipped), tar.NewWriter(zipped), change); err != nil {
		return nil, err
	}
	if err := zipped.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func copyTar(in *tar.Reader, out *tar.Writer, change func([]byte) ([]byte, error)) error {
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return out.Close()
		}
		if err != nil {
			return err
		}
		data, err := io.ReadAll(in)
		if err == nil && h.Name == "./control" {
			data, err = change(data)
		}
		if err != nil {
			return err
		}
		h.Size = int64(len(data))
		h.Uname, h.Gname = "root", "root"
		if err := out.WriteHeader(h); err != nil {
			return err
		}
		if _, err := out.Write(data); err != nil {
			return err
		}
	}
}
