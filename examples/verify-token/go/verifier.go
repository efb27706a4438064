package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// This file checks Hallpass's access tokens locally: signature and claims with the public keys
// (JWKS), log-outs with the revocation list. docs/checking-tokens.md gives the reasons.

const (
	// The only accepted algorithm: that of HALLPASS_JWT_ALGORITHM.
	algorithm            = "ES256"
	leeway               = 5 * time.Second
	keysMaxAge           = 10 * time.Minute
	cooldown             = 10 * time.Second
	cooldownAfterFailure = time.Second
	pollEvery            = time.Second
	timeout              = 2 * time.Second
)

// Refused is the error of an invalid token: 401. The text is one of Hallpass's codes.
type Refused string

func (code Refused) Error() string { return string(code) }

// ErrUnavailable means that keys or revocation list are out of date: 503.
var ErrUnavailable = errors.New("unavailable")

// Claims are the claims that services use.
type Claims struct {
	jwt.RegisteredClaims
	SessionID string `json:"sid"`
	UserID    int64  `json:"user_id"`
	Username  string `json:"username"`
}

// Verifier keeps keys and revocations up to date.
type Verifier struct {
	issuer       string
	maxStaleness time.Duration
	http         *http.Client
	parser       *jwt.Parser

	fetching  sync.Mutex // held while keys are fetched; guards nextFetch
	nextFetch time.Time
	keys      atomic.Pointer[keySet]

	revocations atomic.Pointer[revocations]
}

type keySet struct {
	byKid   map[string]*ecdsa.PublicKey
	fetched time.Time
}

type revocations struct {
	sessions map[string]bool
	users    map[int64]int64
	etag     string
	asOf     time.Time
}

// NewVerifier starts to poll the revocation list every second. The issuer is
// HALLPASS_PUBLIC_URL; the audience is one of HALLPASS_AUDIENCE, or the issuer where that is not set;
// maxStaleness is how old the revocation list may be.
func NewVerifier(issuer, audience string, maxStaleness time.Duration) *Verifier {
	v := &Verifier{
		issuer:       issuer,
		maxStaleness: maxStaleness,
		http:         &http.Client{Timeout: timeout},
		parser: jwt.NewParser(
			jwt.WithValidMethods([]string{algorithm}),
			jwt.WithIssuer(issuer),
			jwt.WithAudience(audience),
			jwt.WithLeeway(leeway),
			jwt.WithIssuedAt(),
			jwt.WithExpirationRequired(),
		),
	}
	v.keys.Store(&keySet{})
	v.revocations.Store(&revocations{})
	go v.pollForEver()
	return v
}

// Verify returns the claims of a valid token.
func (v *Verifier) Verify(token string) (*Claims, error) {
	claims := &Claims{}
	_, err := v.parser.ParseWithClaims(token, claims, v.keyOf)
	switch {
	case errors.Is(err, ErrUnavailable):
		return nil, ErrUnavailable
	case errors.Is(err, jwt.ErrTokenExpired):
		return nil, Refused("token_expired")
	case err != nil:
		return nil, Refused("token_invalid")
	}
	// The remaining required claims; the parser has checked exp, iss and aud.
	if claims.Subject == "" || claims.ID == "" || claims.SessionID == "" || claims.UserID == 0 || claims.IssuedAt == nil {
		return nil, Refused("token_invalid")
	}
	return claims, v.checkRevocations(claims)
}

func (v *Verifier) checkRevocations(claims *Claims) error {
	known := v.revocations.Load()
	revokedAt, ended := known.users[claims.UserID]
	if known.sessions[claims.SessionID] || ended && claims.IssuedAt.Unix() <= revokedAt {
		return Refused("token_revoked")
	}
	if time.Since(known.asOf) > v.maxStaleness {
		return ErrUnavailable
	}
	return nil
}

// keyOf returns the key that the token names.
func (v *Verifier) keyOf(token *jwt.Token) (interface{}, error) {
	kid, isText := token.Header["kid"].(string)
	if token.Header["typ"] != "at+jwt" || !isText {
		return nil, Refused("token_invalid")
	}
	keys, err := v.keysWith(kid)
	if err != nil {
		return nil, err
	}
	key, found := keys.byKid[kid]
	if !found {
		return nil, Refused("token_invalid")
	}
	return key, nil
}

