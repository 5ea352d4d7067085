package idp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
)

// get reads a path of GitHub's API.
func (f *gitHub) get(ctx context.Context, path, token string, v any) (http.Header, error) {
	return gitHubGet(ctx, f.client, gitHubAPI+path, token, v)
}

func gitHubGet(ctx context.Context, client *http.Client, address, token string, v any) (http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("make a request: %w", err)
	}
	return doJSON(client, gitHubRequest(req), token, v)
}

func gitHubRequest(req *http.Request) *http.Request {
	req.Header.Set("Accept", "application/vnd.github+json")
	req.Header.Set("X-GitHub-Api-Version", "2022-11-28")
	return req
}

// pages reads a list to its end, by the Link header.
func pages[T any](ctx context.Context, f *gitHub, path, token string) ([]T, error) {
	var all []T
	next := gitHubAPI + path
	for range maxPages {
		var page []T
		header, err := gitHubGet(ctx, f.client, next, token, &page)
		if err != nil {
			return nil, err
		}
		all = append(all, page...)
		if next = nextLink(header); next == "" {
			return all, nil
		}
		if !strings.HasPrefix(next, gitHubAPI+"/") { // the token goes nowhere else
			return nil, errors.New("GitHub's next page is at another host")
		}
	}
	return nil, fmt.Errorf("a list of GitHub's has more than %d pages", maxPages)
}

// nextLink returns the URL of rel="next" (RFC 8288), empty at the end.
func nextLink(h http.Header) string {
	for _, field := range h.Values("Link") {
		for link := range strings.SplitSeq(field, ",") {
			target, params, ok := strings.Cut(strings.TrimSpace(link), ">")
			if ok && strings.HasPrefix(target, "<") && strings.Contains(params, `rel="next"`) {
				return target[1:]
			}
		}
	}
	return ""
}

// withheld tells whether GitHub answers that this may not be seen, which it
// also does by claiming that it is not there. Too many requests are 403, too.
func withheld(err error) bool {
	var e *statusError
	if !errors.As(err, &e) || e.header.Get("Retry-After") != "" || e.header.Get("X-RateLimit-Remaining") == "0" {
		return false
	}
	return e.status == http.StatusForbidden || e.status == http.StatusNotFound
}

type membership struct {
	State string     `json:"state"` // pending: invited, not yet there
	User  gitHubUser `json:"user"`
}

// member asks with the person's own token. An organization that does not let
// this OAuth app in answers 403, and nobody is its member then.
func (f *gitHub) member(ctx context.Context, token string) (bool, error) {
	var m membership
	_, err := f.get(ctx, "/user/memberships/orgs/"+url.PathEscape(f.organization), token, &m)
	if withheld(err) {
		f.log.InfoContext(ctx, "GitHub shows no membership", slog.String("organization", f.organization), slog.Any("cause", err))
		return false, nil
	}
	return m.State == "active", err
}

func (f *gitHub) userTeams(ctx context.Context, token string) ([]string, error) {
	type team struct {
		Slug         string `json:"slug"`
		Organization struct {
			Login string `json:"login"`
		} `json:"organization"`
	}
	teams, err := pages[team](ctx, f, "/user/teams?per_page=100", token)
	if err != nil {
		return nil, err
	}
	var groups []string
	for _, t := range teams {
		org := t.Organization.Login
		if strings.EqualFold(org, f.organization) {
			org = f.organization // one spelling: the one that the rules use
		} else if f.organization != "" {
			continue
		}
		if group := org + "/" + t.Slug; org != "" && t.Slug != "" && cleanText(group) != "" {
			groups = append(groups, group)
		}
	}
	return groups, nil
}
