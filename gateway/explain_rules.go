package gateway

import "strings"

// A rule says what was broken by a refusal, and what fixes it. It is found by
// the error code and how the description begins; with an empty description it
// is the general one of its code.
type rule struct {
	code, description string
	Rule, Fix         string
}

// ruleOf finds the rule of a step that failed: the one that fits best.
func ruleOf(s attemptStep) rule {
	var best rule
	for _, r := range rules {
		if (r.code == "" || r.code == s.Code) && strings.HasPrefix(s.Description, r.description) && fitsBetter(r, best) {
			best = r
		}
	}
	return best
}

func fitsBetter(r, than rule) bool {
	return len(r.description) > len(than.description) || len(r.description) == len(than.description) && len(r.code) >= len(than.code)
}

// What fixes more than one refusal.
const (
	fixClient   = "This is the client's to fix: tell its makers, with this reference."
	fixAgain    = "Go back to the app and connect again."
	fixReregist = "Remove the server from the app and add it again, so that the app registers anew."
	fixWait     = "Wait a minute, and try again."
	fixStore    = "Look at the log and at /readyz: the store, or what was asked, did not answer. Nothing was lost; try again."
)

// rules are all that is known, in the order of the way.
var rules = []rule{
	// Of a code.
	{"", "", "", "Look for the reference in the log: at level debug it has every refusal with its cause."},
	{"unauthorized", "", "RFC 6750 §3, RFC 9728 §5.1", "Nothing is wrong: a client without a token is told where to get one. If it asks nobody there, run doctor against this host."},
	{"invalid_token", "", "RFC 6750 §3.1", "The client refreshes its token or connects again. If it does not, remove the server from the app and add it again."},
	{"invalid_request", "", "OAuth 2.1 §4.1.2.1, RFC 6749 §5.2", fixClient},
	{"invalid_client", "", "RFC 6749 §5.2", fixReregist},
	{"invalid_grant", "", "RFC 6749 §5.2", fixAgain},
	{"invalid_scope", "", "RFC 6749 §3.3", fixClient},
	{"invalid_target", "", "RFC 8707 §2", "The client must send the URL of the MCP server that it was given as resource. " + fixClient},
	{"invalid_client_metadata", "", "RFC 7591 §3.2.2", fixClient},
	{"invalid_redirect_uri", "", "RFC 7591 §3.2.2", fixClient},
	{"unauthorized_client", "", "RFC 6749 §5.2", "Give the client this grant in proxy.clients, or let it register with it."},
	{"access_denied", "", "RFC 6749 §4.1.2.1", "Nothing is broken: somebody said no. Connect again and allow it."},
	{"temporarily_unavailable", "", "RFC 6749 §4.1.2.1, RFC 9110 §15.6.4", fixStore},
	{"server_error", "", "RFC 6749 §4.1.2.1", "It is the gateway's fault: the log has the cause, by this reference."},
	{"forbidden", "", "MCP transports, security warning", "Add the origin to proxy.allowedOrigins, if its pages shall call MCP servers here."},
	{"not_found", "", "RFC 9110 §15.5.5", "Check the address, and proxy.hosts[].paths."},
	{"method_not_allowed", "", "RFC 9110 §15.5.6", fixClient},
	{"misdirected_request", "", "RFC 9110 §15.5.20", "Add the host to proxy.hosts, or correct the address; behind another proxy, pass the Host on."},
	{"insufficient_scope", "", "RFC 6750 §3.1", "The client asks for the scopes that are named, and the person allows them; or grants less than the tool takes on purpose."},
	{"upstream_unavailable", "", "RFC 9110 §15.6.3", "Look at the MCP server: it does not answer at proxy.hosts[].endpoint. /readyz says since when."},
	{"too_many_requests", "", "RFC 6585 §4, server.limits.requestsPerMinute", fixWait},
	{"too_many_streams", "", "RFC 6585 §4, server.limits.streamsPerUser", "Close other sessions of this person, or raise server.limits.streamsPerUser."},
	{"unsupported_grant_type", "", "RFC 6749 §5.2", "The metadata lists the grant types that are there; client_credentials and assertions have to be configured."},
	{"unsupported_response_type", "", "OAuth 2.1 §4.1.1", fixClient},
	{"request_not_supported", "", "OpenID Connect Core §3.1.2.6", fixClient},
	{"request_uri_not_supported", "", "OpenID Connect Core §3.1.2.6", fixClient},
	{"login_required", "", "OpenID Connect Core §3.1.2.6", "The client asked with prompt=none while nobody was signed in: it must ask without."},
	{"consent_required", "", "OpenID Connect Core §3.1.2.6", "The client asked with prompt=none for more than was allowed before: it must ask without."},

	// At registration.
	{"invalid_client_metadata", "the body must be application/json", "RFC 7591 §3.1", fixClient},
	{"invalid_client_metadata", "the body is not one JSON object", "RFC 7591 §3.1", fixClient},
	{"invalid_client_metadata", "private_key_jwt cannot be registered", "RFC 7591 §2", "The client uses a client ID metadata document, or is written into proxy.clients."},
	{"invalid_client_metadata", "token_endpoint_auth_method is not one", "RFC 7591 §2", fixClient},
	{"invalid_redirect_uri", "none of the redirect_uris is one that the operator", "proxy.allowedRedirectURLs", "Add the client's redirect URI to proxy.allowedRedirectURLs, if it shall be let in."},
	{"invalid_redirect_uri", "none of the redirect_uris can be used", "OAuth 2.1 §2.3, RFC 8252 §7", fixClient},

	{"invalid_client_metadata", "clients cannot register themselves here", "proxy.registration.dynamic", "Write the client into proxy.clients, or set proxy.registration.dynamic."},
	{"invalid_client_metadata", "the name and the redirect_uris are too long", "RFC 7591 §3.2.2", fixClient},
	{"invalid_client_metadata", "the registration is longer than", "RFC 7591 §3.2.2", fixClient},

	// Who asks.
	{"invalid_client", "this client is not known here", "RFC 7591 §3.2.1", fixReregist + " Ids of registered clients are good as long as the store is: was it replaced?"},
	{"invalid_client", "the operator of this server refuses", "revoke --client", "Undo it with revoke --client ID --allow, if the client shall be let in again."},
	{"invalid_client", "the client_id cannot be that of a metadata document", "MCP authorization, client ID metadata documents", fixClient},
	{"invalid_client", "the client's metadata document is not valid", "MCP authorization, client ID metadata documents", "The document at the client_id must name itself, its redirect URIs and be JSON of at most a few KB. " + fixClient},
	{"invalid_client", "the client's metadata document cannot be fetched", "MCP authorization, client ID metadata documents", "The gateway must reach the client_id over https at a public address; redirects are not followed."},
	{"invalid_client", "the client's keys are not valid", "RFC 7517 §5", fixClient},
	{"invalid_client", "the client could not be authenticated", "RFC 6749 §2.3.1, RFC 7523 §3", "The secret or assertion is wrong, or sent in another way than the client registered. " + fixReregist},
	{"invalid_client", "the Authorization header is not Basic", "RFC 6749 §2.3.1", fixClient},
	{"temporarily_unavailable", "the client's metadata document", "MCP authorization, client ID metadata documents", "The client's own server does not answer in time; try again."},
	{"temporarily_unavailable", "the client cannot be looked up now", "", fixStore},
	{"temporarily_unavailable", "the assertion cannot be checked now", "", fixStore},
	{"invalid_request", "client_id is missing", "OAuth 2.1 §4.1.1", "The link is not complete: it must come from the app. " + fixAgain},
	{"invalid_request", "redirect_uri is not one that this client registered", "OAuth 2.1 §2.3.1", "Nothing was sent there. " + fixReregist},
	{"invalid_redirect_uri", "redirect_uri is not one that this client registered", "OAuth 2.1 §2.3.1", "Nothing was sent there. " + fixReregist},
	{"invalid_redirect_uri", "redirect_uri is needed", "OAuth 2.1 §4.1.1", fixClient},
	{"unauthorized_client", "this client may not use the authorization code grant", "OAuth 2.1 §4.1.2.1", "Give the client grants: [authorization_code] in proxy.clients."},

	// What is asked.
	{"invalid_request", "the body must be application/x-www-form-urlencoded", "OAuth 2.1 §3.1", fixClient},
	{"invalid_request", "the parameters are not form-encoded", "OAuth 2.1 §3.1", fixClient},
	{"invalid_request", "a parameter is given more than once", "OAuth 2.1 §3.1", fixClient},
	{"invalid_request", "state is longer", "OAuth 2.1 §4.1.1", fixClient},
	{"invalid_request", "response_type is missing", "OAuth 2.1 §4.1.1", fixClient},
	{"unsupported_response_type", "response_type must be code", "OAuth 2.1 §4.1.1", fixClient},
	{"invalid_request", "response_mode must be query", "OAuth 2.0 Multiple Response Types §2.1", fixClient},
	{"invalid_request", "code_challenge is missing", "OAuth 2.1 §7.5.2, RFC 7636 §4.3", "Update the app: MCP clients must use PKCE. " + fixClient},
	{"invalid_request", "code_challenge_method must be S256", "RFC 7636 §4.2", fixClient},
	{"invalid_request", "code_challenge must be 43 characters", "RFC 7636 §4.2", fixClient},
	{"invalid_target", "resource is not an MCP server at this host", "RFC 8707 §2", "The app must be given the very URL of the MCP server here, and send it as resource."},
	{"invalid_scope", "scope has characters", "RFC 6749 §3.3", fixClient},
	{"invalid_request", "prompt is not understood", "OpenID Connect Core §3.1.2.1", fixClient},
	{"request_not_supported", "request objects are not supported", "RFC 9101", fixClient},
	{"request_uri_not_supported", "request objects are not supported", "RFC 9101", fixClient},
	{"login_required", "prompt is none", "OpenID Connect Core §3.1.2.6", "Somebody must sign in first: the client asks without prompt=none."},
	{"consent_required", "prompt is none", "OpenID Connect Core §3.1.2.6", "Somebody must be asked first: the client asks without prompt=none."},

	// In the browser.
	{"invalid_request", "the authorization request is unknown to this browser", "OAuth 2.1 §7.12.1", "It was finished, is older than ten minutes, or was begun in another browser or without cookies. " + fixAgain},
	{"invalid_request", "the form was sent from another origin", "OAuth 2.1 §7.12", "A page of another site sent this form: nothing was done. " + fixAgain},
	{"access_denied", "the user said no", "RFC 6749 §4.1.2.1", "Nothing is broken: the person chose Deny. Connect again and allow it."},
	{"access_denied", "this account may not use this server", "provider.allowed*, proxy.hosts[].allow", "Sign in with another account, or let this one in: add it to the provider's allowedUsers, allowedEmailDomains or allowedGroups, and to the host's allow."},
	{"access_denied", "the sign-in was cancelled", "OpenID Connect Core §3.1.2.6", "Nothing is broken: the identity provider says that the person cancelled. Sign in again."},
	{"server_error", "the identity provider's answer was refused", "OpenID Connect Core §3.1.3.7", "Compare clientID, clientSecret and issuerURL with what the identity provider has, and the redirect URI registered there with https://HOST/callback. The cause is in the step."},
	{"temporarily_unavailable", "the identity provider does not answer", "OpenID Connect Core §3.1.3", "The gateway must reach the identity provider: look at DNS, the firewall and the provider's status."},
	{"temporarily_unavailable", "too many requests from this address", "RFC 6585 §4, server.limits", fixWait + " If many people share an address, raise server.limits, or name the proxy before the gateway in server.trustedProxies."},

	// At the token endpoint.
	{"invalid_request", "grant_type is missing", "RFC 6749 §4.1.3", fixClient},
	{"invalid_request", "code or code_verifier is missing", "RFC 7636 §4.5", fixClient},
	{"invalid_request", "refresh_token is missing", "RFC 6749 §6", fixClient},
	{"invalid_request", "assertion is missing", "RFC 7523 §2.1", fixClient},
	{"invalid_request", "the Authorization header names another client", "RFC 6749 §2.3", fixClient},
	{"invalid_request", "the client authenticates in more than one way", "RFC 6749 §2.3", fixClient},
	{"unsupported_grant_type", "grant_type is not supported", "RFC 6749 §5.2", "Use one that the metadata lists; client_credentials takes a client in proxy.clients, assertions take trustedIssuers."},
	{"unauthorized_client", "this client may not use this grant_type", "RFC 6749 §5.2", "Give the client this grant in proxy.clients, or let it register with it."},
	{"unauthorized_client", "a client without credentials may not", "RFC 7523 §3.1", "Give the client a secret or keys in proxy.clients."},
	{"invalid_grant", "the code or refresh token is invalid", "OAuth 2.1 §4.1.3, §4.3.1, RFC 7636 §4.6", "The cause says which: a code is good once and for a minute, with the verifier, redirect_uri and client that it was asked with; a refresh token until its successor is used. " + fixAgain},
	{"invalid_grant", "the user may no longer use this server", "provider.allowed*, proxy.hosts[].allow", "The person was let in before and is not any more. If they should be, put the rule right and connect again."},
	{"invalid_grant", "the assertion is not valid here", "RFC 7523 §3, ID-JAG", "Compare issuer, audience, client and times of the assertion with trustedIssuers. The cause is in the step."},
	{"invalid_target", "resource was not granted", "RFC 8707 §2.2", "The client asks for a token for another MCP server than was consented to; it must begin at /authorize for that one."},
	{"invalid_scope", "more scope than was granted", "RFC 6749 §6", "The client asks for the scope at /authorize, where a person can allow it."},
	{"invalid_scope", "the assertion covers no scope", "RFC 6749 §3.3", "Let the identity provider assert a scope that this server has."},

	// At the call.
	{"insufficient_scope", "the call takes the scopes", "RFC 6750 §3.1, MCP authorization, step-up", "The client asks for the scopes that are named, and the person allows them; or they were kept from it on purpose."},
	{"call_denied", "the call was denied", "MCP tools, server.maxBodyBytes, proxy.hosts[].unscopedTools", "The audit log has the line of this call. " + fixClient},
	{"temporarily_unavailable", "the MCP server does not say what its scopes cover", "RFC 9110 §15.6.4", "The MCP server must answer tools/list, or the scopes must be written into proxy.hosts[].scopes."},
	{"temporarily_unavailable", "the access token cannot be checked now", "store.staleAfter", fixStore},
	{"temporarily_unavailable", "the store does not answer", "", fixStore},
	{"server_error", "an internal error", "", "It is the gateway's fault: the log has the cause, by this reference."},
	{"upstream_unavailable", "the MCP server does not answer", "RFC 9110 §15.6.3", "Look at the MCP server: it does not answer at proxy.hosts[].endpoint, or refuses what it is sent. The log has the cause."},
	{"invalid_request", "the request cannot be passed on", "RFC 9112", fixClient},
	{"misdirected_request", "no MCP server answers to this host", "RFC 9110 §15.5.20", "Add the host to proxy.hosts, or correct the address; behind another proxy, pass the Host on."},
	{"forbidden", "pages of this origin may not call", "MCP transports, Origin", "Add the origin to proxy.allowedOrigins, if its pages shall call MCP servers here."},
	{"forbidden", "no service worker may live", "Service Workers §6.5", fixClient},
	{"too_many_requests", "too many requests of this user", "server.limits.requestsPerMinute", fixWait},
	{"too_many_streams", "too many requests of this user are open", "server.limits.streamsPerUser", "Close other sessions of this person, or raise server.limits.streamsPerUser."},
}
