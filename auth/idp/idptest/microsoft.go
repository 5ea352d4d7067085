package idptest

import (
	"fmt"
	"net/http"
	"strconv"
	"testing"
)

// What Entra ID of this package knows.
const (
	Tenant = "72f988bf-86f1-41af-91ab-2d7cd011db47"
	AdaOID = "00000000-0000-0000-66f3-3332eca7ea81"
)

// EntraAda is an account of the tenant.
var EntraAda = User{
	Sub: "pairwise-subject", Name: "Ada Lovelace", Username: "ada@contoso.example",
	Claims: map[string]any{"oid": AdaOID, "tid": Tenant, "email": "ada@contoso.example", "groups": []string{"6a1f"}, "ver": "2.0"},
}

// A Microsoft is Entra ID with one tenant, and Graph, whose lists come two by
// two.
type Microsoft struct {
	*Provider
	groups []string
}

// NewMicrosoft starts a Microsoft where EntraAda signs in.
func NewMicrosoft(t testing.TB) *Microsoft {
	m := &Microsoft{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET graph.microsoft.com/v1.0/me/transitiveMemberOf", m.memberOf)
	m.Provider = at(t, "https://login.microsoftonline.com/"+Tenant+"/v2.0", mux, "graph.microsoft.com")
	m.SignIn(EntraAda)
	return m
}

// Overflow puts everybody into groups that are too many for a token, which
// then says where to ask for them.
func (m *Microsoft) Overflow(groups ...string) {
	m.mu.Lock()
	m.groups = groups
	m.mu.Unlock()
	m.Tweak(func(a *Answer) {
		delete(a.Claims, "groups")
		a.Claims["_claim_names"] = map[string]string{"groups": "src1"}
		// As Entra does to this day: an API that is gone.
		a.Claims["_claim_sources"] = map[string]any{"src1": map[string]string{"endpoint": "https://graph.windows.net/gone/getMemberObjects"}}
	})
}

func (m *Microsoft) memberOf(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.tokens[bearer(r)]; !ok {
		writeJSON(w, http.StatusUnauthorized, map[string]any{"error": map[string]any{
			"code": "InvalidAuthenticationToken", "message": "Access token is empty.",
		}})
		return
	}
	objects := []map[string]string{{"@odata.type": "#microsoft.graph.directoryRole", "id": "role-of-an-administrator"}}
	for _, group := range m.groups {
		objects = append(objects, map[string]string{"@odata.type": "#microsoft.graph.group", "id": group})
	}
	from, _ := strconv.Atoi(r.URL.Query().Get("$skiptoken"))
	from = min(from, len(objects))
	to := min(from+2, len(objects))
	page := map[string]any{"@odata.context": "https://graph.microsoft.com/v1.0/$metadata#directoryObjects", "value": objects[from:to]}
	if to < len(objects) {
		page["@odata.nextLink"] = fmt.Sprintf("https://graph.microsoft.com/v1.0/me/transitiveMemberOf?$select=id&$top=999&$skiptoken=%d", to)
	}
	writeJSON(w, http.StatusOK, page)
}
