package grants

import "testing"

func TestOnlyTheNetworkOfAnAddressIsKept(t *testing.T) {
	for address, want := range map[string]string{
		"203.0.113.77":             "203.0.113.0/24",
		"::ffff:203.0.113.77":      "203.0.113.0/24",
		"2001:db8:1:2:3:4:5:6":     "2001:db8:1::/48",
		"fe80::1%eth0":             "fe80::/48",
		"127.0.0.1":                "127.0.0.0/24",
		"":                         "",
		"203.0.113.77:443":         "",
		"somebody<script>":         "",
		"203.0.113.77, 198.51.1.1": "",
	} {
		if got := Network(address); got != want {
			t.Errorf("%q: %q, want %q", address, got, want)
		}
	}
}

func TestAFamilyKnowsWhereItWasLastUsed(t *testing.T) {
	f := open(t)
	gr, token := f.redeem()
	usedFrom := func() string {
		families, err := f.OfUser(t.Context(), gr.User.Subject, issuer)
		if err != nil || len(families) != 1 {
			t.Fatalf("%v, %v", families, err)
		}
		return families[0].UsedFrom
	}
	if got := usedFrom(); got != "2001:db8:7::/48" {
		t.Errorf("after the code it was %q", got)
	}
	if _, _, err := f.Rotate(t.Context(), use(token), same); err != nil {
		t.Fatal(err)
	}
	if got := usedFrom(); got != "203.0.113.0/24" {
		t.Errorf("after a refresh it is %q", got)
	}
}
