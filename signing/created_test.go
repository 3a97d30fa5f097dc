package signing

import (
	"testing"
	"time"
)

func TestCreatedIsTheFirstTimeAtWhichTheKeyMaySign(t *testing.T) {
	born := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	key, err := Generate("Ada", "ada@example.org", born, 0)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Created(key.Public())
	if err != nil || !got.Equal(born) {
		t.Fatalf("created %v (%v), want %v", got, err, born)
	}
	if _, err := key.Detach([]byte("text"), got); err != nil {
		t.Errorf("the key cannot sign at its own birth: %v", err)
	}
	if _, err := key.Detach([]byte("text"), got.Add(-time.Second)); err == nil {
		t.Error("the key signs before its birth")
	}
	if _, err := Created([]byte("no keyring")); err == nil {
		t.Error("nonsense has a time of creation")
	}
}
