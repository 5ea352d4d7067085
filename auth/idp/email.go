package idp

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// An address longer than this cannot be delivered to (RFC 5321 §4.5.3.1.3).
const maxEmail = 254

// canonicalEmail returns an address with its domain in lower case, which is
// the part whose case never matters (RFC 5321 §2.4), and the domain alone.
func canonicalEmail(address string) (email, domain string, ok bool) {
	at := strings.LastIndexByte(address, '@')
	if at < 1 || len(address) > maxEmail || !utf8.ValidString(address) {
		return "", "", false
	}
	local, domain := address[:at], address[at+1:]
	if !localPart(local) || !domainName(domain) {
		return "", "", false
	}
	domain = strings.ToLower(domain)
	return local + "@" + domain, domain, true
}

// localPart is strict about the characters that other programs read structure
// from: a second @ outside of quotes, spaces, controls, brackets, invisible ones.
func localPart(s string) bool {
	unseen := func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }
	if strings.ContainsFunc(s, unseen) {
		return false
	}
	if s[0] == '"' {
		return quoted(s)
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsSpace(r) || strings.ContainsRune(`@"(),:;<>[\]`, r)
	})
}

// quoted tells whether the quotes around s end where s ends (RFC 5321 §4.1.2).
func quoted(s string) bool {
	if len(s) < 3 || s[len(s)-1] != '"' {
		return false
	}
	inner := s[1 : len(s)-1]
	for i := 0; i < len(inner); i++ {
		switch inner[i] {
		case '"':
			return false
		case '\\':
			if i++; i == len(inner) {
				return false
			}
		}
	}
	return true
}

// domainName is ASCII only: lower-casing beyond it can turn one domain into
// another (the Kelvin sign becomes a k). Other scripts come as xn-- names.
func domainName(s string) bool {
	if len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		if strings.ContainsFunc(label, func(r rune) bool { return !domainRune(r) }) {
			return false
		}
	}
	return true
}

func domainRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-'
}