// keysWith returns the public keys: fetched when first needed, again after ten minutes, and for an
// unknown kid, but then not more often than the cooldown allows.
func (v *Verifier) keysWith(kid string) (*keySet, error) {
	if !v.keys.Load().has(kid) {
		v.fetching.Lock()
		if !v.keys.Load().has(kid) && time.Now().After(v.nextFetch) {
			asked := time.Now()
			v.nextFetch = asked.Add(cooldown)
			// After a failure, the existing keys are used until they are too old.
			if v.fetchKeys(asked) != nil {
				v.nextFetch = asked.Add(cooldownAfterFailure)
			}
		}
		v.fetching.Unlock()
	}
	keys := v.keys.Load()
	if !keys.current() {
		return nil, ErrUnavailable
	}
	return keys, nil
}

func (keys *keySet) current() bool { return time.Since(keys.fetched) <= keysMaxAge }

func (keys *keySet) has(kid string) bool { return keys.current() && keys.byKid[kid] != nil }

func (v *Verifier) fetchKeys(asked time.Time) error {
	var set struct {
		Keys []struct{ Kid, Kty, Crv, X, Y string }
	}
	if _, _, err := v.get("/.well-known/jwks.json", "", &set); err != nil {
		return err
	}
	byKid := make(map[string]*ecdsa.PublicKey)
	for _, jwk := range set.Keys {
		x, errX := base64.RawURLEncoding.DecodeString(jwk.X)
		y, errY := base64.RawURLEncoding.DecodeString(jwk.Y)
		if jwk.Kty != "EC" || jwk.Crv != "P-256" || errX != nil || errY != nil {
			continue
		}
		key := &ecdsa.PublicKey{Curve: elliptic.P256(), X: new(big.Int).SetBytes(x), Y: new(big.Int).SetBytes(y)}
		if key.Curve.IsOnCurve(key.X, key.Y) {
			byKid[jwk.Kid] = key
		}
	}
	v.keys.Store(&keySet{byKid: byKid, fetched: asked})
	return nil
}

func (v *Verifier) pollForEver() {
	for {
		// The next poll may succeed. Each check compares the age of the list with its limit.
		_ = v.poll()
		time.Sleep(pollEvery)
	}
}

func (v *Verifier) poll() error {
	// Time of the request: later revocations may be missing from the response.
	asked := time.Now()
	known := v.revocations.Load()
	var listed struct {
		Sessions []struct {
			SessionID string `json:"session_id"`
		}
		Users []struct {
			UserID    int64 `json:"user_id"`
			RevokedAt int64 `json:"revoked_at"`
		}
	}
	status, etag, err := v.get("/v1/revocations", known.etag, &listed)
	if err != nil {
		return err
	}
	next := &revocations{sessions: known.sessions, users: known.users, etag: known.etag, asOf: asked}
	if status == http.StatusOK {
		next.sessions, next.users, next.etag = map[string]bool{}, map[int64]int64{}, etag
		for _, it := range listed.Sessions {
			next.sessions[it.SessionID] = true
		}
		for _, it := range listed.Users {
			next.users[it.UserID] = it.RevokedAt
		}
	}
	v.revocations.Store(next)
	return nil
}

// get reads JSON into body. Any status except 200, and 304 for an etag, is an error.
func (v *Verifier) get(path, etag string, body interface{}) (int, string, error) {
	request, err := http.NewRequest(http.MethodGet, v.issuer+path, nil)
	if err != nil {
		return 0, "", err
	}
	if etag != "" {
		request.Header.Set("If-None-Match", etag)
	}
	answer, err := v.http.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer answer.Body.Close()
	switch {
	case answer.StatusCode == http.StatusNotModified && etag != "":
		return answer.StatusCode, etag, nil
	case answer.StatusCode != http.StatusOK:
		return 0, "", fmt.Errorf("%s: %s", path, answer.Status)
	}
	return answer.StatusCode, answer.Header.Get("ETag"), json.NewDecoder(answer.Body).Decode(body)
}
