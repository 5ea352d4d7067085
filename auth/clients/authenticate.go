package clients

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
)

// Credentials are what a request presents. Method says how: the parameters of
// two methods in one request are refused (T3).
type Credentials struct {
	ID, Secret, Method       string // Method: none | client_secret_basic | client_secret_post | private_key_jwt
	AssertionType, Assertion string
}

// Authenticate returns the client, if it is it. An assertion may be addressed
// to the issuer, with or without a slash, or to its token endpoint.
func (r *Registry) Authenticate(ctx context.Context, issuer string, c Credentials) (*Client, error) {
	if err := c.check(); err != nil {
		return nil, failed(err)
	}
	if c.ID == "" && c.Method == MethodPrivateKeyJWT {
		c.ID = assertedID(c.Assertion)
	}
	client, err := r.Lookup(ctx, issuer, c.ID)
	if err != nil {
		return nil, err
	}
	switch client.AuthMethod {
	case MethodNone:
		err = c.checkPublic()
	case MethodPrivateKeyJWT:
		// C15: whoever has a key uses it; a document that also lists none among
		// other methods does not make the key optional.
		if c.Method != MethodPrivateKeyJWT {
			err = errors.New("the client has a key and presents no assertion")
		} else {
			err = r.verify(ctx, issuer, client, c.Assertion)
		}
	default:
		err = c.checkSecret(client.secret)
	}
	if err != nil {
		return nil, failed(err)
	}
	return client, nil
}

func (c Credentials) check() error {
	switch c.Method {
	case MethodNone:
		if c.Secret != "" || c.Assertion != "" || c.AssertionType != "" {
			return errors.New("credentials beside the method none")
		}
	case MethodSecretBasic, MethodSecretPost:
		if c.Assertion != "" || c.AssertionType != "" {
			return errors.New("a secret and an assertion in one request")
		}
	case MethodPrivateKeyJWT:
		if c.Secret != "" {
			return errors.New("a secret and an assertion in one request")
		}
		if c.AssertionType != AssertionType || c.Assertion == "" {
			return errors.New("client_assertion is missing, or client_assertion_type is not jwt-bearer")
		}
	default:
		return errors.New("an unknown authentication method")
	}
	return nil
}

// checkPublic lets an empty secret pass: the x/oauth2 library tries Basic with
// one before it learns that a client has none (T4). A secret that is not empty
// was meant for another client, or for another server.
func (c Credentials) checkPublic() error {
	if c.Method == MethodPrivateKeyJWT || c.Secret != "" {
		return errors.New("the client is public and presents credentials")
	}
	return nil
}

// checkSecret takes the secret by either way, header or form, whichever the
// client named: libraries choose by themselves, and neither proves more.
func (c Credentials) checkSecret(want []byte) error {
	if c.Method == MethodPrivateKeyJWT {
		return errors.New("the client has a secret and presents an assertion")
	}
	// Proven to exist first: two empty secrets would be equal.
	if c.Secret == "" || len(want) == 0 {
		return errors.New("the client has a secret and presents none")
	}
	if subtle.ConstantTimeCompare(sum(c.Secret), want) != 1 {
		return errors.New("the secret is not the client's")
	}
	return nil
}

// sum makes secrets of all lengths comparable without showing which length
// would have been right.
func sum(secret string) []byte {
	hash := sha256.Sum256([]byte(secret))
	return hash[:]
}

// failed is invalid_client, unless the fault is ours.
func failed(err error) error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Code: InvalidClient, Description: "the client could not be authenticated", Cause: err}
}
