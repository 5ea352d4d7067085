package idptest

import (
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwt"
)

// What the directory of a Google is asked with.
const (
	WorkspaceAdmin = "admin@example.com"
	serviceAccount = "gateway@project.iam.gserviceaccount.com"
	directoryPath  = "/admin/directory/v1"
)

// A Member is somebody in the directory of a Workspace.
type Member struct {
	ID        string
	Email     string
	Suspended bool
	Archived  bool
	Groups    []string // addresses
}

// A Google is accounts.google.com, and the directory of a Workspace, whose
// groups come two by two.
type Google struct {
	*Provider
	members   map[string]Member
	keys      []*rsa.PublicKey // of service accounts
	delegated map[string]bool  // access tokens that speak for the administrator
	plain     map[string]bool  // access tokens of the service account itself
}

// GoogleAda is an account of the Workspace example.com.
var GoogleAda = User{Sub: "108", Email: "ada@example.com", Name: "Ada Lovelace", Claims: map[string]any{"hd": "example.com", "azp": ClientID}}

// NewGoogle starts a Google where GoogleAda signs in.
func NewGoogle(t testing.TB) *Google {
	g := &Google{members: map[string]Member{}, delegated: map[string]bool{}, plain: map[string]bool{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST oauth2.googleapis.com/token", g.assertion)
	mux.HandleFunc("POST iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/{account}", g.signJWT)
	mux.HandleFunc("POST sts.googleapis.com/v1/token", g.workloadToken)
	mux.HandleFunc("GET admin.googleapis.com"+directoryPath+"/users/{id}", g.asAdmin(g.directoryUser))
	mux.HandleFunc("GET admin.googleapis.com"+directoryPath+"/groups", g.asAdmin(g.directoryGroups))
	g.Provider = at(t, "https://accounts.google.com", mux,
		"oauth2.googleapis.com", "iamcredentials.googleapis.com", "sts.googleapis.com", "admin.googleapis.com")
	g.SignIn(GoogleAda)
	return g
}

// Employ puts somebody into the directory, or replaces them.
func (g *Google) Employ(m Member) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.members[m.ID] = m
}

// Dismiss deletes somebody from the directory.
func (g *Google) Dismiss(id string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.members, id)
}

// ServiceAccount writes the JSON key of a service account with domain-wide
// delegation and returns its path.
func (g *Google) ServiceAccount(t testing.TB) string {
	t.Helper()
	key, text := rsaKey(t)
	g.mu.Lock()
	g.keys = append(g.keys, &key.PublicKey)
	g.mu.Unlock()
	return writeCredentials(t, map[string]any{
		"type": "service_account", "client_email": serviceAccount, "private_key_id": "1", "private_key": text,
		"token_uri": "https://oauth2.googleapis.com/token",
	})
}

// WorkloadIdentity writes credentials that hold no key: a token of another
// platform, exchanged for one of the service account.
func (g *Google) WorkloadIdentity(t testing.TB) string {
	t.Helper()
	subject := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(subject, []byte("token-of-the-platform"), 0o600); err != nil {
		t.Fatal(err)
	}
	return writeCredentials(t, map[string]any{
		"type":               "external_account",
		"audience":           "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool/providers/home",
		"subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
		"token_url":          "https://sts.googleapis.com/v1/token",
		"credential_source":  map[string]any{"file": subject},
		"service_account_impersonation_url": "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/" +
			serviceAccount + ":generateAccessToken",
	})
}

func writeCredentials(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "credentials.json")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// assertion is RFC 7523: a service account says for whom it speaks.
func (g *Google) assertion(w http.ResponseWriter, r *http.Request) {
	assertion := r.PostFormValue("assertion")
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, key := range g.keys {
		token, err := jwt.ParseString(assertion, jwt.WithKey(jwa.RS256, key), jwt.WithIssuer(serviceAccount),
			jwt.WithAudience("https://oauth2.googleapis.com/token"))
		if err != nil {
			continue
		}
		access := "ya29." + random()
		switch token.Subject() {
		case WorkspaceAdmin:
			g.delegated[access] = true
		case "":
			g.plain[access] = true
		default:
			continue
		}
		writeJSON(w, http.StatusOK, map[string]any{"access_token": access, "expires_in": 3599, "token_type": "Bearer"})
		return
	}
	writeJSON(w, http.StatusUnauthorized, map[string]string{
		"error": "unauthorized_client", "error_description": "Client is unauthorized to retrieve access tokens using this method.",
	})
}

// asAdmin answers only to who speaks for the administrator.
func (g *Google) asAdmin(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		defer g.mu.Unlock()
		switch token := bearer(r); {
		case g.delegated[token]:
			next(w, r)
		case g.plain[token]:
			googleError(w, http.StatusForbidden, "forbidden", "Not Authorized to access this resource/api")
		default:
			googleError(w, http.StatusUnauthorized, "authError", "Invalid Credentials")
		}
	}
}

func (g *Google) directoryUser(w http.ResponseWriter, r *http.Request) {
	m, ok := g.members[r.PathValue("id")]
	if !ok {
		googleError(w, http.StatusNotFound, "notFound", "Resource Not Found: userKey")
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"kind": "admin#directory#user", "id": m.ID, "primaryEmail": m.Email, "suspended": m.Suspended, "archived": m.Archived,
	})
}

func (g *Google) directoryGroups(w http.ResponseWriter, r *http.Request) {
	all := g.members[r.URL.Query().Get("userKey")].Groups
	from, _ := strconv.Atoi(r.URL.Query().Get("pageToken"))
	from = min(from, len(all))
	to := min(from+2, len(all))
	page := map[string]any{"kind": "admin#directory#groups"}
	var groups []any
	for _, group := range all[from:to] {
		groups = append(groups, map[string]any{"id": "0" + group, "email": group, "name": "Group " + group})
	}
	if groups != nil { // an empty list is left out
		page["groups"] = groups
	}
	if to < len(all) {
		page["nextPageToken"] = strconv.Itoa(to)
	}
	writeJSON(w, http.StatusOK, page)
}

func googleError(w http.ResponseWriter, status int, reason, message string) {
	writeJSON(w, status, map[string]any{"error": map[string]any{
		"code": status, "message": message,
		"errors": []any{map[string]any{"message": message, "domain": "global", "reason": reason}},
	}})
}
