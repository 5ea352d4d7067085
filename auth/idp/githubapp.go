package idp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jwt"
)

const appKeyName = "GITHUB_APP_PRIVATE_KEY"

// appKey reads the private key of a GitHub App, given as a path or as PEM; nil
// if there is none. Errors do not repeat what was read.
func appKey(getenv func(string) string) (jwk.Key, error) {
	value := getenv(appKeyName)
	if value == "" {
		return nil, nil
	}
	pem := []byte(strings.ReplaceAll(value, `\n`, "\n")) // as env files write it
	if !strings.Contains(value, "-----BEGIN") {
		var err error
		if pem, err = os.ReadFile(value); err != nil {
			return nil, fmt.Errorf("%s: %w", appKeyName, err)
		}
	}
	key, err := jwk.ParseKey(pem, jwk.WithPEM(true))
	if err != nil {
		return nil, fmt.Errorf("%s: is neither a private key in PEM nor the path of one", appKeyName)
	}
	if _, ok := key.(jwk.RSAPrivateKey); !ok {
		return nil, fmt.Errorf("%s: is not an RSA private key", appKeyName)
	}
	return key, nil
}

// A gitHubApp asks about members as itself, installed in the organization:
// people need not be asked for read:org, and can be asked about later.
type gitHubApp struct {
	key          jwk.Key
	clientID     string
	organization string
	client       *http.Client
	now          func() time.Time

	mu      sync.Mutex
	token   string
	expires time.Time
}

func newGitHubApp(key jwk.Key, c Config, o Options) *gitHubApp {
	return &gitHubApp{key: key, clientID: c.ClientID, organization: c.Organization, client: o.Client, now: o.Now}
}

// bearer returns the app's token for the organization, a new one every hour.
// The lock is held while it is fetched: others would fetch the same.
func (a *gitHubApp) bearer(ctx context.Context) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.token != "" && a.now().Add(time.Minute).Before(a.expires) {
		return a.token, nil
	}
	proof, err := a.proof()
	if err != nil {
		return "", err
	}
	var installation struct {
		ID int64 `json:"id"`
	}
	_, err = gitHubGet(ctx, a.client, gitHubAPI+"/orgs/"+url.PathEscape(a.organization)+"/installation", proof, &installation)
	if isStatus(err, http.StatusNotFound) {
		return "", fmt.Errorf("the GitHub App is not installed in %s", a.organization)
	}
	if err != nil {
		return "", a.asApp(err)
	}
	var grant struct {
		Token   string    `json:"token"`
		Expires time.Time `json:"expires_at"`
	}
	path := "/app/installations/" + strconv.FormatInt(installation.ID, 10) + "/access_tokens"
	if err := a.post(ctx, path, proof, struct{}{}, &grant); err != nil {
		return "", a.asApp(err)
	}
	if grant.Token == "" {
		return "", errors.New("GitHub gives the app no token")
	}
	a.token, a.expires = grant.Token, grant.Expires
	return a.token, nil
}

// asApp marks an error about the app itself: a 401 here is not the person's.
func (a *gitHubApp) asApp(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: as GitHub App: %w", ErrUnavailable, err)
}

// proof is the JWT with which an app says that it is itself. It is dated back
// a minute for clocks that differ, as GitHub advises.
func (a *gitHubApp) proof() (string, error) {
	now := a.now()
	token, err := jwt.NewBuilder().Issuer(a.clientID).IssuedAt(now.Add(-time.Minute)).Expiration(now.Add(9 * time.Minute)).Build()
	if err != nil {
		return "", fmt.Errorf("build the app's JWT: %w", err)
	}
	signed, err := jwt.Sign(token, jwt.WithKey(jwa.RS256, a.key))
	if err != nil {
		return "", fmt.Errorf("sign the app's JWT: %w", err)
	}
	return string(signed), nil
}

func (a *gitHubApp) post(ctx context.Context, path, token string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("write a request: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, gitHubAPI+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("make a request: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	_, err = doJSON(a.client, gitHubRequest(req), token, out)
	return err
}
