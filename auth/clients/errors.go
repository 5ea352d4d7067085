package clients

// The codes of an [Error]: those of RFC 6749 §5.2 and RFC 7591 §3.2.2 that a
// client can be refused with, and the one for faults that pass by themselves.
const (
	InvalidClient          = "invalid_client"
	InvalidRedirectURI     = "invalid_redirect_uri"
	InvalidClientMetadata  = "invalid_client_metadata"
	TemporarilyUnavailable = "temporarily_unavailable"
)

// An Error is a refusal. Code and Description are for the client and hold
// nothing it sent; Cause is for the log, and never leaves it.
type Error struct {
	Code        string
	Description string // lower case, of the characters RFC 6749 §5.2 permits
	Cause       error
}

// Error is the refusal as the log shows it.
func (e *Error) Error() string {
	text := e.Code + ": " + e.Description
	if e.Cause != nil {
		text += ": " + e.Cause.Error()
	}
	return text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

func unknownClient(cause error) *Error {
	return &Error{Code: InvalidClient, Description: "this client is not known here; register it again", Cause: cause}
}

func unavailable(what string, cause error) *Error {
	return &Error{Code: TemporarilyUnavailable, Description: what + "; try again in a moment", Cause: cause}
}
