package launch

import (
	"os"
	"syscall"
	"testing"
)

// TestImageSurvivesWhatTheForkMoves forks with descriptors in an order in which some must move, and the image where they
// would move to.
func TestImageSurvivesWhatTheForkMoves(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	at := func(n int) int { // the lowest free number from n on
		fd, _, errno := syscall.Syscall(syscall.SYS_FCNTL, null.Fd(), syscall.F_DUPFD_CLOEXEC, uintptr(n))
		if errno != 0 {
			t.Fatal(errno)
		}
		t.Cleanup(func() { syscall.Close(int(fd)) })
		return int(fd)
	}
	high := uintptr(at(100))
	list := append(make([]uintptr, 40), high) // 40 of standard input
	for _, c := range []struct {
		image int
		moves bool
	}{{at(3), true}, {at(60), false}, {at(int(high) + 1), true}, {at(int(high) + 5), true}} {
		first := c.image
		image, err := outOfTheWay(first, list)
		if err != nil {
			t.Fatal(err)
		}
		defer syscall.Close(image)
		if (image != first) != c.moves {
			t.Errorf("descriptor %d became %d", first, image)
		}
		if image < len(list) || image >= int(high) && image <= int(high)+len(list)+2 {
			t.Errorf("descriptor %d became %d, which the fork may take", first, image)
		}
	}
}
