package idp

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// verifyIDToken returns what the ID token of an answer claims, once all of
// OpenID Connect Core §3.1.3.7 holds.
func (m *discovered) verifyIDToken(ctx context.Context, answer *oauth2.Token, clientID, nonce string, now func() time.Time) (claims, error) {
	raw, _ := answer.Extra("id_token").(string)
	if raw == "" {
		return nil, fmt.Errorf("%w: the token endpoint gives no ID token", ErrInvalid)
	}
	keys := &watchedKeys{KeySet: m.keys}
	verifier := oidc.NewVerifier(m.Issuer, keys, &oidc.Config{ClientID: clientID, SupportedSigningAlgs: m.Algs, Now: now})
	token, err := verifier.Verify(ctx, raw)
	if keys.unreachable {
		return nil, fmt.Errorf("%w: fetch the keys of %s", ErrUnavailable, m.Issuer)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: ID token: %w", ErrInvalid, err)
	}
	var c claims
	if err := token.Claims(&c); err != nil {
		return nil, fmt.Errorf("%w: ID token: its claims are not an object", ErrInvalid)
	}
	if err := checkIDToken(token, c, clientID, nonce); err != nil {
		return nil, fmt.Errorf("%w: ID token: %w", ErrInvalid, err)
	}
	return c, nil
}

// checkIDToken is what go-oidc leaves to its callers.
func checkIDToken(token *oidc.IDToken, c claims, clientID, nonce string) error {
	azp := c.text("azp")
	switch {
	case nonce == "" || token.Nonce == "":
		return errors.New("there is no nonce")
	case subtle.ConstantTimeCompare([]byte(nonce), []byte(token.Nonce)) != 1:
		return errors.New("the nonce is not that of this attempt")
	case len(token.Audience) > 1 && azp == "":
		return errors.New("it has several audiences and does not say who it is for (azp)")
	case azp != "" && azp != clientID:
		return errors.New("it is for another client (azp)")
	case cleanText(c.text("sub")) == "":
		return errors.New("there is no usable sub")
	}
	return nil
}

// watchedKeys remembers whether the keys could be had at all, which go-oidc
// flattens to a text; its key set begins that text with the step.
type watchedKeys struct {
	oidc.KeySet
	unreachable bool
}

func (k *watchedKeys) VerifySignature(ctx context.Context, jwt string) ([]byte, error) {
	payload, err := k.KeySet.VerifySignature(ctx, jwt)
	k.unreachable = err != nil && (strings.HasPrefix(err.Error(), "fetching keys") || ctx.Err() != nil)
	return payload, err
}
