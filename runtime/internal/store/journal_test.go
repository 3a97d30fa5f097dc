package store

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

var records = []Undo{
	{Kind: UndoCgroup, Path: "/sys/fs/cgroup/pids/a\nb"},
	{Kind: UndoNetworkDevice, Name: "eth0", Former: "veth1", Namespace: "/proc/1/ns/net"},
	{Kind: UndoProcess, Process: Process{Pid: 3, Start: 4, Boot: "x"}, Extra: json.RawMessage(`{"a":1}`)},
}

func init() {
	for i := range records {
		records[i].Boot, _ = bootID()
	}
}

func TestOnlyFilesLastBeyondABoot(t *testing.T) {
	_, e := openLocked(t)
	for _, kind := range undoKinds {
		must(t, e.Record(Undo{Kind: kind}))
	}
	now, err := e.Journal()
	must(t, err)
	for _, u := range now {
		if lasts, err := u.Lasts(); err != nil || !lasts {
			t.Errorf("%s of this boot: %v, %v", u.Kind, lasts, err)
		}
		u.Boot = "earlier"
		file := u.Kind == UndoFile || u.Kind == UndoDirectory
		if lasts, err := u.Lasts(); err != nil || lasts != file {
			t.Errorf("%s of an earlier boot: %v, %v, want %v", u.Kind, lasts, err, file)
		}
	}
}

func TestJournalReturnsTheRecordsInOrder(t *testing.T) {
	s, e := openLocked(t)
	if undo, err := e.Journal(); err != nil || undo != nil {
		t.Fatalf("Journal = %v, %v before any record", undo, err)
	}
	must(t, e.Record(records[:2]...))
	must(t, e.Record(records[2]))
	other, err := s.Lookup("box")
	must(t, err)
	defer other.Close()
	got, err := other.Journal()
	must(t, err)
	if !reflect.DeepEqual(got, records) {
		t.Errorf("Journal = %+v\nwant      %+v", got, records)
	}
}

func TestJournalSurvivesATornWriteAtEveryByte(t *testing.T) {
	s, e := openLocked(t)
	must(t, e.Record(records...))
	path := filepath.Join(e.Dir(), journalFile)
	whole, err := os.ReadFile(path)
	must(t, err)
	for cut := range len(whole) + 1 {
		must(t, os.WriteFile(path, whole[:cut], 0o600))
		lines := strings.Count(string(whole[:cut]), "\n")
		got, err := e.Journal()
		if err != nil || len(got) != lines {
			t.Fatalf("cut at %d: %d records, %v; want %d", cut, len(got), err, lines)
		}
		next, err := s.Lookup("box") // the command that cleans up records something itself
		must(t, err)
		e.Unlock()
		must(t, next.Lock())
		must(t, next.Record(records[0]))
		got, err = next.Journal()
		if want := append(records[:lines:lines], records[0]); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("cut at %d, then a record: %+v, %v; want %+v", cut, got, err, want)
		}
		next.Close()
	}
}

func TestABrokenLineIsNamedAndTheOthersAreKept(t *testing.T) {
	_, e := openLocked(t)
	must(t, e.Record(records...))
	path := filepath.Join(e.Dir(), journalFile)
	whole, err := os.ReadFile(path)
	must(t, err)
	lines := strings.SplitAfter(string(whole), "\n")
	lines[1] = "mount\n"
	must(t, os.WriteFile(path, []byte(strings.Join(lines, "")), 0o600))
	got, err := e.Journal()
	wantError(t, err, nil, path, "line 2", "a value is missing")
	if want := []Undo{records[0], records[2]}; !reflect.DeepEqual(got, want) {
		t.Errorf("Journal = %+v, want %+v", got, want)
	}
}
