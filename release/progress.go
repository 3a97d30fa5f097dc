package release

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// teller says what a release does: one line per result everywhere and, on a terminal, one more line that moves while
// something takes long.
type teller struct {
	mu       sync.Mutex
	out      io.Writer
	terminal bool
	began    time.Time // of what is being done
	label    string
	tick     chan struct{} // closed to end the moving line; nil where none moves
	ended    sync.WaitGroup
}

func newTeller(out io.Writer) *teller {
	return &teller{out: out, terminal: isTerminal(out), began: time.Now()}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil && os.Getenv("TERM") != "dumb"
}

// doing shows that something is being done, until the function it returns is called (a second call does nothing). The time
// of the next results counts from here.
func (t *teller) doing(stage, what string) (stop func()) {
	t.stop()
	t.mu.Lock()
	t.began, t.label = time.Now(), fmt.Sprintf("%-9s %s", stage, what)
	t.mu.Unlock()
	if !t.terminal {
		return func() {}
	}
	tick := make(chan struct{})
	t.tick = tick
	t.ended.Go(func() { t.move(tick) })
	return t.stop
}

func (t *teller) move(tick chan struct{}) {
	for frame := 0; ; frame++ {
		select {
		case <-tick:
			return
		case <-time.After(100 * time.Millisecond):
			t.mu.Lock()
			fmt.Fprintf(t.out, "\r\x1b[K%c %s  %.0fs", "|/-\\"[frame%4], t.label, time.Since(t.began).Seconds())
			t.mu.Unlock()
		}
	}
}

// relabel changes what the moving line says.
func (t *teller) relabel(stage, what string) {
	t.mu.Lock()
	t.label = fmt.Sprintf("%-9s %s", stage, what)
	t.mu.Unlock()
}

// stop ends the moving line and wipes it.
func (t *teller) stop() {
	if t.tick == nil {
		return
	}
	close(t.tick)
	t.ended.Wait()
	t.tick = nil
	fmt.Fprint(t.out, "\r\x1b[K")
}

// artefact tells of one file: its stage, name, size and how long it took since doing or the artefact before.
func (t *teller) artefact(stage, path string, size int64) {
	t.stop()
	fmt.Fprintf(t.out, "%-9s %-60s %10s %7.1fs\n", stage, filepath.Base(path), bytesText(size), time.Since(t.began).Seconds())
	t.began = time.Now()
}

// fact tells of a result that is no file.
func (t *teller) fact(stage, what string) {
	t.stop()
	fmt.Fprintf(t.out, "%-9s %s\n", stage, what)
	t.began = time.Now()
}

// warn says what a person must not miss.
func (t *teller) warn(text string) {
	t.stop()
	for line := range strings.Lines(text) {
		fmt.Fprintf(t.out, "WARNING   %s\n", strings.TrimSuffix(line, "\n"))
	}
	t.began = time.Now()
}
