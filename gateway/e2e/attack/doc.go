// Package attack is the attacker in the test suite. It sets the built program
// among people and machines that may want to harm each other: a victim and an
// attacker with a browser each, honest clients and a rogue one, honest MCP
// servers and a rogue one at another host of the same gateway, an honest
// identity provider and a rogue one, an honest publisher of client metadata
// documents and a rogue one, and somebody on the way who sees the URLs of the
// victim and finds old logs.
//
// All of them are in a network of their own, so that the program, as it is
// built, finds public addresses to fetch documents from, and inside ones that it
// must not. It takes Linux, ip of iproute2, and root or a kernel that gives
// users such networks.
//
// Nothing is scripted. A seed decides who does what next, out of everything
// that each of them can do, in any order and mixture; after every step the
// invariants of docs/security.md are held. How far it got is counted in distinct
// states of the flow.
//
// Whether it would notice anything is measured, too: mutants are builds of the
// program with one of its checks taken out, and the attacker has to break every
// one of them. The checks are taken out of copies of the source, which the
// compiler reads instead (go build -overlay): the product has no switch, and an
// edit that no longer fits its source fails the test.
//
//	go test -tags e2e ./attack               a walk, and a sample of the mutants
//	LONG=1 go test -tags e2e ./attack        a long walk, and all mutants
//
// ATTACK_SEED and ATTACK_STEPS repeat a walk; MUTANT picks mutants by a regular
// expression of their names, and MUTANT_REPORT is a file for what killed them.
package attack
