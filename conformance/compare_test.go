package conformance

import "testing"

func reportOf(outcomes map[string]Outcome, order ...string) Report {
	var report Report
	for _, name := range order {
		report.Results = append(report.Results, Result{Check: Check{Name: name}, Outcome: outcomes[name]})
	}
	return report
}

func TestCompareFindsWhatGotWorse(t *testing.T) {
	before := reportOf(map[string]Outcome{"a": Pass, "b": Fail, "c": Pass, "d": Pass, "e": Pass}, "a", "b", "c", "d", "e")
	after := reportOf(map[string]Outcome{"a": Pass, "b": Pass, "c": Fail, "d": Skip, "f": Fail, "g": Pass}, "a", "b", "c", "d", "f", "g")
	want := map[string]bool{"b": false, "c": true, "d": true, "f": true, "g": false, "e": true}
	changes := Compare(before, after)
	if len(changes) != len(want) {
		t.Errorf("%d changes, want %d: %+v", len(changes), len(want), changes)
	}
	for _, change := range changes {
		worse, known := want[change.Name]
		if !known || change.Worse() != worse {
			t.Errorf("%s: %s -> %s is worse: %v", change.Name, change.Was, change.Is, change.Worse())
		}
	}
}

func TestNeedsNameWhatIsMissing(t *testing.T) {
	env := &Env{Kernel: "5.10.0", kernel: [2]int{5, 10}, Machine: "riscv64", Controllers: map[string]string{}, Unified: true}
	for _, need := range []Need{needKernel(5, 12), needController("memory"), needV1, needFilesystem("mqueue"), needNamespace("time"),
		needCapability("CAP_MKNOD", 27), needFile("/no/such/file"), needMachine("x86_64"), needAnyCgroup} {
		if need(env) == "" {
			t.Error("a need is met by a machine that offers nothing")
		}
	}
	if needKernel(5, 10)(env) != "" || needKernel(4, 20)(env) != "" || needUnified(env) != "" {
		t.Error("a need is missing although the machine offers it")
	}
}

func TestYoungClausesAreLeftOutOfAnOlderSpecification(t *testing.T) {
	env := &Env{Root: true}
	check := Check{Since: "1.3.0"}
	if env.missing(check, &Options{Spec: "1.2.1"}) == "" {
		t.Error("a clause of 1.3.0 counts for 1.2.1")
	}
	if reason := env.missing(check, &Options{Spec: "1.3.0"}); reason != "" {
		t.Errorf("a clause of 1.3.0 does not count for 1.3.0: %s", reason)
	}
	if env.missing(Check{}, &Options{Spec: "1.3.0"}) != "" || (&Env{}).missing(Check{}, &Options{Spec: "1.3.0"}) == "" {
		t.Error("a check that needs root runs without, or not with it")
	}
}

func TestAFailingCheckTellsWhy(t *testing.T) {
	run := func(level Level, body func(*T)) Result {
		tt := &T{Env: &Env{Root: true}, options: &Options{Spec: SpecVersion}, Dir: t.TempDir() + "/check"}
		return runCheck(t.Context(), Check{Name: "x/y", Clause: Clause{Level: level}, Run: body}, tt)
	}
	for _, c := range []struct {
		level Level
		body  func(*T)
		want  Outcome
	}{
		{Must, func(*T) {}, Pass},
		{Must, func(t *T) { t.Errorf("wrong") }, Fail},
		{Must, func(t *T) { t.Fatalf("wrong") }, Fail},
		{Should, func(t *T) { t.Fatalf("wrong") }, Warn},
		{Must, func(t *T) { t.Skipf("missing") }, Skip},
		{Must, func(t *T) { t.Errorf("wrong"); t.Skipf("missing") }, Fail},
		{Must, func(*T) { panic("a bug of the check") }, Fail},
	} {
		got := run(c.level, c.body)
		if got.Outcome != c.want {
			t.Errorf("the outcome is %s, want %s", got.Outcome, c.want)
		}
		if (got.Outcome == Pass) != (len(got.Reasons) == 0) {
			t.Errorf("%s has the reasons %v", got.Outcome, got.Reasons)
		}
	}
}
