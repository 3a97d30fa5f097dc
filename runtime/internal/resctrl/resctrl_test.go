package resctrl

import (
	"reflect"
	"testing"
)

func TestParseReadsWhatTheKernelShows(t *testing.T) {
	for line, want := range map[string]map[string]uint64{
		"    L3:0=7f0;1=01f\n": {"0": 0x7f0, "1": 0x1f},
		"L3CODE:0=0xf":         {"0": 15},
		"MB:0=20;1= 70":        {"0": 20, "1": 70},
	} {
		_, got, err := parse(line)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %v, %v", line, got, err)
		}
	}
	for _, line := range []string{"", "L3", "L3:", "L3:0", "L3:0=g", "MB:0=f", "L3:0=1;"} {
		if _, got, err := parse(line); err == nil {
			t.Errorf("%q: %v", line, got)
		}
	}
}
