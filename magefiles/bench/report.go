package bench

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// Write prints the comparison as Markdown: medians, and their ratios.
func (c *Comparison) Write(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# Performance\n\nOne run of `go tool mage bench`: the runtimes take turns in an order of chance, at least %d ms apart; medians of wall-clock times.\n", pause.Milliseconds())
	b.WriteString("The bundle is the one that `berth spec` writes, with a static busybox.\n\n")
	fmt.Fprintf(&b, "Machine: %s, %d processors, %s.\n", kernel(), runtime.NumCPU(), cgroups())
	if c.Hidden != "" {
		fmt.Fprintf(&b, "`%s` is out of the runtimes' sight, since crun takes no tree with controllers in both versions.\n", c.Hidden)
	}
	b.WriteString("\nRuntimes: ")
	for i, contender := range c.Contenders {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s (%s)", contender.Name, contender.Version)
	}
	b.WriteString(".\n\n")
	first := c.Contenders[0].Name
	heading := []string{"", "rounds"}
	for _, contender := range c.Contenders {
		heading = append(heading, contender.Name)
	}
	for _, peer := range c.Contenders[1:] {
		heading = append(heading, first+" / "+peer.Name)
	}
	line(&b, heading)
	line(&b, make([]string, len(heading)), "---")
	for _, r := range c.Rows {
		cells := []string{r.Name, fmt.Sprint(r.Rounds)}
		for i := range c.Contenders {
			cells = append(cells, ms(r.Median(i)))
		}
		for i := range c.Contenders[1:] {
			cells = append(cells, fmt.Sprintf("%.2f", float64(r.Median(0))/float64(r.Median(i+1))))
		}
		line(&b, cells)
	}
	b.WriteString("\n")
	heading = heading[:2+len(c.Contenders)]
	line(&b, append(heading[:1:1], heading[2:]...))
	line(&b, make([]string, len(heading)-1), "---")
	for _, f := range c.Figures {
		cells := []string{f.Name}
		for _, n := range f.Bytes {
			cells = append(cells, kib(n))
		}
		line(&b, cells)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// line writes a row of a table; fill stands in for empty cells.
func line(b *strings.Builder, cells []string, fill ...string) {
	for _, cell := range cells {
		if cell == "" && len(fill) > 0 {
			cell = fill[0]
		}
		fmt.Fprintf(b, "| %s ", cell)
	}
	b.WriteString("|\n")
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond)) }

func kib(n int64) string {
	if n < 0 {
		return "none"
	}
	return fmt.Sprintf("%d KiB", n/1024)
}

func kernel() string {
	text, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return runtime.GOARCH
	}
	return "Linux " + strings.TrimSpace(string(text)) + " " + runtime.GOARCH
}

func cgroups() string {
	var fs syscall.Statfs_t
	const cgroup2Magic = 0x63677270 // statfs(2)
	if syscall.Statfs("/sys/fs/cgroup", &fs) == nil && fs.Type == cgroup2Magic {
		return "cgroup v2"
	}
	return "cgroup v1 or hybrid"
}
