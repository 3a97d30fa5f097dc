package store

import (
	"path/filepath"
	"testing"
)

// BenchmarkCreate is all that one create and delete ask of the store.
func BenchmarkCreate(b *testing.B) {
	root := filepath.Join(b.TempDir(), "root")
	for b.Loop() {
		s, err := Open(root)
		if err != nil {
			b.Fatal(err)
		}
		e, err := s.Claim("box")
		if err != nil {
			b.Fatal(err)
		}
		for _, err := range []error{e.Lock(), e.Record(records...), e.Save(State{Bundle: "/b"}), e.Save(State{Bundle: "/b"}), e.Remove(), e.Close(), s.Close()} {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}
