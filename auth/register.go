package auth

import (
	"io"
	"net/http"
	"strings"

	"mcp-oauth2-proxy/auth/audit"
	"mcp-oauth2-proxy/auth/clients"

	"github.com/labstack/echo/v4"
)

// register is RFC 7591 §3. The client_id carries the registration; nothing is
// stored, so a flood of registrations costs nothing.
func (s *Server) register(c echo.Context) error {
	noStore(c)
	answer, err := s.registration(c)
	s.Meter.Registration(err == nil)
	if err != nil {
		return err
	}
	s.note(c, Step{
		Name: StepRegistration, What: "a client was registered that returns to " + clients.RedirectHost(answer.Client.RedirectURIs[0]),
		Client: answer.Client.ID, ClientName: answer.Client.Name,
	})
	return c.JSON(http.StatusCreated, answer)
}

// registration reads what a client says of itself, and answers it.
func (s *Server) registration(c echo.Context) (*clients.Registration, error) {
	if !s.Registration {
		return nil, echo.ErrNotFound
	}
	if err := s.limit(c, Registrations); err != nil {
		return nil, err
	}
	mediaType, _, _ := strings.Cut(c.Request().Header.Get("Content-Type"), ";")
	if !strings.EqualFold(strings.TrimSpace(mediaType), "application/json") {
		return nil, refusal("invalid_client_metadata", "the body must be application/json")
	}
	body, err := io.ReadAll(io.LimitReader(c.Request().Body, maxForm+1))
	if err != nil {
		return nil, refusal("invalid_client_metadata", "the body ended early")
	}
	if len(body) > maxForm {
		return nil, &Error{Status: http.StatusRequestEntityTooLarge, Code: "invalid_client_metadata", Description: "the body is too large"}
	}
	ctx := c.Request().Context()
	answer, err := s.Clients.Register(ctx, s.issuer(), body)
	if err != nil {
		return nil, ofClients(err)
	}
	s.Audit.Record(ctx, audit.ClientRegistered, audit.Host(s.Route.Host), audit.Client(answer.Client.ID), audit.Text("client_name", answer.Client.Name), audit.Text("address", c.RealIP()))
	return answer, nil
}
