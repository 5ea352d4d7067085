// Package auth is the authorization server of one host: it registers clients,
// asks people on a consent page what a client may do, has them sign in at an
// identity provider, and turns that into codes and tokens (OAuth 2.1, RFC 6749,
// 7009, 7591, 7636, 8414, 8707, 9068, 9207, 9728).
//
// It promises that one browser carries a request from /authorize to the final
// redirect, that nobody is sent to an identity provider before the consent page
// was answered, that a token says exactly what was ticked, and that no answer
// goes to an address which its client did not register. It does not know how
// requests reach it, nor what the MCP server behind its host does with a token.
//
// The files are the endpoints: metadata.go, register.go, authorize.go,
// consent.go, signin.go (with local.go, passkey.go and welcome.go), callback.go
// (with handoff.go), token.go, revoke.go, account.go; browser.go is what ties a
// browser to a request.
package auth
