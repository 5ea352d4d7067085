// Package e2e holds the tests that need more than Go: the built program, set in
// front of other people's MCP servers and an identity provider, met by other
// people's clients and a browser. It is a module of its own, so that none of
// what it needs becomes a dependency of the program.
//
//	go test -tags e2e ./...
//
// needs npm, Chromium, certutil, PostgreSQL, HAProxy, nginx and promtool, all of
// them Debian's, and helm and kubeconform, which .ci/run installs;
// what comes from npm is pinned in parts/ and
// is put in the user's cache folder on first use. Nothing is skipped when a
// part is missing: the test fails and names it.
package e2e
