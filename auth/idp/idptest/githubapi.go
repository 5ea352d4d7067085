package idptest

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

func (u GitHubUser) json() map[string]any {
	// The address here is the one that the person chose to show.
	return map[string]any{"id": u.ID, "login": u.Login, "name": u.Name, "email": "shown@example.com", "type": "User"}
}

func (g *GitHub) whoAmI(w http.ResponseWriter, _ *http.Request, u GitHubUser) {
	writeJSON(w, http.StatusOK, u.json())
}

func (g *GitHub) emails(w http.ResponseWriter, r *http.Request, u GitHubUser) {
	writePage(w, r, u.Emails)
}

func (g *GitHub) teams(w http.ResponseWriter, r *http.Request, u GitHubUser) {
	var teams []map[string]any
	for _, team := range u.Teams {
		org, slug, _ := strings.Cut(team, "/")
		teams = append(teams, map[string]any{
			"slug": slug, "name": strings.ToUpper(slug), "organization": map[string]any{"login": org},
		})
	}
	writePage(w, r, teams)
}

func (g *GitHub) membership(w http.ResponseWriter, r *http.Request, u GitHubUser) {
	state, ok := u.Orgs[strings.ToLower(r.PathValue("org"))]
	if !ok {
		gitHubError(w, http.StatusNotFound, "Not Found")
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"state": state, "role": "member", "user": u.json(), "organization": map[string]any{"login": r.PathValue("org")},
	})
}

// writePage writes the page that is asked for and links to the next.
func writePage[T any](w http.ResponseWriter, r *http.Request, all []T) {
	page, err := strconv.Atoi(r.URL.Query().Get("page"))
	if err != nil || page < 1 {
		page = 1
	}
	from, to := min((page-1)*gitHubPage, len(all)), min(page*gitHubPage, len(all))
	if to < len(all) {
		next := *r.URL
		next.Scheme, next.Host = "https", r.Host
		q := next.Query()
		q.Set("page", strconv.Itoa(page+1))
		next.RawQuery = q.Encode()
		w.Header().Set("Link", fmt.Sprintf(`<https://%s/first>; rel="first", <%s>; rel="next"`, r.Host, next.String()))
	}
	writeJSON(w, http.StatusOK, append([]T{}, all[from:to]...))
}
