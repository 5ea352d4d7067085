package idp

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// What HashPassword uses: the smallest memory OWASP recommends, so that four
// sign-ins at once fit a small machine (76 MiB).
var current = argon{memory: 19456, time: 2, threads: 1}

// What a hash in the configuration may ask for; beyond it a sign-in would be
// an attack on our own memory or patience.
const (
	maxMemory   = 128 << 10 // KiB
	maxTime     = 16
	maxThreads  = 8
	maxCost     = 15 // bcrypt, 2^15 rounds
	maxPassword = 1024
)

// HashPassword returns the argon2id hash of a password as a PHC string.
func HashPassword(password []byte) (string, error) {
	if len(password) == 0 {
		return "", errors.New("hash password: it is empty")
	}
	if len(password) > maxPassword {
		return "", fmt.Errorf("hash password: it is longer than %d bytes", maxPassword)
	}
	a := current
	a.salt = make([]byte, 16)
	_, _ = rand.Read(a.salt) // never fails, crashes the program instead
	a.key = a.derive(password, 32)
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, a.memory, a.time, a.threads,
		b64.EncodeToString(a.salt), b64.EncodeToString(a.key)), nil
}

// A hash is what is kept of a password.
type hash interface {
	matches(password []byte) bool
}

// parseHash reads argon2id as a PHC string, or bcrypt. Errors do not repeat
// the hash.
func parseHash(s string) (hash, error) {
	switch {
	case strings.HasPrefix(s, "$argon2id$"):
		return parseArgon(s)
	case strings.HasPrefix(s, "$2a$"), strings.HasPrefix(s, "$2b$"), strings.HasPrefix(s, "$2y$"):
		return parseBcrypt(s)
	}
	return nil, errors.New("is neither argon2id nor bcrypt; hash-password makes one")
}

type argon struct {
	memory, time uint32
	threads      uint8
	salt, key    []byte
}

func parseArgon(s string) (hash, error) {
	parts := strings.Split(s, "$") // "", argon2id, v, parameters, salt, key
	if len(parts) != 6 || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return nil, errors.New("is not a hash of argon2id version 19")
	}
	var a argon
	var err error
	if _, err = fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &a.memory, &a.time, &a.threads); err != nil ||
		parts[3] != fmt.Sprintf("m=%d,t=%d,p=%d", a.memory, a.time, a.threads) {
		return nil, errors.New("has parameters that are not m=…,t=…,p=… of argon2id")
	}
	if a.salt, err = base64.RawStdEncoding.DecodeString(parts[4]); err != nil || len(a.salt) < 8 || len(a.salt) > 64 {
		return nil, errors.New("has a salt that is not 8 to 64 bytes in base64")
	}
	if a.key, err = base64.RawStdEncoding.DecodeString(parts[5]); err != nil || len(a.key) < 16 || len(a.key) > 64 {
		return nil, errors.New("has a digest that is not 16 to 64 bytes in base64")
	}
	return a, a.bounds()
}

func (a argon) bounds() error {
	switch {
	case a.time < 1 || a.time > maxTime:
		return fmt.Errorf("asks for t=%d; 1 to %d are accepted", a.time, maxTime)
	case a.threads < 1 || a.threads > maxThreads:
		return fmt.Errorf("asks for p=%d; 1 to %d are accepted", a.threads, maxThreads)
	case a.memory < 8*uint32(a.threads) || a.memory > maxMemory:
		return fmt.Errorf("asks for m=%d; %d to %d are accepted", a.memory, 8*a.threads, maxMemory)
	}
	return nil
}

func (a argon) derive(password []byte, size uint32) []byte {
	return argon2.IDKey(password, a.salt, a.time, a.memory, a.threads, size)
}

func (a argon) matches(password []byte) bool {
	return subtle.ConstantTimeCompare(a.derive(password, uint32(len(a.key))), a.key) == 1
}

type bcrypted []byte

func parseBcrypt(s string) (hash, error) {
	cost, err := bcrypt.Cost([]byte(s))
	if err != nil || len(s) != 60 {
		return nil, errors.New("is not a hash of bcrypt")
	}
	if cost > maxCost {
		return nil, fmt.Errorf("has bcrypt cost %d; up to %d is accepted", cost, maxCost)
	}
	return bcrypted(s), nil
}

func (b bcrypted) matches(password []byte) bool {
	return bcrypt.CompareHashAndPassword(b, password) == nil
}
