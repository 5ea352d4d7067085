package idp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/oauth2"
)

// authURL is the way out: own state and PKCE for every provider alike.
func authURL(conf oauth2.Config, a Attempt, extra ...oauth2.AuthCodeOption) (string, error) {
	if a.State == "" || a.Nonce == "" || a.Verifier == "" || a.RedirectURI == "" {
		return "", errors.New("begin a sign-in: the attempt lacks state, nonce, verifier or redirect URI")
	}
	conf.RedirectURL = a.RedirectURI
	options := append([]oauth2.AuthCodeOption{oauth2.S256ChallengeOption(a.Verifier)}, extra...)
	if prompt := knownPrompts(a.Prompt); prompt != "" {
		options = append(options, oauth2.SetAuthURLParam("prompt", prompt))
	}
	return conf.AuthCodeURL(a.State, options...), nil
}

// knownPrompts keeps what a person sees. "none" is no such thing: without a
// person there is nothing to begin.
func knownPrompts(prompt string) string {
	known := []string{"login", "consent", "select_account"}
	return strings.Join(slices.DeleteFunc(strings.Fields(prompt), func(p string) bool {
		return !slices.Contains(known, p)
	}), " ")
}

// readCode returns the code of a callback. issuer is compared with what the
// callback says of where it comes from (RFC 9207), if it says so or must.
func readCode(query url.Values, issuer string, sendsIss bool) (string, error) {
	for name, values := range query {
		if len(values) > 1 {
			return "", fmt.Errorf("%w: the callback has %s twice", ErrInvalid, plain(name))
		}
	}
	iss := query.Get("iss")
	mustSay := sendsIss && query.Has("code")
	if issuer != "" && iss != issuer && (query.Has("iss") || mustSay) {
		return "", fmt.Errorf("%w: the callback comes from another issuer", ErrInvalid)
	}
	switch code := query.Get("error"); {
	case code == "access_denied":
		return "", ErrCancelled
	case code == "server_error", code == "temporarily_unavailable":
		return "", fmt.Errorf("%w: it answers the authorization request with %s", ErrUnavailable, code)
	case query.Has("error"):
		return "", fmt.Errorf("%w: the provider answers the authorization request with %s", ErrInvalid, plain(code))
	case query.Get("code") == "":
		return "", fmt.Errorf("%w: the callback has no code", ErrInvalid)
	}
	return query.Get("code"), nil
}

// plain makes a word of somebody else's fit for the log: an error code is
// short and made of letters, anything else is not repeated.
func plain(word string) string {
	letter := func(r rune) bool { return domainRune(r) || r == '_' || r == '.' }
	if word == "" || len(word) > 64 || strings.ContainsFunc(word, func(r rune) bool { return !letter(r) }) {
		return "something unreadable"
	}
	return word
}

// exchange redeems the code. The errors repeat neither the answer's body nor
// its description, which may hold anything.
func exchange(ctx context.Context, conf oauth2.Config, a Attempt, client *http.Client, code string) (*oauth2.Token, error) {
	conf.RedirectURL = a.RedirectURI
	ctx = context.WithValue(ctx, oauth2.HTTPClient, client)
	token, err := conf.Exchange(ctx, code, oauth2.VerifierOption(a.Verifier))
	var refused *oauth2.RetrieveError
	switch {
	case err == nil:
		return token, nil
	case !errors.As(err, &refused):
		return nil, fmt.Errorf("%w: redeem the code: %w", ErrUnavailable, withoutURL(err))
	case ours(refused):
		return nil, fmt.Errorf("%w: redeem the code: %s (status %d)", ErrUnavailable, plain(refused.ErrorCode), refused.Response.StatusCode)
	}
	return nil, fmt.Errorf("%w: redeem the code: %s (status %d)", ErrInvalid, plain(refused.ErrorCode), refused.Response.StatusCode)
}

// ours tells whether trying again with another code would not help: the
// provider is down, or does not know this gateway (any more).
func ours(e *oauth2.RetrieveError) bool {
	clientFault := []string{"invalid_client", "unauthorized_client", "incorrect_client_credentials", "temporarily_unavailable", "server_error"}
	status := e.Response.StatusCode
	return status >= 500 || status == http.StatusTooManyRequests || slices.Contains(clientFault, e.ErrorCode)
}
