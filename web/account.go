package web

// Listed are the scopes that the page names.
func (c Connection) Listed() []string { return c.Scopes[:min(len(c.Scopes), maxTools)] }

// More is how many scopes are not named.
func (c Connection) More() int { return len(c.Scopes) - len(c.Listed()) }
