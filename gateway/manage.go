package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
	"time"

	"mcp-oauth2-proxy/auth/idp"
)

// Manager speaks to the running process over its admin socket.
type Manager struct {
	socket string
	client *http.Client
}

// Manage returns the Manager of the process that runs with this configuration.
func Manage(c *Config) *Manager {
	socket := AdminSocket(c)
	return &Manager{socket, &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "unix", socket)
		},
	}}}
}

// Connections lists the live grants.
func (m *Manager) Connections(ctx context.Context) ([]Connection, error) {
	var out []Connection
	return out, m.do(ctx, http.MethodGet, "/connections", nil, &out)
}

// Revoke ends what v says, and returns how many grants that were.
func (m *Manager) Revoke(ctx context.Context, v Revocation) (int, error) {
	var out struct{ Ended int }
	err := m.do(ctx, http.MethodPost, "/revoke", v, &out)
	return out.Ended, err
}

// RotateKeys makes a new signing key now.
func (m *Manager) RotateKeys(ctx context.Context) error {
	return m.do(ctx, http.MethodPost, "/rotate-keys", nil, nil)
}

// SelfSignedCA returns the certificate of the local CA as PEM.
func (m *Manager) SelfSignedCA(ctx context.Context) (string, error) {
	var out struct{ PEM string }
	err := m.do(ctx, http.MethodGet, "/selfsigned-ca", nil, &out)
	return out.PEM, err
}

func (m *Manager) do(ctx context.Context, method, path string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	res, err := m.ask(ctx, method, path, in)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if out == nil {
		return nil
	}
	answer, err := io.ReadAll(io.LimitReader(res.Body, 64<<20))
	if err != nil {
		return fmt.Errorf("ask the running gateway: %w", err)
	}
	return json.Unmarshal(answer, out)
}

// ask returns the answer, if it is a good one; the caller closes its body.
func (m *Manager) ask(ctx context.Context, method, path string, in any) (*http.Response, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://admin"+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	res, err := m.client.Do(req)
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT) {
		return nil, fmt.Errorf("no gateway is running here: nothing listens at %s", m.socket)
	}
	if err != nil {
		return nil, fmt.Errorf("ask the running gateway: %w", err)
	}
	if res.StatusCode == http.StatusOK {
		return res, nil
	}
	defer res.Body.Close()
	var fault struct{ Error string }
	if json.NewDecoder(io.LimitReader(res.Body, 64<<10)).Decode(&fault) != nil || fault.Error == "" {
		fault.Error = res.Status
	}
	return nil, fmt.Errorf("the running gateway says: %s", fault.Error)
}

// Health asks the process that runs with this configuration whether it is
// ready.
func Health(ctx context.Context, c *Config) error {
	if c.Server.AdminAddr == "" {
		return errors.New("server.adminAddr is off: there is nobody to ask")
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+reachable(c.Server.AdminAddr)+"/readyz", nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("health: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("health: %s", res.Status)
	}
	return nil
}

// reachable is where to dial what listens on every address.
func reachable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	if ip := net.ParseIP(host); host == "" || ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// HashPassword returns the hash of a password as provider.users takes it.
func HashPassword(password []byte) (string, error) { return idp.HashPassword(password) }
