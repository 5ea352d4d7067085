package auth

import (
	"io"
	"net/http"
	"strings"

	"mcp-oauth2-proxy/auth/audit"

	"github.com/labstack/echo/v4"
)

// register is RFC 7591 §3. The client_id carries the registration; nothing is
// stored, so a flood of registrations costs nothing.
func (s *Server) register(c echo.Context) error {
	noStore(c)
	if !s.Registration {
		return echo.ErrNotFound
	}
	if err := s.limit(c, Registrations); err != nil {
		return err
	}
	mediaType, _, _ := strings.Cut(c.Request().Header.Get("Content-Type"), ";")
	if !strings.EqualFold(strings.TrimSpace(mediaType), "application/json") {
		return refusal("invalid_client_metadata", "the body must be application/json")
	}
	body, err := io.ReadAll(io.LimitReader(c.Request().Body, maxForm+1))
	if err != nil {
		return refusal("invalid_client_metadata", "the body ended early")
	}
	if len(body) > maxForm {
		return &Error{Status: http.StatusRequestEntityTooLarge, Code: "invalid_client_metadata", Description: "the body is too large"}
	}
	ctx := c.Request().Context()
	answer, err := s.Clients.Register(ctx, s.issuer(), body)
	if err != nil {
		return ofClients(err)
	}
	s.Audit.Record(ctx, audit.ClientRegistered, audit.Host(s.Route.Host), audit.Client(answer.Client.ID), audit.Text("client_name", answer.Client.Name), audit.Text("address", c.RealIP()))
	return c.JSON(http.StatusCreated, answer)
}
