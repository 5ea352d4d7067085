// Package audit is the record of who was allowed what: one JSON line for each
// event, apart from the log.
//
// It promises that every event is whole and in order, and that nobody can put
// a secret in it by passing one whole: attributes are made by name here. It
// does not know what the events mean to the rest of the program.
package audit

import (
	"context"
	"io"
	"log/slog"
	"strings"
)

// Event names what happened.
type Event string

// The events.
const (
	ClientRegistered Event = "client_registered"
	ConsentAsked     Event = "consent_asked"
	ConsentGiven     Event = "consent_given"
	ConsentDenied    Event = "consent_denied"
	SigninOK         Event = "signin_ok"
	SigninRefused    Event = "signin_refused"
	PasskeyAdded     Event = "passkey_added"
	PasskeyRemoved   Event = "passkey_removed"
	PasskeyRefused   Event = "passkey_refused"
	CodeIssued       Event = "code_issued"
	TokenIssued      Event = "token_issued"
	TokenRefreshed   Event = "token_refreshed"
	GrantEnded       Event = "grant_ended"
	GrantReplayed    Event = "grant_replayed"
	KeyMade          Event = "key_made"
	CallAllowed      Event = "call_allowed"
	CallDenied       Event = "call_denied"
	LimitExceeded    Event = "limit_exceeded"
	Reloaded         Event = "configuration_reloaded"
)

// Log writes events.
type Log struct{ out *slog.Logger }

// New returns a Log that writes to w.
func New(w io.Writer) *Log {
	return &Log{slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{ReplaceAttr: shape}))}
}

// shape names the event by "audit" and drops the level, which has no meaning here.
func shape(groups []string, a slog.Attr) slog.Attr {
	if len(groups) > 0 {
		return a
	}
	switch a.Key {
	case slog.LevelKey:
		return slog.Attr{}
	case slog.MessageKey:
		a.Key = "audit"
	}
	return a
}

// Record writes one event.
func (l *Log) Record(ctx context.Context, e Event, attrs ...slog.Attr) {
	l.out.LogAttrs(ctx, slog.LevelInfo, string(e), attrs...)
}

// The attributes of events. Their keys are the same in every event.

// Host is the public host.
func Host(h string) slog.Attr { return slog.String("host", h) }

// Client is who asked.
func Client(id string) slog.Attr { return slog.String("client_id", id) }

// Subject is the user.
func Subject(sub string) slog.Attr { return slog.String("sub", sub) }

// Grant is what was agreed to.
func Grant(id string) slog.Attr { return slog.String("grant", id) }

// Scope is what was asked, granted or lacking.
func Scope(scopes []string) slog.Attr { return slog.String("scope", strings.Join(scopes, " ")) }

// Cause is why something was refused.
func Cause(err error) slog.Attr { return slog.String("cause", err.Error()) }

// Text is anything else; value must not be a secret.
func Text(key, value string) slog.Attr { return slog.String(key, value) }
