package gateway

import "testing"

func TestStrictTransportIsAskedForWhereItHarmsNobody(t *testing.T) {
	for host, want := range map[string]bool{
		"mcp.example.com": true, "xn--bcher-kva.example": true,
		"mcp.example.com:8443": false, "localhost": false, "notes.localhost": false, "nas": false, "192.0.2.1": false, "[2001:db8::1]": false,
	} {
		t.Run(host, func(t *testing.T) {
			if got := mayBeStrict(host); got != want {
				t.Errorf("%v", got)
			}
		})
	}
}
