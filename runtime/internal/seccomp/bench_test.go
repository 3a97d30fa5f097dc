package seccomp

import (
	"testing"
)

func BenchmarkCompileDocker(b *testing.B) {
	for _, machine := range []string{"amd64", "arm64"} {
		b.Run(machine, func(b *testing.B) {
			p := docker(b, machine)
			var size int
			for b.Loop() {
				f, err := Compile(p, machine)
				if err != nil {
					b.Fatal(err)
				}
				size = len(f.Program) / 8
			}
			b.ReportMetric(float64(size), "instructions")
		})
	}
}
