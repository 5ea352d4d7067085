package doctor_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"mcp-oauth2-proxy/gateway/doctor"
	"mcp-oauth2-proxy/gateway/doctor/doctortest"
)

// failing is who fails where, by the outcomes of a report.
func failing(r *doctor.Report) map[string]string {
	at := map[string]string{}
	for _, o := range r.Outcomes {
		if o.Result == doctor.Wrong {
			at[o.Client] = o.Step
		}
	}
	return at
}

// at is who has a finding of a kind at a step.
func at(r *doctor.Report, step string, kind doctor.Result) []string {
	var who []string
	for _, s := range r.Steps {
		for _, f := range s.Findings {
			if s.Name == step && f.Result == kind {
				who = append(who, f.Clients...)
			}
		}
	}
	slices.Sort(who)
	return who
}

func examine(t *testing.T, d *doctortest.Deployment, tune func(*doctor.Options)) *doctor.Report {
	t.Helper()
	o := d.Options()
	if tune != nil {
		tune(&o)
	}
	report, err := doctor.Run(t.Context(), doctortest.URL, o)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func shown(t *testing.T, r *doctor.Report) string {
	t.Helper()
	var text strings.Builder
	for _, s := range r.Steps {
		doctor.WriteStep(&text, s)
	}
	r.WriteOutcomes(&text)
	return text.String()
}

// TestFaultsAreNamedByWhoFailsAndNobodyElse is the matrix of faults and
// clients.
func TestFaultsAreNamedByWhoFailsAndNobodyElse(t *testing.T) {
	all := doctortest.Matrix()
	if len(all) < 30 {
		t.Fatalf("the matrix has %d rows", len(all))
	}
	for _, r := range all {
		t.Run(r.Name, func(t *testing.T) {
			t.Parallel()
			report := examine(t, doctortest.Deploy(t, r.Fault), r.Tune)
			want := map[string]string{}
			for _, name := range r.Fails {
				want[name] = r.Step
			}
			if got := failing(report); !maps.Equal(got, want) {
				t.Errorf("who fails: %v\nwant:      %v (%s)\n%s", got, want, r.Why, shown(t, report))
			}
			if report.Failed() != (len(r.Fails) > 0) {
				t.Errorf("failed is %v", report.Failed())
			}
			if r.Step != "" {
				warned, sorted := at(report, r.Step, doctor.Warning), slices.Sorted(slices.Values(r.Warns))
				if !slices.Equal(warned, sorted) {
					t.Errorf("who gets a remark at %s: %v, want %v\n%s", r.Step, warned, sorted, shown(t, report))
				}
			}
		})
	}
}
