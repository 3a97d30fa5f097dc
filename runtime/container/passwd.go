package container

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/berth-oci/berth/runtime/internal/kernel"
)

// Fields of a line of passwd(5).
const (
	passwdName = 0
	passwdUID  = 2
	passwdHome = 5
)

// home finds the user's home directory in the image's passwd file; "/" if it has none, as runc does.
func home(root string, uid uint32) string {
	if h := passwd(root, uid, passwdHome); strings.HasPrefix(h, "/") {
		return h
	}
	return "/"
}

// owner is the name of the user who made a container, or the number where the machine has no name for it.
func owner(uid uint32) string {
	if uid == 0 {
		return "root" // no file to read for the most frequent answer
	}
	if name := passwd("/", uid, passwdName); name != "" {
		return name
	}
	return strconv.FormatUint(uint64(uid), 10)
}

// passwd finds a field of the user's line. The file is opened below the root filesystem and read to a bound, whatever the
// image has put there.
func passwd(root string, uid uint32, field int) string {
	fd, err := kernel.OpenInRoot(root, "etc/passwd", syscall.O_RDONLY|syscall.O_NONBLOCK)
	if err != nil {
		return ""
	}
	f := os.NewFile(uintptr(fd), "passwd")
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return ""
	}
	id := strconv.FormatUint(uint64(uid), 10)
	const mostLines = 100_000
	lines := bufio.NewScanner(f)
	for n := 0; n < mostLines && lines.Scan(); n++ {
		if fields := strings.Split(lines.Text(), ":"); len(fields) > passwdHome && fields[passwdUID] == id {
			return fields[field]
		}
	}
	return ""
}
