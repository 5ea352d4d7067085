package idp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"golang.org/x/oauth2"
)

const (
	gitHubWeb = "https://github.com"
	gitHubAPI = "https://api.github.com"
)

// gitHub is plain OAuth: there is no ID token, so who somebody is comes from
// the API, by the number that a renamed account keeps.
type gitHub struct {
	conf         oauth2.Config
	organization string
	teams        bool // ask for them with the person's own token
	app          *gitHubApp
	naming       naming
	client       *http.Client
	log          *slog.Logger
}

func newGitHub(c Config, o Options) (*gitHub, error) {
	key, err := appKey(o.Getenv)
	if err != nil {
		return nil, err
	}
	f := &gitHub{
		organization: c.Organization,
		naming:       c.naming(),
		client:       o.Client,
		log:          o.Log,
		conf: oauth2.Config{
			ClientID:     c.ClientID,
			ClientSecret: c.ClientSecret,
			Scopes:       withScopes([]string{"read:user", "user:email"}, c.Scopes),
			Endpoint: oauth2.Endpoint{
				AuthURL:   gitHubWeb + "/login/oauth/authorize",
				TokenURL:  gitHubWeb + "/login/oauth/access_token",
				AuthStyle: oauth2.AuthStyleInParams,
			},
		},
	}
	if key != nil && c.Organization != "" {
		f.app = newGitHubApp(key, c, o)
		return f, nil
	}
	const readOrg = "read:org"
	if f.teams = c.Organization != "" || len(c.AllowedGroups) > 0 || slices.Contains(c.Scopes, readOrg); f.teams {
		f.conf.Scopes = withScopes(f.conf.Scopes, []string{readOrg})
	}
	return f, nil
}

// Begin implements Flow.
func (f *gitHub) Begin(_ context.Context, a Attempt) (string, error) { return authURL(f.conf, a) }

// Finish implements Flow.
func (f *gitHub) Finish(ctx context.Context, a Attempt, query url.Values) (Identity, error) {
	ctx, cancel := context.WithTimeout(ctx, flowTimeout)
	defer cancel()
	code, err := readCode(query, "", false)
	if err != nil {
		return Identity{}, err
	}
	token, err := exchange(ctx, f.conf, a, f.client, code)
	if err != nil {
		return Identity{}, err
	}
	id, err := f.person(ctx, token.AccessToken)
	if err != nil {
		return Identity{}, apiError(err)
	}
	if id.Groups, err = f.groups(ctx, token.AccessToken, id); err != nil {
		return Identity{}, apiError(err)
	}
	return f.naming.name(id)
}

// A gitHubUser is what GET /user says.
type gitHubUser struct {
	ID    int64  `json:"id"`
	Login string `json:"login"`
	Name  string `json:"name"`
}

func (u gitHubUser) check() error {
	if u.ID <= 0 || cleanUsername(u.Login) == "" {
		return fmt.Errorf("%w: GitHub does not say who this is", ErrInvalid)
	}
	return nil
}

func (f *gitHub) person(ctx context.Context, token string) (Identity, error) {
	var user gitHubUser
	if _, err := f.get(ctx, "/user", token, &user); err != nil {
		return Identity{}, err
	}
	if err := user.check(); err != nil {
		return Identity{}, err
	}
	email, err := f.email(ctx, token)
	if err != nil {
		return Identity{}, err
	}
	return Identity{ID: strconv.FormatInt(user.ID, 10), Username: user.Login, Name: cleanText(user.Name), Email: email}, nil
}

// email is the primary address if it is verified. The one in GET /user is what
// somebody chose to show.
func (f *gitHub) email(ctx context.Context, token string) (string, error) {
	type address struct {
		Email    string `json:"email"`
		Primary  bool   `json:"primary"`
		Verified bool   `json:"verified"`
	}
	all, err := pages[address](ctx, f, "/user/emails?per_page=100", token)
	if withheld(err) {
		f.log.WarnContext(ctx, "GitHub does not show e-mail addresses: the app needs the permission to read them", slog.Any("cause", err))
		return "", nil
	}
	for _, a := range all {
		if a.Primary && a.Verified {
			email, _, _ := canonicalEmail(a.Email)
			return email, nil
		}
	}
	return "", err
}

// groups are the organization, for its active members, and teams as
// org/team-slug.
func (f *gitHub) groups(ctx context.Context, token string, id Identity) ([]string, error) {
	switch {
	case f.app != nil:
		return f.app.groups(ctx, id)
	case !f.teams:
		return nil, nil
	}
	var groups []string
	if f.organization != "" {
		if member, err := f.member(ctx, token); err != nil || !member {
			return nil, err
		}
		groups = append(groups, f.organization)
	}
	teams, err := f.userTeams(ctx, token)
	return append(groups, teams...), err
}

// recheck can only ask with the app's key: the person's token is not kept.
func (f *gitHub) recheck(ctx context.Context, id Identity) (Identity, error) {
	if f.app == nil {
		return id, nil
	}
	now, err := f.app.person(ctx, id)
	if err != nil {
		return Identity{}, apiError(err)
	}
	if now.Groups, err = f.app.groups(ctx, now); err != nil {
		return Identity{}, apiError(err)
	}
	return now, nil
}

// apiError makes an error of an API one of ours. A token that stopped working
// in the middle belongs to the attempt; all else is not the person's fault.
func apiError(err error) error {
	var refusal *Refusal
	switch {
	case err == nil, errors.As(err, &refusal), errors.Is(err, ErrInvalid), errors.Is(err, ErrUnavailable):
		return err
	case isStatus(err, http.StatusUnauthorized):
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}
