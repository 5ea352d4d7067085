package idp

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"sync"

	"golang.org/x/oauth2"
)

const directoryAPI = "https://admin.googleapis.com/admin/directory/v1"

var directoryScopes = []string{
	"https://www.googleapis.com/auth/admin.directory.user.readonly",
	"https://www.googleapis.com/auth/admin.directory.group.readonly",
}

// A directory is that of a Google Workspace: who is suspended, archived or
// deleted, and who is in which group.
type directory struct {
	client *http.Client
	find   func(context.Context) (oauth2.TokenSource, error)

	mu     sync.Mutex
	source oauth2.TokenSource // found at the first use; a failure is not kept
}

func newDirectory(admin string, o Options) *directory {
	credentials := workspaceCredentials{admin: admin, client: o.Client, now: o.Now}
	return &directory{client: o.Client, find: credentials.find}
}

// look brings an identity up to date, or refuses it. What the directory does
// not want to tell us (403) is our setting up, not the person's fault.
func (d *directory) look(ctx context.Context, id Identity) (Identity, error) {
	token, err := d.token(ctx)
	if err != nil {
		return Identity{}, fmt.Errorf("%w: credentials for the Workspace directory: %w", ErrUnavailable, err)
	}
	var user struct {
		ID        string `json:"id"`
		Email     string `json:"primaryEmail"`
		Suspended bool   `json:"suspended"`
		Archived  bool   `json:"archived"`
	}
	const fields = "?projection=basic&fields=id,primaryEmail,suspended,archived"
	err = getJSON(ctx, d.client, directoryAPI+"/users/"+url.PathEscape(id.ID)+fields, token, &user)
	switch {
	case isStatus(err, http.StatusNotFound):
		return Identity{}, &Refusal{id.Account(), "this account is not, or no longer, in the organization's directory"}
	case err != nil:
		return Identity{}, fmt.Errorf("%w: Workspace directory: %w", ErrUnavailable, err)
	case user.ID != id.ID:
		return Identity{}, fmt.Errorf("%w: the Workspace directory answers about another account", ErrUnavailable)
	case user.Suspended:
		return Identity{}, &Refusal{id.Account(), "this account is suspended by the organization"}
	case user.Archived:
		return Identity{}, &Refusal{id.Account(), "this account is archived by the organization"}
	}
	if email, _, ok := canonicalEmail(user.Email); ok {
		id.Email = email
	}
	id.Groups, err = d.groups(ctx, token, id.ID)
	return id, err
}

// groups are the addresses of the groups that somebody is a direct member of.
func (d *directory) groups(ctx context.Context, token, user string) ([]string, error) {
	var groups []string
	query := url.Values{"userKey": {user}, "maxResults": {"200"}}
	for range maxPages {
		var page struct {
			Groups []struct {
				Email string `json:"email"`
			} `json:"groups"`
			Next string `json:"nextPageToken"`
		}
		if err := getJSON(ctx, d.client, directoryAPI+"/groups?"+query.Encode(), token, &page); err != nil {
			return nil, fmt.Errorf("%w: groups of the Workspace directory: %w", ErrUnavailable, err)
		}
		for _, g := range page.Groups {
			if group, _, ok := canonicalEmail(g.Email); ok {
				groups = append(groups, group)
			}
		}
		if page.Next == "" {
			return groups, nil
		}
		query.Set("pageToken", page.Next)
	}
	return nil, fmt.Errorf("%w: the Workspace directory lists more than %d pages of groups", ErrUnavailable, maxPages)
}

// token keeps ctx out of the source, which outlives it; every request of the
// source is timed by the client.
func (d *directory) token(ctx context.Context) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.source == nil {
		shared := context.WithValue(context.WithoutCancel(ctx), oauth2.HTTPClient, d.client)
		source, err := d.find(shared)
		if err != nil {
			return "", err
		}
		d.source = source
	}
	token, err := d.source.Token()
	if err != nil {
		return "", credentialError(err)
	}
	return token.AccessToken, nil
}
