package idp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	gce "cloud.google.com/go/compute/metadata"
	"golang.org/x/oauth2"
	adc "golang.org/x/oauth2/google" // application default credentials
)

const (
	googleToken   = "https://oauth2.googleapis.com/token"
	iamAPI        = "https://iamcredentials.googleapis.com/v1"
	cloudPlatform = "https://www.googleapis.com/auth/cloud-platform"
)

// workspaceCredentials are those of the environment (a JSON key, workload
// identity, impersonation, or the metadata server of a VM), made to speak in
// the name of an administrator where one is given.
type workspaceCredentials struct {
	admin  string
	client *http.Client
	now    func() time.Time
}

// find is slow where it has to ask the network where it runs.
func (w workspaceCredentials) find(ctx context.Context) (oauth2.TokenSource, error) {
	direct := adc.CredentialsParams{Scopes: directoryScopes, Subject: w.admin}
	creds, err := adc.FindDefaultCredentialsWithParams(ctx, direct)
	if err != nil {
		return nil, fmt.Errorf("set GOOGLE_APPLICATION_CREDENTIALS to the file of a service account: %w", err)
	}
	kind := readCredentials(creds.JSON)
	if w.admin == "" || kind.Type == "service_account" {
		return creds.TokenSource, nil
	}
	account, err := kind.account()
	if err != nil {
		return nil, err
	}
	base, err := adc.FindDefaultCredentialsWithParams(ctx, adc.CredentialsParams{Scopes: []string{cloudPlatform}})
	if err != nil {
		return nil, fmt.Errorf("for the scope cloud-platform: %w", err)
	}
	return oauth2.ReuseTokenSource(nil, &delegated{ctx: ctx, workspaceCredentials: w, account: account, base: base.TokenSource}), nil
}

type credentialKind struct {
	Type          string `json:"type"`
	Impersonation string `json:"service_account_impersonation_url"`
}

func readCredentials(b []byte) credentialKind {
	var kind credentialKind
	_ = json.Unmarshal(b, &kind) // the library has read it before; nothing on a VM
	return kind
}

var impersonated = regexp.MustCompile(`/serviceAccounts/([^/:]+):generateAccessToken\z`)

// account is the service account that the credentials end up as.
func (k credentialKind) account() (string, error) {
	if k.Type == "" {
		email, err := gce.Email("default")
		if err != nil {
			return "", fmt.Errorf("ask the metadata server for the service account: %w", err)
		}
		return strings.TrimSpace(email), nil
	}
	if m := impersonated.FindStringSubmatch(k.Impersonation); m != nil {
		return m[1], nil
	}
	return "", fmt.Errorf("credentials of type %s do not name a service account, which delegation needs", plain(k.Type))
}

// delegated is domain-wide delegation without a key at hand: Google signs the
// assertion that a key would have signed.
type delegated struct {
	workspaceCredentials
	ctx     context.Context // of the token source, as everywhere in x/oauth2
	account string
	base    oauth2.TokenSource
}

// Token implements oauth2.TokenSource.
func (d *delegated) Token() (*oauth2.Token, error) {
	base, err := d.base.Token()
	if err != nil {
		return nil, err
	}
	assertion, err := d.sign(base.AccessToken)
	if err != nil {
		return nil, fmt.Errorf("let Google sign for %s: %w", d.account, err)
	}
	form := url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {assertion}}
	req, err := http.NewRequestWithContext(d.ctx, http.MethodPost, googleToken, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	var answer struct {
		Token   string `json:"access_token"`
		Seconds int64  `json:"expires_in"`
	}
	if _, err := doJSON(d.client, req, "", &answer); err != nil {
		return nil, fmt.Errorf("speak for %s: %w", d.admin, err)
	}
	if answer.Token == "" {
		return nil, errors.New("there is no token in the answer of Google")
	}
	// By the real clock, which x/oauth2 compares it with.
	return &oauth2.Token{AccessToken: answer.Token, Expiry: time.Now().Add(time.Duration(answer.Seconds) * time.Second)}, nil
}

func (d *delegated) sign(token string) (string, error) {
	now := d.now()
	payload, err := json.Marshal(map[string]any{
		"iss": d.account, "sub": d.admin, "scope": strings.Join(directoryScopes, " "),
		"aud": googleToken, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	})
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(map[string]string{"payload": string(payload)})
	if err != nil {
		return "", err
	}
	address := iamAPI + "/projects/-/serviceAccounts/" + url.PathEscape(d.account) + ":signJwt"
	req, err := http.NewRequestWithContext(d.ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	var answer struct {
		Signed string `json:"signedJwt"`
	}
	_, err = doJSON(d.client, req, token, &answer)
	return answer.Signed, err
}

// credentialError drops the body that x/oauth2 puts into its errors.
func credentialError(err error) error {
	var refused *oauth2.RetrieveError
	if errors.As(err, &refused) {
		return fmt.Errorf("%s (status %d)", plain(refused.ErrorCode), refused.Response.StatusCode)
	}
	return withoutURL(err)
}
