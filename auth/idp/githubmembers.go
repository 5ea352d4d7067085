package idp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
)

// person asks who has the number now: logins change hands, numbers do not.
func (a *gitHubApp) person(ctx context.Context, id Identity) (Identity, error) {
	token, err := a.bearer(ctx)
	if err != nil {
		return Identity{}, err
	}
	var user gitHubUser
	_, err = gitHubGet(ctx, a.client, gitHubAPI+"/user/"+url.PathEscape(id.ID), token, &user)
	if isStatus(err, http.StatusNotFound) {
		return Identity{}, &Refusal{id.Account(), "this GitHub account no longer exists"}
	}
	if err != nil {
		return Identity{}, a.asApp(err)
	}
	if err := user.check(); err != nil || strconv.FormatInt(user.ID, 10) != id.ID {
		return Identity{}, errors.New("GitHub answers about another account than was asked for")
	}
	id.Username = user.Login
	return id, nil
}

// groups are what they are for a person's own token.
func (a *gitHubApp) groups(ctx context.Context, id Identity) ([]string, error) {
	token, err := a.bearer(ctx)
	if err != nil {
		return nil, err
	}
	var m membership
	path := "/orgs/" + url.PathEscape(a.organization) + "/memberships/" + url.PathEscape(id.Username)
	_, err = gitHubGet(ctx, a.client, gitHubAPI+path, token, &m)
	if isStatus(err, http.StatusNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, a.asApp(err)
	}
	if m.State != "active" || strconv.FormatInt(m.User.ID, 10) != id.ID {
		return nil, nil
	}
	teams, err := a.teams(ctx, token, id.Username)
	if err != nil {
		return nil, a.asApp(err)
	}
	return append([]string{a.organization}, teams...), nil
}

// REST lists the members of a team, but not the teams of a member.
const teamsQuery = `query($org: String!, $logins: [String!], $after: String) {
  organization(login: $org) {
    teams(first: 100, userLogins: $logins, after: $after) { nodes { slug } pageInfo { hasNextPage endCursor } }
  }
}`

type teamsAnswer struct {
	Data struct {
		Organization *struct {
			Teams struct {
				Nodes []struct {
					Slug string `json:"slug"`
				} `json:"nodes"`
				PageInfo struct {
					More bool   `json:"hasNextPage"`
					End  string `json:"endCursor"`
				} `json:"pageInfo"`
			} `json:"teams"`
		} `json:"organization"`
	} `json:"data"`
	Errors []struct {
		Type string `json:"type"`
	} `json:"errors"` // of an answer with status 200
}

func (a *gitHubApp) teams(ctx context.Context, token, login string) ([]string, error) {
	var groups []string
	var after *string
	for range maxPages {
		var answer teamsAnswer
		variables := map[string]any{"org": a.organization, "logins": []string{login}, "after": after}
		if err := a.post(ctx, "/graphql", token, map[string]any{"query": teamsQuery, "variables": variables}, &answer); err != nil {
			return nil, err
		}
		if len(answer.Errors) > 0 {
			return nil, fmt.Errorf("list the teams: GitHub answers %s", plain(answer.Errors[0].Type))
		}
		if answer.Data.Organization == nil {
			return nil, errors.New("list the teams: GitHub does not know the organization")
		}
		teams := answer.Data.Organization.Teams
		for _, node := range teams.Nodes {
			if group := a.organization + "/" + node.Slug; node.Slug != "" && cleanText(group) != "" {
				groups = append(groups, group)
			}
		}
		if !teams.PageInfo.More {
			return groups, nil
		}
		after = &teams.PageInfo.End
	}
	return nil, fmt.Errorf("list the teams: there are more than %d pages", maxPages)
}
